"""A run on its devices and on disk."""
