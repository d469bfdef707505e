"""Masks: from mask files as editors and annotation tools write them to class numbers or objects.

``reading`` reads one file, and ``scan`` looks at all files of a data set. ``class_lists`` reads names and colors of
classes. ``classes`` decides what values and colors mean, and ``instances`` turns instance numbers into objects.
"""

from jaxseg.data.masks.reading import Mask, read_mask, read_palette, read_values

__all__ = ["Mask", "read_mask", "read_palette", "read_values"]
