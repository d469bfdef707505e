"""Geometry of one image, without parameters; callers vmap."""
