"""The report of a run, ``report.html``: one file with scores, curves, errors and examples."""

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxseg.metrics.details import Details
from jaxseg.reporting import html
from jaxseg.reporting.report_parts import (
    Example,
    Facts,
    calibration_part,
    config_parts,
    confusion_table,
    curves,
    error_parts,
    gallery,
    precision_recall,
    score_tables,
)
from jaxseg.storage import write_text

# What the last panel of an example shows.
PIXELS_DIFFER = "In the difference, wrong pixels are hatched."
OBJECTS_DIFFER = (
    "In the difference, pixels of objects that were not found are blue. Hatched pixels have no object, or their object "
    "has another class. A found object has the color of the true object that it is."
)


def write_report(
    folder: pathlib.Path,
    facts: Facts,
    lines: Sequence[dict[str, Any]],
    scores: Mapping[str, Mapping[str, Any]],
    details: Details,
    examples: Mapping[str, Sequence[Example]],
) -> pathlib.Path:
    """Writes ``report.html``, ``per_image.csv`` and, for label maps, ``confusion_matrix.csv``; returns the report.

    Args:
      folder: where to write.
      facts: what is said about the run.
      lines: the lines of ``metrics.jsonl``, for the curves.
      scores: the scores by kind of split.
      details: the details of the evaluation of ``facts.split``.
      examples: images by heading: "worst", "median" and "best".
    """
    write_per_image(folder / "per_image.csv", facts, details)
    if details.confusion is not None:
        write_confusion(folder / "confusion_matrix.csv", details.confusion, facts.class_names)
    path = folder / "report.html"
    write_text(path, make_page(facts, lines, scores, details, examples))
    return path


def make_page(
    facts: Facts,
    lines: Sequence[dict[str, Any]],
    scores: Mapping[str, Mapping[str, Any]],
    details: Details,
    examples: Mapping[str, Sequence[Example]],
) -> str:
    """Returns the page, see ``write_report``."""
    return html.page(
        facts.title,
        html.cards(facts.summary),
        html.section("Curves", curves(lines), name="curves"),
        html.section("Scores", *score_tables(scores, facts), name="scores"),
        html.section("Confusion", confusion_table(details.confusion, facts), name="confusion"),
        html.section("Precision and recall", precision_recall(details), name="precision-recall"),
        html.section("What errors cost", *error_parts(details), name="errors"),
        html.section("Calibration", calibration_part(details), name="calibration"),
        html.section(
            "Worst, median and best images",
            html.paragraph(f"Images of the split {facts.split}, ranked by {details.ranked_by}. All: per_image.csv."),
            html.paragraph(OBJECTS_DIFFER if details.confusion is None else PIXELS_DIFFER),
            *(gallery(heading, part) for heading, part in examples.items()),
            name="examples",
        )
        if any(examples.values())
        else "",
        html.section("Config", *config_parts(facts), name="config"),
        html.section(
            "Machine and versions", html.table(("", ""), [list(item) for item in facts.machine.items()]), name="machine"
        ),
    )


def write_per_image(path: pathlib.Path, facts: Facts, details: Details) -> None:
    """Writes the scores of each image as CSV."""
    columns = list(dict.fromkeys(name for one in details.images for name in one.values))
    rows: list[list[Any]] = [["image", "file", *columns]]
    for one in details.images:
        values = ["" if one.values.get(name) is None else one.values[name] for name in columns]
        rows.append([facts.names[one.index], facts.files[one.index], *values])
    _write_csv(path, rows)


def write_confusion(path: pathlib.Path, confusion: np.ndarray, class_names: Sequence[str]) -> None:
    """Writes a confusion matrix as CSV: a row per true class, a column per predicted class, in pixels."""
    rows = [[name, *map(int, row)] for name, row in zip(class_names, confusion, strict=True)]
    _write_csv(path, [["truth", *class_names], *rows])


def _write_csv(path: pathlib.Path, rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_text(path, text.getvalue())
