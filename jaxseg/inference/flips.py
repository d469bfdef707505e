"""Predictions of an image at several sizes and mirrored, merged into one."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxseg.models.fcn_resnet import resize_bilinear

# (image float [b, h, w, 3], sizes int [b, 2] of padded images or None) -> logits [b, h, w, k].
Forward = Callable[[jax.Array, jax.Array | None], jax.Array]


def average_views(forward: Forward, flips: bool, scales: Sequence[float], stride: int) -> Forward:
    """Wraps a model so that it sees each image at several sizes and mirrored.

    Args:
      forward: ``(image, sizes) -> logits``; sizes are those of padded images, or None.
      flips: whether to add the mirrored images.
      scales: sizes relative to the images' own; sides are rounded to multiples of ``stride``.
      stride: pixels between positions of the model's coarsest map.

    Returns:
      A function like ``forward``. It returns the logarithm of the mean of the softmax probabilities, which is a logit.
      With one view it is ``forward`` itself.
    """
    views = [(scale, flip) for scale in scales for flip in ((False, True) if flips else (False,))]
    if views == [(1.0, False)]:
        return forward

    def averaged(image: jax.Array, sizes: jax.Array | None) -> jax.Array:
        total = sum(jax.nn.softmax(_view(forward, image, sizes, *view, stride), axis=-1) for view in views)
        return jnp.log(jnp.maximum(total / len(views), 1e-30))

    return averaged


def _view(
    forward: Forward, image: jax.Array, sizes: jax.Array | None, scale: float, flip: bool, stride: int
) -> jax.Array:
    """Returns the logits of one view in the pixels of the image, float32 ``[b, h, w, k]``."""
    size = image.shape[1:3]
    seen = sizes
    if scale != 1:
        scaled = tuple(max(round(side * scale / stride), 1) * stride for side in size)
        image = resize_bilinear(image, scaled).astype(image.dtype)
        seen = None if sizes is None else -(-sizes * jnp.array([scaled]) // jnp.array([size]))
    logits = forward(_mirror(image, seen) if flip else image, seen)
    logits = _mirror(logits, seen) if flip else logits
    return resize_bilinear(logits, size) if scale != 1 else logits.astype(jnp.float32)


def _mirror(x: jax.Array, sizes: jax.Array | None) -> jax.Array:
    """Mirrors the part of each map ``[b, h, w, c]`` that counts; padding stays on the right."""
    mirrored = x[:, :, ::-1]
    if sizes is None:
        return mirrored
    return jax.vmap(lambda one, width: jnp.roll(one, width, axis=1))(mirrored, sizes[:, 1])
