"""Pasting objects of one image onto another: Simple Copy-Paste (Ghiasi et al., CVPR 2021)."""

from collections.abc import Callable
from typing import NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.augment.options import check_fraction, read_fields
from jaxseg.data.geometry import boxes_of_masks, occupied
from jaxseg.data.instances.transforms import drop_vanished, select_objects
from jaxseg.types import InstanceExample, Objects

LEAST_VISIBLE = 0.1  # share of an object's area; objects that are hidden further are dropped


class CopyPaste(NamedTuple):
    """Simple Copy-Paste: objects of another training image are pasted onto an image.

    Attributes:
      copy_paste: probability that an image gets objects of another one.
    """

    copy_paste: float = 0.0

    @classmethod
    def from_config(cls, data_config: ml_collections.ConfigDict) -> "CopyPaste":
        """Reads and checks the option.

        Raises:
          ValueError: it is not in 0..1.
        """
        options = cls(**read_fields(cls, data_config))
        check_fraction("copy_paste", options.copy_paste)
        return options

    def apply(
        self,
        rng: np.random.Generator,
        example: InstanceExample,
        draw_other: Callable[[np.random.Generator], InstanceExample],
    ) -> InstanceExample:
        """Pastes objects of another image onto an image."""
        # A number is drawn even where the probability is 0: batches of fixed seeds have always been so.
        if rng.random() < self.copy_paste:
            return random_copy_paste(rng, example, draw_other(rng))
        return example


def random_copy_paste(rng: np.random.Generator, below: InstanceExample, above: InstanceExample) -> InstanceExample:
    """Pastes each object of ``above`` onto ``below`` with probability 0.5.

    Crowd regions and objects without a mask are never pasted.
    """
    chosen = ~above.objects.crowd & (rng.random(len(above.objects.crowd)) < 0.5)
    chosen &= occupied(above.objects.masks)
    return paste_objects(below, above._replace(objects=select_objects(above.objects, chosen)))


def paste_objects(below: InstanceExample, above: InstanceExample) -> InstanceExample:
    """Pastes all objects of ``above`` onto ``below``, corner on corner, without blending (section 3 of the paper).

    The result has the size of ``below``. Partly hidden objects get the masks and boxes of their visible parts, and are
    dropped where the visible share is below LEAST_VISIBLE.
    """
    above = _fitted(above, below.image.shape[:2])
    hidden = above.objects.masks.any(axis=0)
    image = np.where(hidden[:, :, None], above.image, below.image)
    objects = (_behind(below.objects, hidden), above.objects)
    return InstanceExample(image, Objects(*(np.concatenate(pair) for pair in zip(*objects, strict=True))))


def _behind(objects: Objects, hidden: np.ndarray) -> Objects:
    """Returns the visible parts of objects; ``hidden`` is bool ``[h, w]``."""
    seen = objects.masks * ~hidden
    before, after = (np.count_nonzero(masks, axis=(1, 2)) for masks in (objects.masks, seen))
    boxes = np.where((before != after)[:, None], boxes_of_masks(seen), objects.boxes)
    enough = (after >= np.maximum(LEAST_VISIBLE * before, 1)) | (before == 0)  # an object may have a box only
    return select_objects(objects._replace(boxes=boxes, masks=seen), enough)


def _fitted(example: InstanceExample, size: tuple[int, int]) -> InstanceExample:
    """Crops, or pads with zeros, at the bottom and on the right to ``size`` (height, width)."""
    objects = example.objects
    height, width = min(size[0], example.image.shape[0]), min(size[1], example.image.shape[1])
    image = np.zeros((*size, 3), np.uint8)
    image[:height, :width] = example.image[:height, :width]
    masks = np.zeros((len(objects.masks), *size), np.uint8)
    masks[:, :height, :width] = objects.masks[:, :height, :width]
    cut = (objects.boxes[:, 2:] > np.array([width, height])).any(axis=1, keepdims=True)
    boxes = np.where(cut, boxes_of_masks(masks), objects.boxes)
    return InstanceExample(image, drop_vanished(objects._replace(boxes=boxes, masks=masks), objects.masks))
