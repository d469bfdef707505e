"""Predictions of a detector, and their conversion to pixels of the original image."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.ops.masks import paste_masks

Array = jax.Array | np.ndarray  # on the device or on the host


class Instances(NamedTuple):
    """The objects found in a batch of images, best first.

    Attributes:
      boxes: float32 ``[b, d, 4]``.
      scores: float32 ``[b, d]``, in 0..1.
      classes: int32 ``[b, d]``, from 1; 0 in unused slots.
      valid: bool ``[b, d]``, False in unused slots.
      masks: float32 ``[b, d, 28, 28]``, the probability that each part of the box belongs to the object.
    """

    boxes: Array
    scores: Array
    classes: Array
    valid: Array
    masks: Array


def in_original_pixels(instances: Instances, sizes: jax.Array, original_sizes: jax.Array) -> Instances:
    """Converts boxes to pixels of the images before they were resized.

    Args:
      instances: with boxes in pixels of the resized images.
      sizes: int32 ``[b, 2]``, height and width of the resized images.
      original_sizes: int32 ``[b, 2]``, height and width of the original images.

    Example:
      >>> found = Instances(jnp.array([[[10.0, 0.0, 20.0, 30.0]]]), *[None] * 4)
      >>> in_original_pixels(found, jnp.array([[50, 100]]), jnp.array([[100, 200]])).boxes.tolist()
      [[[20.0, 0.0, 40.0, 60.0]]]
    """
    ratios = original_sizes.astype(jnp.float32) / sizes.astype(jnp.float32)
    factors = jnp.stack([ratios[:, 1], ratios[:, 0]] * 2, axis=-1)
    return instances._replace(boxes=instances.boxes * factors[:, None])


def pasted_masks(instances: Instances, canvas: tuple[int, int]) -> jax.Array:
    """Returns bool ``[b, d, *canvas]``, True where an instance has a probability of at least one half.

    Args:
      instances: the instances, with boxes in pixels of the images into which masks are pasted.
      canvas: static height and width, at least those of the largest image. A mask is valid within its own image.
    """
    probabilities = jax.vmap(lambda masks, boxes: paste_masks(masks, boxes, canvas))(instances.masks, instances.boxes)
    return (probabilities >= 0.5) & instances.valid[:, :, None, None]
