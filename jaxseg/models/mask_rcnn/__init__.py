"""Mask R-CNN: feature pyramid, region proposal network, heads and their training."""
