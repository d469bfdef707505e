"""Losses and scores of a run by step, as a picture."""

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxseg.data.colors import OKABE_ITO
from jaxseg.storage import write_bytes

SCORES = ("pixel_accuracy", "mean_pixel_accuracy", "mean_iou", "bbox_AP", "bbox_AP50", "segm_AP", "segm_AP50")
LOG_FROM = 30  # ratio of the largest to the smallest mean loss from which the axis is logarithmic
LINE_COLORS = [tuple(part / 255 for part in color) for color in OKABE_ITO]


def draw_curves(path: pathlib.Path, lines: list[dict]) -> None:
    """Writes a PNG of losses and scores by step from the lines of a ``metrics.jsonl``."""
    # Importing matplotlib takes long, and only this function needs it.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    train = points_of(lines, "train", "loss")
    means = smooth(train)
    last_step = max((line["step"] for line in lines), default=1)
    if train:
        losses.plot(*zip(*train, strict=True), color="0.8", linewidth=0.8, label="train, every step")
        losses.plot(*means, color=LINE_COLORS[4], linewidth=2, label="train, mean")
    for split, style in (("val", "o-"), ("test", "s")):
        for axes, names in ((losses, ("loss",)), (scores, SCORES)):
            for color, name in enumerate(names):
                points = points_of(lines, split, name)
                if points:
                    label = f"{split}, {name.replace('_', ' ')}"
                    axes.plot(*zip(*points, strict=True), style, color=LINE_COLORS[color], markersize=4, label=label)
    shown = [*means[1], *(value for split in ("val", "test") for _, value in points_of(lines, split, "loss"))]
    low, high, scale = loss_axis(shown)
    losses.set(xlabel="step", ylabel="loss", xlim=(0, last_step), yscale=scale, ylim=(low, high))
    values = [value for split in ("val", "test") for name in SCORES for _, value in points_of(lines, split, name)]
    scores.set(xlabel="step", ylabel="score", xlim=(0, last_step * 1.02), ylim=score_axis(values))
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=120, format="png")
    write_bytes(path, picture.getvalue())


def points_of(lines: Sequence[dict[str, Any]], split: str, name: str) -> list[tuple[int, float]]:
    """Returns (step, value) of a number of a split; lines without it are left out."""
    return [(line["step"], line[name]) for line in lines if line["split"] == split and line.get(name) is not None]


def smooth(points: Sequence[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and values averaged over about fifty consecutive parts."""
    if not len(points):
        return np.zeros(0), np.zeros(0)
    parts = np.array_split(np.asarray(points, np.float64), min(50, len(points)))
    means = np.stack([part.mean(axis=0) for part in parts])
    return means[:, 0], means[:, 1]


def loss_axis(values: Sequence[float]) -> tuple[float, float, str]:
    """Returns the lower end, the upper end and the scale of the loss axis.

    It covers the averaged losses, not the noise of single steps. A few huge values at the beginning are cut off.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if not values.size or values.max() <= 0:
        return 0.0, 1.0, "linear"
    high, low = max(np.quantile(values, 0.98), values[len(values) // 20 :].max()), values.min()
    if low > 0 and high / low >= LOG_FROM:
        return low / 1.3, high * 1.3, "log"
    return 0.0, high * 1.1, "linear"


def score_axis(values: Sequence[float]) -> tuple[float, float]:
    """Returns the ends of the score axis: the range of the values with a margin, within 0 and 1."""
    if not len(values):
        return 0.0, 1.0
    low, high = min(values), max(values)
    margin = max(0.1 * (high - low), 0.02)
    return max(0.0, low - margin), min(1.0, high + margin)
