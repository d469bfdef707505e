"""Batches of images and objects for detectors."""
