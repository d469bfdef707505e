"""The report of runs that were trained together: mean and spread of their scores, and a link to each report."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from jaxseg.reporting import html
from jaxseg.storage import write_text


def write_ensemble_page(
    folder: pathlib.Path,
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]],
    summary: Mapping[str, Mapping[str, tuple[float, float]]],
) -> None:
    """Writes ``report.html`` of several runs.

    Args:
      folder: the workdir of all.
      scores: by member and kind of split.
      summary: mean and standard deviation by kind of split and score.
    """
    members: Sequence[str] = list(scores)
    sections = [
        html.section(
            f"Scores of {kind}",
            html.table(
                ("score", "mean", "standard deviation", *members),
                [[name, *pair, *(scores[member][kind][name] for member in members)] for name, pair in found.items()],
                name=f"table-{kind}",
            ),
            name=kind,
        )
        for kind, found in summary.items()
    ]
    links = ", ".join(html.link(f"{member}/report.html", member) for member in members)
    reports = html.section("Reports of the runs", f"<p>{links}</p>", name="reports")
    write_text(folder / "report.html", html.page(f"{folder.name}: {len(members)} runs", *sections, reports))
