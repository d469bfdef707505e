import chex
import numpy as np
import pytest

from jaxseg.data.augment.flip import Flip
from jaxseg.data.augment.flip_vertical import FlipVertical
from jaxseg.data.instances.transforms import View
from jaxseg.types import Example


@pytest.mark.parametrize(("flip", "axis"), [(Flip(True), 1), (FlipVertical(True), 0)])
def test_half_of_the_images_are_flipped(flip, axis):
    example = Example(np.arange(12, dtype=np.uint8).reshape(2, 2, 3), np.array([[0, 1], [2, 3]], np.uint8))
    flips = 0
    for seed in range(200):
        result = flip.apply(np.random.default_rng(seed), example)
        flipped = bool(result.label[0, 0] != 0)
        flips += flipped
        expected = Example(np.flip(example.image, axis), np.flip(example.label, axis)) if flipped else example
        chex.assert_trees_all_equal(result, expected)
    assert 70 < flips < 130


def test_views_are_flipped_by_their_own_axis():
    view = View((4, 4), (0, 0), (4, 4))
    for flip, name in ((Flip(True), "flip"), (FlipVertical(True), "flip_vertical")):
        views = {flip.apply_to_view(np.random.default_rng(seed), view) for seed in range(20)}
        assert views == {view, view._replace(**{name: True})}
    assert FlipVertical(False).apply_to_view(np.random.default_rng(0), view) == view
