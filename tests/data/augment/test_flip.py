import chex
import numpy as np

from jaxseg.data.augment.flip import Flip
from jaxseg.types import Example


def test_half_of_the_images_are_flipped():
    example = Example(np.arange(12, dtype=np.uint8).reshape(2, 2, 3), np.array([[0, 1], [2, 3]], np.uint8))
    flips = 0
    for seed in range(200):
        flipped = Flip(True).apply(np.random.default_rng(seed), example)
        turned = bool(flipped.label[0, 0] == 1)
        flips += turned
        order = slice(None, None, -1 if turned else 1)
        chex.assert_trees_all_equal(flipped, Example(example.image[:, order], example.label[:, order]))
    assert 70 < flips < 130
