"""Flax modules: tensors in, tensors out."""
