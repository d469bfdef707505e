"""The charts and tables of a run's report, as HTML."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxseg.metrics.details import Details
from jaxseg.reporting import html
from jaxseg.reporting.curves import SCORES, loss_axis, points_of, score_axis, smooth
from jaxseg.reporting.pictures import TITLES
from jaxseg.reporting.svg import Axis, Series, draw_bars, draw_lines, draw_reliability

MOST_MATRIX_CLASSES = 25
MOST_CONFUSIONS = 30
EXPLAINED = {
    "classification": "right place, wrong class",
    "localization": "right class, IoU between 0.1 and 0.5",
    "both": "wrong class and IoU between 0.1 and 0.5",
    "duplicate": "an object that a better detection has found already",
    "background": "no object there",
    "missed": "an object without a detection",
}


class Example(NamedTuple):
    """An image of the report.

    Attributes:
      name: its name.
      path: its file, relative to the report; "" where there is none.
      score: the score by which it was chosen.
      panels: image, truth, prediction and difference, uint8 ``[h, w, 3]`` each.
    """

    name: str
    path: str
    score: float
    panels: Sequence[np.ndarray]


class Facts(NamedTuple):
    """What a report says about a run.

    Attributes:
      title: the heading.
      split: the kind of split that is reported in detail: "val" or "test".
      step: the step of the evaluated state.
      summary: facts by name, for the cards.
      page: the shipped config with the fewest differences.
      differences: field, its value on the page, its value in the run.
      config: all fields with dotted names.
      machine: versions, devices and costs by name.
      class_names: one per class.
      palette: uint8 ``[k, 3]``.
      names: the name of each image of the split.
      files: the file of each image of the split, relative to the report; "" where there is none.
    """

    title: str
    split: str
    step: int
    summary: Mapping[str, str]
    page: str
    differences: Sequence[tuple[str, Any, Any]]
    config: Mapping[str, Any]
    machine: Mapping[str, str]
    class_names: Sequence[str]
    palette: np.ndarray
    names: Sequence[str]
    files: Sequence[str]


def curves(lines: Sequence[dict[str, Any]]) -> str:
    """Returns charts of the losses and of the scores by step."""
    last = max((line["step"] for line in lines), default=0)
    train = points_of(lines, "train", "loss")
    if not last or not train:
        return ""
    means = smooth(train)
    losses = [
        Series("train, every step", train, -1),
        Series("train, mean", list(zip(*means, strict=True)), 4),
    ]
    shown = list(means[1])
    charts, values, series = [], [], []
    for split in ("val", "test"):
        points = points_of(lines, split, "loss")
        if points:
            losses.append(Series(f"{split}", points, 5, marked=True))
            shown += [value for _, value in points]
        for color, name in enumerate(SCORES):
            points = points_of(lines, split, name)
            if points:
                series.append(Series(f"{split}, {name.replace('_', ' ')}", points, color, marked=True))
                values += [value for _, value in points]
    low, high, scale = loss_axis(shown)
    step = Axis("step", 0, last)
    charts.append(draw_lines("Loss", step, Axis("loss", low, high, scale == "log"), losses))
    if series:
        charts.append(draw_lines("Scores", step, Axis("score", *score_axis(values)), series))
    return f'<div class="charts">{"".join(charts)}</div>'


def score_tables(scores: Mapping[str, Mapping[str, Any]], facts: Facts) -> list[str]:
    """Returns a table of the scores that are one number, and one of the scores per class."""
    kinds = list(scores)
    plain = {name for one in scores.values() for name, value in one.items() if not isinstance(value, list)}
    order = [name for one in scores.values() for name in one if name in plain]
    if order and all(name.startswith(("bbox_", "segm_")) for name in order):
        names = dict.fromkeys(name.split("_", 1)[1] for name in order)
        pairs = [(kind, part) for kind in kinds for part in ("bbox", "segm")]
        head = [f"{kind} {part}" for kind, part in pairs]
        rows = [[name, *(scores[kind].get(f"{part}_{name}") for kind, part in pairs)] for name in names]
    else:
        head = kinds
        rows = [[name, *(scores[kind].get(name) for kind in kinds)] for name in dict.fromkeys(order)]
    listed = [(kind, name) for kind in kinds for name, value in scores[kind].items() if isinstance(value, list)]
    classes = [
        [html.swatch(facts.palette[number], name), *(scores[kind][score][number] for kind, score in listed)]
        for number, name in enumerate(facts.class_names)
        if any(scores[kind][score][number] is not None for kind, score in listed)
    ]
    heads = [f"{kind} {name.replace('_', ' ')}" for kind, name in listed]
    tables = [
        html.table(("score", *head), rows, name="table-scores"),
        html.table(("class", *heads), classes, name="table-classes"),
    ]
    return [f'<div class="row">{"".join(tables)}</div>']


def confusion_table(confusion: np.ndarray | None, facts: Facts) -> str:
    """Returns the confusion matrix in shares of each true class; of many classes, the most frequent confusions."""
    if confusion is None:
        return ""
    names, totals = facts.class_names, confusion.sum(axis=1)
    if len(names) > MOST_MATRIX_CLASSES:
        wrong = confusion - np.diag(np.diag(confusion))
        order = np.argsort(-wrong, axis=None)[:MOST_CONFUSIONS]
        pairs = [np.unravel_index(place, wrong.shape) for place in order]
        rows = [
            [names[i], names[j], int(wrong[i, j]), float(wrong[i, j] / max(totals[i], 1))]
            for i, j in pairs
            if wrong[i, j]
        ]
        text = "The most frequent confusions. All of them: confusion_matrix.csv."
        return html.paragraph(text) + html.table(("truth", "prediction", "pixels", "share of the truth"), rows)
    shares = confusion / np.maximum(totals, 1)[:, None]
    head = "<th>truth \\ prediction</th>" + "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><th>{html.swatch(color, name)}</th>" + "".join(map(_matrix_cell, row)) + "</tr>"
        for name, color, row in zip(names, facts.palette, shares, strict=True)
    )
    text = "Each row says what the pixels of a true class were predicted as. Counts: confusion_matrix.csv."
    return (
        html.paragraph(text)
        + f'<div class="wide"><table class="matrix"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _matrix_cell(share: float) -> str:
    red, green, blue = (round(255 - share * (255 - dark)) for dark in (86, 180, 233))
    words = f"{share:.1%}" if share >= 0.0005 else "0"
    return f'<td class="cell" style="background:rgb({red},{green},{blue})">{words}</td>'


def precision_recall(details: Details) -> str:
    """Returns a chart per kind of curve: precision over recall at each IoU threshold, averaged over classes."""
    recalls = np.linspace(0, 1, 101)
    axes = Axis("recall", 0, 1), Axis("precision", 0, 1)
    charts = [
        draw_lines(
            {"bbox": "Boxes", "segm": "Masks"}.get(curve.kind, curve.kind),
            *axes,
            [
                Series(
                    f"IoU {iou:g}, mean precision {values.mean():.3f}", list(zip(recalls, values, strict=True)), color
                )
                for color, (iou, values) in zip((4, 5, 2), curve.precision.items(), strict=False)
            ],
        )
        for curve in details.curves
    ]
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def error_parts(details: Details) -> list[str]:
    """Returns charts of what each kind of error costs in AP50."""
    charts = [
        draw_bars(
            {"bbox": "Boxes", "segm": "Masks"}.get(kind, kind), list(costs), [100 * cost for cost in costs.values()]
        )
        for kind, costs in details.errors.items()
        if costs
    ]
    if not charts:
        return []
    text = "How many points AP50 would rise if all errors of one kind were repaired (TIDE, Bolya et al. 2020)."
    meaning = "; ".join(f"{name}: {words}" for name, words in EXPLAINED.items())
    return [
        html.paragraph(text),
        f'<div class="charts">{"".join(charts)}</div>',
        f'<p class="pale">{html.escape(meaning)}.</p>',
    ]


def calibration_part(details: Details) -> str:
    """Returns the reliability diagram and the expected calibration error."""
    found = details.calibration
    if found is None or not np.isfinite(found.ece):
        return ""
    text = (
        f"Of the {details.calibrated} with a confidence of, say, 80 %, 80 % should be right: bars should end on the "
        "dashed line. Below it, the model is too sure of itself."
    )
    chart = draw_reliability(
        f"Reliability of {details.calibrated}", found.confidence, found.accuracy, found.counts / found.counts.sum()
    )
    facts = html.table((), [["expected calibration error (ECE)", found.ece]], name="table-calibration")
    return html.paragraph(text) + facts + f'<div class="charts">{chart}</div>'


def gallery(heading: str, examples: Sequence[Example]) -> str:
    """Returns images with truth, prediction and difference side by side, and a link to each file."""
    if not examples:
        return ""
    parts = [
        f"<p>{html.link(one.path, one.name)} <span class='pale'>{one.score:.3f}</span></p>"
        + html.panels(one.panels, TITLES, one.name)
        for one in examples
    ]
    return f"<h3>{heading.capitalize()}</h3>" + "".join(parts)


def config_parts(facts: Facts) -> list[str]:
    """Returns the fields that differ from a shipped page, and all fields."""
    differences = [[field, _shown(page), _shown(run)] for field, page, run in facts.differences]
    text = f"The shipped config with the fewest differences is {facts.page}."
    same = "" if differences else " No field differs."
    return [
        html.paragraph(text + same) if facts.page else "",
        html.table(("field", facts.page, "this run"), differences, name="table-differences"),
        html.fold("All fields", html.table(("field", "value"), [[k, _shown(v)] for k, v in facts.config.items()])),
    ]


def _shown(value: Any) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
