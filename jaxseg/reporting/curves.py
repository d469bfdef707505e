"""The numbers of a run as a picture: losses and scores by step."""

import pathlib

import numpy as np

SCORES = ("pixel_accuracy", "mean_pixel_accuracy", "mean_iou", "bbox_AP", "bbox_AP50", "segm_AP", "segm_AP50")


def draw(path: pathlib.Path, lines: list[dict]) -> None:
    """Draws the lines of a metrics.jsonl: the losses, and the scores if there are any."""
    # Matplotlib takes long to import, and nothing but this needs it.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    train = [(line["step"], line["loss"]) for line in lines if line["split"] == "train"]
    losses.plot(*zip(*train, strict=True), color="0.75", linewidth=0.8, label="train, each step")
    losses.plot(*_smoothed(train), color="C0", label="train, mean")
    panels = ((losses, ("loss",)), (scores, SCORES))
    for split, style in (("val", "o-"), ("test", "s")):
        for axes, names in panels:
            for color, name in enumerate(names, start=1):
                points = [(line["step"], line.get(name)) for line in lines if line["split"] == split]
                points = [point for point in points if point[1] is not None]
                if points:
                    label = f"{split}, {name.replace('_', ' ')}"
                    axes.plot(*zip(*points, strict=True), style, color=f"C{color}", markersize=4, label=label)
    losses.set(xlabel="step", ylabel="loss", xlim=(0, None), ylim=(0, None))
    scores.set(xlabel="step", ylabel="score", xlim=losses.get_xlim(), ylim=(0, 1.02))
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def _smoothed(points: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """The means of about fifty consecutive stretches."""
    stretches = np.array_split(np.asarray(points, np.float64), min(50, len(points)))
    means = np.stack([stretch.mean(axis=0) for stretch in stretches])
    return means[:, 0], means[:, 1]
