"""Logits brought to the pixels of the original image, on the device, some rows at a time.

The resize is bilinear with half-pixel centers and without antialias, as ``cv2.INTER_LINEAR`` and
``jax.image.resize(..., "linear", antialias=False)`` do it. Its coordinates are computed in float64 on the host and its
weights are applied in float32, first along the columns, then along the rows. Only label maps leave the device.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

STRIP = 1 << 23  # Largest number of logits in a strip, which takes tens of megabytes.
SMALLEST = 128  # Sides up to this length share a program; longer ones are rounded up to quarters of an octave.


class Axis(NamedTuple):
    """Where the pixels of an enlarged axis lie between the positions of a map.

    Attributes:
      below: int32 ``[n]``, the position before each pixel.
      share: float32 ``[n]``, how far each pixel is from there to the next position, 0 to 1.
    """

    below: np.ndarray
    share: np.ndarray


class Pixels(NamedTuple):
    """What is kept of the logits of an image, in its own pixels.

    Attributes:
      label: uint8 ``[h, w]``, the class with the largest logit.
      confidence: uint8 ``[h, w]``, its softmax probability times 255; None unless asked for.
      probabilities: uint16 ``[h, w, k]``, all of them times 65535; None unless asked for.
    """

    label: jax.Array
    confidence: jax.Array | None = None
    probabilities: jax.Array | None = None


def resize_axis(old: int, new: int, padded: int) -> Axis:
    """Returns the coordinates of ``new`` pixels on an axis of ``old`` positions, and 0 up to ``padded`` pixels.

    >>> resize_axis(2, 4, 5).share.tolist()
    [0.0, 0.25, 0.75, 1.0, 0.0]
    """
    position = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    below = np.minimum(position.astype(np.int32), max(old - 2, 0))
    zeros = (0, padded - new)
    return Axis(np.pad(below, zeros), np.pad((position - below).astype(np.float32), zeros))


def bucket_side(side: int) -> int:
    """Rounds a side up to a multiple of a quarter of the octave below, so that few programs are compiled.

    >>> [bucket_side(side) for side in (1, 128, 129, 500, 4000, 10000)]
    [128, 128, 160, 512, 4096, 10240]
    """
    if side <= SMALLEST:
        return SMALLEST
    step = 1 << ((side - 1).bit_length() - 3)
    return -(-side // step) * step


def to_original_pixels(
    logits: jax.Array,
    index: int,
    seen: Sequence[int],
    size: tuple[int, int],
    confidence: bool = False,
    probabilities: bool = False,
) -> list[Pixels]:
    """Resizes the logits of one image to its own size and keeps the largest, in strips of rows.

    Args:
      logits: float ``[b, h, w, k]`` of a batch.
      index: which image of it.
      seen: height and width of the part of the logits that belongs to the image; the rest is padding.
      size: height and width of the image.
      confidence: whether to return the largest softmax probability.
      probabilities: whether to return all of them.

    Returns:
      The strips from the top, padded to the bucket of the image at the right and below the last row. They are being
      computed when this returns.
    """
    height, width = size
    rows, columns = strip_size(size, logits.shape[-1])
    axis_y = resize_axis(int(seen[0]), height, -(-height // rows) * rows)
    axis_x = resize_axis(int(seen[1]), width, columns)
    return [
        _strip(logits, index, Axis(*(part[top : top + rows] for part in axis_y)), axis_x, confidence, probabilities)
        for top in range(0, height, rows)
    ]


def strip_size(size: tuple[int, int], classes: int) -> tuple[int, int]:
    """Returns how many rows and columns a strip of an image of this size has."""
    columns = bucket_side(size[1])
    most = max(STRIP // (columns * classes), 1)
    return min(bucket_side(size[0]), 1 << (most.bit_length() - 1)), columns


def join_strips(strips: list[Pixels], size: tuple[int, int]) -> Pixels:
    """Waits for strips and returns them as one numpy image of this size."""
    height, width = size

    def join(parts: list[jax.Array]) -> np.ndarray:
        if len(parts) == 1:
            return np.ascontiguousarray(np.asarray(parts[0])[:height, :width])
        whole = np.empty((height, width, *parts[0].shape[2:]), parts[0].dtype)
        for number, part in enumerate(parts):
            top = number * part.shape[0]
            whole[top : top + part.shape[0]] = np.asarray(part)[: height - top, :width]
        return whole

    fields = zip(*strips, strict=True)
    return Pixels(*(None if field[0] is None else join(list(field)) for field in fields))


@partial(jax.jit, static_argnums=(4, 5))
def _strip(logits: jax.Array, index: int, y: Axis, x: Axis, confidence: bool, probabilities: bool) -> Pixels:
    logits = jax.lax.dynamic_index_in_dim(logits, index, keepdims=False).astype(jnp.float32)
    logits = _interpolate(logits, y, 0)
    return keep_largest(_interpolate(logits, x, 1), confidence, probabilities)


def keep_largest(logits: jax.Array, confidence: bool, probabilities: bool) -> Pixels:
    """Returns what is kept of logits ``[h, w, k]``; under jit."""
    label = jnp.argmax(logits, axis=-1).astype(jnp.uint8)
    if not (confidence or probabilities):
        return Pixels(label)
    shares = jax.nn.softmax(logits, axis=-1)
    largest = jnp.rint(shares.max(axis=-1) * 255).astype(jnp.uint8) if confidence else None
    return Pixels(label, largest, jnp.rint(shares * 65535).astype(jnp.uint16) if probabilities else None)


def _interpolate(x: jax.Array, axis: Axis, number: int) -> jax.Array:
    """Interpolates one axis of ``x [h, w, k]``."""
    shape = [1, 1, 1]
    shape[number] = -1
    share = jnp.reshape(axis.share, shape)
    above = jnp.minimum(axis.below + 1, x.shape[number] - 1)
    return x.take(axis.below, number, mode="clip") * (1 - share) + x.take(above, number, mode="clip") * share
