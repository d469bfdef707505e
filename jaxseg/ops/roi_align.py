"""RoIAlign: a fixed grid of features per box, without rounding the box (Mask R-CNN, He et al. 2017, section 3).

Each box is divided into bins, and each bin is the mean of a few bilinear samples. The samples lie on a grid, so the
operation is separable. It has two forms:

- ``gather`` looks up the four values next to each sample. Its cost grows with the boxes alone. Its gradient adds one
  contribution per sample to the map: in one scatter of float32, or on a CPU in the order of few boxes at a time.
- ``einsum`` multiplies the map with one matrix of weights (bins x positions) per axis. Its cost grows with the boxes
  times the map. It and its gradient are matrix products only, so their additions have a fixed order.

Milliseconds on two busy CPU cores, float32, 7x7 bins of 2x2 samples, forward / backward:

=======================================  =========  ===========
map and boxes                            gather     einsum
=======================================  =========  ===========
64x64x64, 128 boxes                      3 / 7      35 / 52
200x200x256, 128 boxes                   32 / 45    667 / 1215
200x200x256, 512 boxes                   56 / 99    2102 / 4937
four levels from 200x200x256, 512 boxes  50 / 155   4245 / 8659
=======================================  =========  ===========

XLA's programs for an H100 and for two images of 800x1344 move 5.6 GB per training step with ``gather`` and 14 GB with
``einsum``.
"""

from collections.abc import Sequence
from functools import partial

import chex
import jax
import jax.numpy as jnp

from jaxseg.ops import bilinear, bins
from jaxseg.ops import boxes as box_ops
from jaxseg.ops.bins import ADAPTIVE
from jaxseg.ops.weighted_gather import gather_weighted_sums


def roi_align(
    features: jax.Array,
    boxes: jax.Array,
    *,
    output_size: tuple[int, int] = (7, 7),
    scale: float = 1.0,
    sampling_ratio: int = 2,
    aligned: bool = False,
    form: str = "gather",
    extents: jax.Array | None = None,
    cpu_kernels: bool = False,
) -> jax.Array:
    """Pools the features of boxes from one map, as ``torchvision.ops.roi_align`` does.

    The defaults are those of torchvision's box head. A sample more than one position outside the map counts 0; a
    nearer one takes the value of the border. No gradient flows to the boxes.

    Args:
      features: ``[h, w, c]``.
      boxes: ``[p, 4]`` in pixels of the image.
      output_size: rows and columns of bins.
      scale: positions of the map per pixel of the image, such as 1 / stride.
      sampling_ratio: samples per bin along each axis. ``ADAPTIVE`` takes one per position: ceil(side / bins).
      aligned: whether to shift the boxes by half a position, so a map's value lies at the center of its cell. Small
        boxes stay small then. Without it, as in torchvision's detectors, sides are at least one position.
      form: "gather" or "einsum", see the top of this file; ``ADAPTIVE`` needs "einsum".
      extents: int32 ``[2]``, number of valid rows and columns of the map; padding may follow them. None uses all.
      cpu_kernels: whether to use the gradient of "gather" that is fast on one CPU device.

    Returns:
      ``[p, rows, columns, c]``, of the features' type.

    Example:
      >>> import numpy as np
      >>> features = np.tile(np.arange(4.0)[None, :, None], (4, 1, 1))  # each row is 0, 1, 2, 3
      >>> pool = jax.jit(roi_align, static_argnames="output_size")
      >>> pooled = pool(features, jnp.array([[0.0, 0.0, 2.0, 2.0]]), output_size=(2, 2))
      >>> np.asarray(pooled)[0, :, :, 0].tolist()  # bins from x = 0 to 1 and from 1 to 2
      [[0.5, 1.5], [0.5, 1.5]]
    """
    levels = jnp.zeros(boxes.shape[0], jnp.int32)
    return pyramid_roi_align(
        [features],
        boxes,
        levels,
        output_size=output_size,
        scales=[scale],
        sampling_ratio=sampling_ratio,
        aligned=aligned,
        form=form,
        extents=None if extents is None else extents[None],
        cpu_kernels=cpu_kernels,
    )


