"""The function that an export computes: from images of any size to results in their own pixels.

It resizes and normalizes as the host does in training, so that a file needs neither jaxseg nor OpenCV.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.data.resize import buckets, resized_size, rounded_up
from jaxseg.data.semantic.transforms import image_size
from jaxseg.inference.engine import TrainedModel, matmul_precision
from jaxseg.inference.semantic import extend_to
from jaxseg.models.table import DTYPES
from jaxseg.ops import bilinear
from jaxseg.ops.images import normalize
from jaxseg.ops.padding import padded_to_stride, valid_mask, zero_padding

Outputs = dict[str, jax.Array]


def make_function(trained: TrainedModel, size: tuple[int, int] | None = None) -> Callable[[jax.Array], Outputs]:
    """Returns the function that an export computes: uint8 ``[b, h, w, 3]`` to the arrays of ``stablehlo.OUTPUTS``.

    Args:
      trained: the model.
      size: height and width of the images; None accepts any size.

    Raises:
      ValueError: the config resizes images in a way that the program cannot.
    """
    if getattr(trained.config.data, "resize", "stretch") != "stretch":
        raise ValueError(
            f"data.resize is {trained.config.data.resize!r}; expected 'stretch' for an export. Train with "
            "--config.data.resize=stretch, or add it here, which changes the predictions."
        )
    return _FUNCTIONS[trained.config.task](_portable(trained), size)


def _portable(trained: TrainedModel) -> TrainedModel:
    """Returns the model with the forms of operations that serve all platforms, and variables on one device."""
    variables = jax.tree.map(np.asarray, trained.variables)
    return trained._replace(model=trained.model.clone(cpu_kernels=False), variables=variables, mesh=None)


def _semantic(trained: TrainedModel, size: tuple[int, int] | None) -> Callable[[jax.Array], Outputs]:
    del size  # The model sees images of one size in any case.
    config, data = trained.config, trained.config.data
    height, width = image_size(data)

    def answer(image: jax.Array) -> Outputs:
        """Returns a class per pixel of each image."""
        own = image.shape[1:3]
        # Images are resized as uint8 in training, so that the resized pixels are whole numbers here too.
        x = jnp.rint(_resize(image.astype(jnp.float32), (height, width), (height, width)))
        with matmul_precision(config):
            x = normalize(x, data.mean, data.std, data.scale, DTYPES[config.precision])
            logits = trained.model.apply(trained.variables, x, train=False)["logits"]
        if logits.shape[1:3] != (height, width):
            logits = extend_to(logits, (height, width))
        logits = logits.astype(jnp.float32)
        return {"label": jnp.argmax(_resize(logits, own, own), axis=-1).astype(jnp.uint8)}

    return answer


def _instances(trained: TrainedModel, size: tuple[int, int] | None) -> Callable[[jax.Array], Outputs]:
    config, data = trained.config, trained.config.data
    if size is None:
        canvas = (max(max(bucket) for bucket in buckets(data.min_size, data.max_size)),) * 2
    else:
        canvas = rounded_up(resized_size(size, data.min_size, data.max_size))

    def answer(image: jax.Array) -> Outputs:
        """Returns the objects of each image."""
        sizes = _detector_sizes(image.shape[1:3], data.min_size, data.max_size, image.shape[0])
        x = normalize(image.astype(jnp.float32), data.mean, data.std, data.scale)
        x = _resize(x, canvas, (sizes[0, 0], sizes[0, 1]))
        x = zero_padding(x, valid_mask(sizes, x.shape[1:3], 1))
        with matmul_precision(config):
            found = trained.model.apply(trained.variables, x, sizes, padded_to_stride(sizes))
        own = jnp.stack([jnp.asarray(length, jnp.float32) for length in image.shape[1:3]])
        ratios = own[None] / sizes.astype(jnp.float32)
        factors = jnp.stack([ratios[:, 1], ratios[:, 0]] * 2, axis=-1)
        return found._replace(boxes=found.boxes * factors[:, None])._asdict()

    return answer


_FUNCTIONS = {"semantic": _semantic, "instances": _instances}


def _detector_sizes(size: Sequence[Any], min_size: int, max_size: int, images: Any) -> jax.Array:
    """Returns the size to which images are resized, int32 ``[b, 2]``, see ``data.resize.resized_size``."""
    height, width = (jnp.asarray(length, jnp.int32) for length in size)
    short, long = jnp.minimum(height, width), jnp.maximum(height, width)
    by_short = min_size * long <= max_size * short  # whole numbers: float32 could round a side down
    above, below = jnp.where(by_short, min_size, max_size), jnp.where(by_short, short, long)
    sides = jnp.maximum(jnp.stack([height, width]) * above // below, 1)
    return jnp.broadcast_to(sides[None], (images, 2))


def _resize(x: jax.Array, canvas: Sequence[Any], size: Sequence[Any]) -> jax.Array:
    """Resizes ``x [b, h, w, c]`` bilinearly to ``size``, at the top left of a canvas; beyond, edges repeat."""
    for axis, (length, new) in enumerate(zip(canvas, size, strict=True), start=1):
        old = x.shape[axis]
        ratio = jnp.asarray(old, jnp.float32) / jnp.asarray(new, jnp.float32)
        positions = (jnp.arange(length, dtype=jnp.float32) + 0.5) * ratio - 0.5
        indices, weights = bilinear.taps(positions, old)
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        low, high = (jnp.take(x, indices[:, i], axis=axis) for i in range(2))
        x = low * weights[:, 0].reshape(shape) + high * weights[:, 1].reshape(shape)
    return x
