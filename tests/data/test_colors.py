"""Generated colors differ, for color-blind people too."""

import cv2
import numpy as np

from jaxseg.data.colors import OKABE_ITO, distinct_colors, seen_colors

# Vienot, Brettel and Mollon, "Digital video colourmaps for checking the legibility of displays by dichromats" (1999):
# another simulation than the one that chooses the colors.
VIENOT = (
    ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
    ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
)


def least_distance(lab):
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    return distances[~np.eye(len(lab), dtype=bool)].min()


def test_colors_differ_in_normal_and_in_color_blind_vision():
    colors = distinct_colors(20)
    linear = (colors / 255) ** 2.2
    for matrix in (np.eye(3), *VIENOT):
        seen = ((linear @ np.array(matrix).T).clip(0, 1) ** (1 / 2.2)).astype(np.float32)
        assert least_distance(cv2.cvtColor(seen[None], cv2.COLOR_RGB2LAB)[0]) > 8


def test_the_first_colors_are_published_and_more_never_change_the_first():
    np.testing.assert_array_equal(distinct_colors(7), OKABE_ITO)
    np.testing.assert_array_equal(distinct_colors(90)[:12], distinct_colors(12))
    assert len(np.unique(distinct_colors(256), axis=0)) == 256
    assert distinct_colors(0).shape == (0, 3)
    np.testing.assert_array_equal(distinct_colors(300)[256], OKABE_ITO[0])


def test_gray_is_seen_alike_in_every_vision():
    normal, protan, deutan = seen_colors(np.array([[128, 128, 128]], np.uint8))
    np.testing.assert_allclose(protan, normal, atol=1)
    np.testing.assert_allclose(deutan, normal, atol=1)