def pyramid_roi_align(
    features: Sequence[jax.Array],
    boxes: jax.Array,
    levels: jax.Array,
    *,
    output_size: tuple[int, int] = (7, 7),
    scales: Sequence[float],
    sampling_ratio: int = 2,
    aligned: bool = False,
    form: str = "gather",
    extents: jax.Array | None = None,
    cpu_kernels: bool = False,
) -> jax.Array:
    """Pools the features of each box from its own level of a feature pyramid, otherwise as ``roi_align`` does.

    Args:
      features: ``[h, w, c]`` per level.
      boxes: ``[p, 4]``.
      levels: int32 ``[p]``, the index of each box's map in features, such as ``pyramid_level`` minus the first level.
      output_size: rows and columns of bins.
      scales: positions of the map per pixel of the image, for each level.
      sampling_ratio: see ``roi_align``.
      aligned: see ``roi_align``.
      form: "gather" looks at each box's own level only. "einsum" multiplies every level, with weights of 0 for boxes of
        other levels. Four levels take about twice the time of the finest alone, see the table above.
      extents: int32 ``[levels, 2]``, see ``roi_align``.
      cpu_kernels: see ``roi_align``.

    Returns:
      ``[p, rows, columns, c]``, of the features' type.

    Example:
      >>> pyramid, boxes = [jnp.zeros((16, 16, 8)), jnp.zeros((8, 8, 8))], jnp.zeros((5, 4))
      >>> pool = partial(pyramid_roi_align, scales=[1 / 4, 1 / 8])
      >>> jax.eval_shape(pool, pyramid, boxes, jnp.zeros(5, jnp.int32)).shape
      (5, 7, 7, 8)
    """
    chex.assert_rank([*features, boxes, levels], [3] * len(features) + [2, 1])
    chex.assert_equal(len(features), len(scales))
    if sampling_ratio == ADAPTIVE and form != "einsum":
        raise ValueError(
            f"form is {form!r}; expected 'einsum' with adaptive sampling, which has no static number of samples to "
            "look up. Use form='einsum'."
        )
    boxes = jax.lax.stop_gradient(boxes.astype(jnp.promote_types(boxes.dtype, jnp.float32)))
    if extents is None:
        extents = jnp.array([f.shape[:2] for f in features], jnp.int32)
    pools = {"gather": partial(_pool_by_gather, cpu_kernels), "einsum": _pool_by_einsum}
    if form not in pools:
        raise ValueError(f"form is {form!r}; expected 'gather' or 'einsum'.")
    pool = pools[form]
    return pool(features, extents, boxes, levels, output_size, scales, sampling_ratio, aligned)


def pyramid_level(boxes: jax.Array, first: int = 2, last: int = 5) -> jax.Array:
    """Returns the pyramid level of each box: ``floor(4 + log2(sqrt(area) / 224))``, clipped to first..last.

    Lin et al., "Feature Pyramid Networks for Object Detection", 2017, equation 1. Boxes without area go to the first.

    Args:
      boxes: ``[p, 4]``, in pixels of the image.
      first: the finest level, 2 in the paper.
      last: the coarsest level, 5 in the paper.

    Returns:
      int32 ``[p]``.

    Example:
      >>> pyramid_level(jnp.array([[0.0, 0.0, 224.0, 224.0], [0.0, 0.0, 112.0, 112.0]])).tolist()
      [4, 3]
    """
    side = jnp.sqrt(box_ops.area(jax.lax.stop_gradient(boxes)))
    level = jnp.floor(4 + jnp.log2(side / 224) + 1e-6)
    return jnp.clip(level, first, last).astype(jnp.int32)


def _pool_by_einsum(features, extents, boxes, levels, output_size, scales, sampling_ratio, aligned):
    rows, columns = output_size
    options = {"sampling_ratio": sampling_ratio, "aligned": aligned}
    pooled = 0
    for level, (level_features, scale) in enumerate(zip(features, scales, strict=True)):
        height, width, _ = level_features.shape
        of_rows = bins.axis_matrix(boxes[:, 1], boxes[:, 3], scale, rows, height, extents[level, 0], **options)
        of_columns = bins.axis_matrix(boxes[:, 0], boxes[:, 2], scale, columns, width, extents[level, 1], **options)
        of_rows = jnp.where((levels == level)[:, None, None], of_rows, 0).astype(level_features.dtype)
        lines = jnp.einsum("piy,yxc->pixc", of_rows, level_features)
        pooled += jnp.einsum("pjx,pixc->pijc", of_columns.astype(level_features.dtype), lines)
    return pooled


def _pool_by_gather(cpu_kernels, features, extents, boxes, levels, output_size, scales, sampling_ratio, aligned):
    """Pools by looking up positions in one table that holds all levels end to end."""
    table = jnp.concatenate([f.reshape(-1, f.shape[-1]) for f in features])
    widths = jnp.array([f.shape[1] for f in features], jnp.int32)[levels]
    lengths = [f.shape[0] * f.shape[1] for f in features]
    starts = jnp.array([sum(lengths[:i]) for i in range(len(lengths))], jnp.int32)[levels]
    box_scales = jnp.array(scales, jnp.float32)[levels]

    def axis_taps(start, end, extent, count):
        bin_starts, length = bins.divide(start, end, box_scales, count, aligned)
        positions = bins.fixed_samples(bin_starts, length, sampling_ratio)
        extent = extent[:, None, None]
        indices, weights = bilinear.taps(positions, extent)
        weights = jnp.where(bins.inside(positions, extent)[..., None], weights / sampling_ratio, 0)
        return indices.reshape(*bin_starts.shape, -1), weights.reshape(*bin_starts.shape, -1)

    y, weights_y = axis_taps(boxes[:, 1], boxes[:, 3], extents[levels, 0], output_size[0])
    x, weights_x = axis_taps(boxes[:, 0], boxes[:, 2], extents[levels, 1], output_size[1])
    y = starts[:, None, None] + y * widths[:, None, None]
    return gather_weighted_sums(table, (y, x, weights_y, weights_x), cpu_kernels)
