"""Augmentations of images, label maps and objects."""
