"""Curves whose axes show what matters."""

import numpy as np
from PIL import Image

from jaxseg.reporting import curves


def test_curves_of_losses_and_scores(tmp_path):
    lines = [{"step": step, "split": "train", "loss": 1 / step} for step in range(1, 9)]
    lines += [{"step": 4, "split": "val", "segm_AP": None}, {"step": 8, "split": "val", "segm_AP": 0.5}]
    curves.draw_curves(tmp_path / "curves.png", lines)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1320, 480)
    curves.draw_curves(tmp_path / "empty.png", [])


def test_the_score_axis_covers_the_scores_and_little_else():
    np.testing.assert_allclose(curves.score_axis([0.90, 0.95]), (0.88, 0.97))
    np.testing.assert_allclose(curves.score_axis([0.1, 0.6]), (0.05, 0.65))
    np.testing.assert_allclose(curves.score_axis([0.0, 1.0]), (0.0, 1.0))


def test_a_loss_axis_cuts_off_a_huge_beginning_and_is_logarithmic_for_a_wide_range():
    low, high, scale = curves.loss_axis([1000.0, *[1.0] * 98, 0.5])
    assert (low, scale) == (0.0, "linear")
    np.testing.assert_allclose(high, 1.1)
    low, high, scale = curves.loss_axis(list(np.geomspace(10, 0.01, 50)))
    assert scale == "log"
    assert low < 0.01
    assert high > 5


def test_the_mean_of_a_curve():
    steps, means = curves.smooth([(step, float(step % 2)) for step in range(1, 101)])
    np.testing.assert_allclose(means, 0.5)
    np.testing.assert_allclose(steps[:2], [1.5, 3.5])
