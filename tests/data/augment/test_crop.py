import numpy as np

from jaxseg.data.augment.crop import Crop
from jaxseg.types import Example

GRAY = (128.0, 128.0, 128.0)


def test_random_crops_cover_the_whole_range():
    """A ramp tells where its crop lay: scale 0.5 to 1, uniform over all places that fit."""
    ramp = np.tile(np.linspace(0, 250, 100).astype(np.uint8)[None, :, None], (100, 1, 3))
    example = Example(ramp, np.zeros((100, 100), np.uint8))
    crop = Crop((20, 20), GRAY, True, crop_scale=(0.5, 1.0))
    starts, widths = [], []
    for seed in range(300):
        cut = crop.apply(np.random.default_rng(seed), example)
        assert cut.label.max() == 0  # nothing was padded
        starts.append(cut.image[0, 0, 0] / 2.5)
        widths.append((int(cut.image[0, -1, 0]) - int(cut.image[0, 0, 0])) / 2.5 * 20 / 19)
    assert min(starts) < 3
    assert max(starts) > 35
    assert 48 < min(widths) < 55
    assert 95 < max(widths) < 103


def test_examples_are_cached_large_enough_for_crops():
    assert Crop((100, 60), GRAY, True).stored_size() == (100, 60)
    assert Crop((100, 60), GRAY, True, crop_scale=(0.8, 1.0)).stored_size() == (125, 75)
    assert Crop((100, 60), GRAY, True, crop_scale=(0.1, 2.0)).stored_size() == (200, 120)
