"""Anchors: the boxes that a region proposal network refines, the same ones at each position of a feature map.

Faster R-CNN (Ren et al. 2015), section 3.1.1. Rounding, positions and order are those of torchvision's AnchorGenerator,
so that its weights can be used. All functions use numpy: anchors are constants of a program.
"""

from collections.abc import Sequence

import numpy as np

DEFAULT_RATIOS = (0.5, 1.0, 2.0)


def base_anchors(sizes: Sequence[float], ratios: Sequence[float] = DEFAULT_RATIOS) -> np.ndarray:
    """Returns anchors around the origin, ``[len(ratios) * len(sizes), 4]``, in whole pixels; sizes vary fastest.

    Args:
      sizes: square roots of the areas, in pixels.
      ratios: height / width.

    Example:
      >>> base_anchors([32], [0.5, 1.0]).tolist()  # 45 x 23 pixels, then 32 x 32
      [[-23.0, -11.0, 23.0, 11.0], [-16.0, -16.0, 16.0, 16.0]]
    """
    height_factors = np.sqrt(np.asarray(ratios, np.float32))
    width_factors = 1 / height_factors
    sizes = np.asarray(sizes, np.float32)
    widths = (width_factors[:, None] * sizes[None, :]).ravel()
    heights = (height_factors[:, None] * sizes[None, :]).ravel()
    return np.round(np.stack([-widths, -heights, widths, heights], axis=1) / 2)


def level_anchors(base: np.ndarray, grid: tuple[int, int], image_size: tuple[int, int]) -> np.ndarray:
    """Returns the anchors of one feature map, ``[a, 4]``, ordered by (row, column, base anchor).

    Args:
      base: ``[n, 4]``, from ``base_anchors``; centered at the top left corner of each cell.
      grid: rows and columns of the map.
      image_size: height and width of the padded image; ``image_size // grid`` is the stride.

    Example:
      >>> level_anchors(base_anchors([32], [1.0]), grid=(1, 2), image_size=(16, 32)).tolist()
      [[-16.0, -16.0, 16.0, 16.0], [0.0, -16.0, 32.0, 16.0]]
    """
    stride_y, stride_x = image_size[0] // grid[0], image_size[1] // grid[1]
    y, x = np.meshgrid(np.arange(grid[0]) * stride_y, np.arange(grid[1]) * stride_x, indexing="ij")
    corners = np.stack([x, y, x, y], axis=-1).astype(np.float32)
    return (corners[:, :, None, :] + base[None, None, :, :]).reshape(-1, 4)


def pyramid_anchors(
    sizes: Sequence[Sequence[float]],
    grids: Sequence[tuple[int, int]],
    image_size: tuple[int, int],
    ratios: Sequence[float] = DEFAULT_RATIOS,
) -> tuple[np.ndarray, ...]:
    """Returns the anchors of each level of a feature pyramid, ``[a, 4]`` per level.

    Args:
      sizes: the anchor sizes of each level, such as ``((32,), (64,), (128,), (256,), (512,))``.
      grids: rows and columns of each level's map.
      image_size: height and width of the padded image.
      ratios: height / width of the anchors on all levels.

    Raises:
      ValueError: the numbers of levels of sizes and grids differ.

    Example:
      >>> [len(anchors) for anchors in pyramid_anchors([[32], [64]], [(8, 8), (4, 4)], image_size=(64, 64))]
      [192, 48]
    """
    if len(sizes) != len(grids):
        raise ValueError(f"sizes has {len(sizes)} levels; expected {len(grids)}, one tuple of sizes per feature map.")
    return tuple(
        level_anchors(base_anchors(level_sizes, ratios), grid, image_size)
        for level_sizes, grid in zip(sizes, grids, strict=True)
    )
