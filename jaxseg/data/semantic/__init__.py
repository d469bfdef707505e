"""Batches of images and label maps."""
