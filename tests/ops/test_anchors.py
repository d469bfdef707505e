"""Anchors: the published base anchors, their placing and order, torchvision's generator."""

import numpy as np
import pytest
from torchvision_oracle import load_torchvision

from jaxseg.ops import anchors

SIZES = ((32,), (64,), (128,), (256,), (512,))


def test_base_anchors_are_rounded():
    expected = [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]]
    np.testing.assert_array_equal(anchors.base_anchors((32,)), expected)


def test_order_is_row_column_anchor_from_the_corner():
    base = anchors.base_anchors((32,))
    placed = anchors.level_anchors(base, (2, 3), (64, 96)).reshape(2, 3, 3, 4)
    np.testing.assert_array_equal(placed[0, 0], base)
    np.testing.assert_array_equal(placed[1, 2, 1], [64 - 16, 32 - 16, 64 + 16, 32 + 16])


def test_pyramid_is_torchvisions():
    torchvision = load_torchvision()
    torch = torchvision.torch
    image_size, grids = (96, 160), ((24, 40), (12, 20), (6, 10), (3, 5), (2, 3))  # the last strides are rounded down
    generator = torchvision.models.detection.anchor_utils.AnchorGenerator(SIZES, (anchors.DEFAULT_RATIOS,) * 5)
    images = torchvision.models.detection.image_list.ImageList(torch.zeros(1, 3, *image_size), [image_size])
    expected = generator(images, [torch.zeros(1, 1, *grid) for grid in grids])[0].numpy()
    levels = anchors.pyramid_anchors(SIZES, grids, image_size)
    assert [len(level) for level in levels] == [3 * rows * columns for rows, columns in grids]
    np.testing.assert_array_equal(np.concatenate(levels), expected)


def test_several_sizes_a_level_are_torchvisions():
    torchvision = load_torchvision()
    generator = torchvision.models.detection.anchor_utils.AnchorGenerator(((8, 20, 33),), ((0.3, 1.0, 3.0),))
    expected = generator.cell_anchors[0].numpy()
    np.testing.assert_array_equal(anchors.base_anchors((8, 20, 33), (0.3, 1.0, 3.0)), expected)


def test_levels_must_have_sizes():
    with pytest.raises(ValueError, match="sizes has 5 levels; expected 1"):
        anchors.pyramid_anchors(SIZES, ((4, 4),), (64, 64))
