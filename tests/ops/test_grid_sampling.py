"""Label maps are sampled at the pixels that OpenCV takes; test_augmentation.py compares whole augmentations."""

from functools import partial

import jax
import numpy as np
import pytest

from jaxseg.ops.grid_sampling import sample_by_gathers, sample_by_products


@pytest.mark.parametrize("sample", [sample_by_gathers, sample_by_products])
@pytest.mark.parametrize(("padded", "last"), [(True, 255), (False, 5)])
def test_labels_between_two_pixels_round_to_even_as_in_opencv(sample, padded, last):
    label, rows = np.arange(6, dtype=np.uint8)[None], np.zeros(1, np.float32)
    columns = np.array([0.5, 1.5, 2.5, -0.5, 5.5], np.float32)
    _, found = jax.jit(partial(sample, fill=(0.0, 0.0, 0.0)))(
        label[..., None].repeat(3, 2), label, rows, columns, padded
    )
    np.testing.assert_array_equal(found, [[0, 2, 2, 0, last]])
