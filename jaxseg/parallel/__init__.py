"""Devices and processes: meshes, multi-process runs and memory of the process."""
