"""Predictions of an image at several sizes and mirrored, merged into one."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxseg.models.fcn_resnet import resize_bilinear

Forward = Callable[[jax.Array], jax.Array]


def average_views(forward: Forward, flips: bool, scales: Sequence[float], stride: int) -> Forward:
    """Wraps a model so that it sees each image at several sizes and mirrored.

    Args:
      forward: float ``[b, h, w, 3] -> [b, h, w, k]``, logits.
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

    def averaged(image: jax.Array) -> jax.Array:
        total = sum(jax.nn.softmax(_view(forward, image, *view, stride), axis=-1) for view in views)
        return jnp.log(jnp.maximum(total / len(views), 1e-30))

    return averaged


def _view(forward: Forward, image: jax.Array, scale: float, flip: bool, stride: int) -> jax.Array:
    """Returns the logits of one view in the pixels of the image, float32 ``[b, h, w, k]``."""
    size = image.shape[1:3]
    if scale != 1:
        scaled = tuple(max(round(side * scale / stride), 1) * stride for side in size)
        image = resize_bilinear(image, scaled).astype(image.dtype)
    logits = forward(image[:, :, ::-1] if flip else image)
    logits = logits[:, :, ::-1] if flip else logits
    return resize_bilinear(logits, size) if scale != 1 else logits.astype(jnp.float32)
