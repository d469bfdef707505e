"""The page of ``jaxseg inspect``: what was read, what is wrong with it, and what the model gets."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxseg.data.coco.classes import UNUSED
from jaxseg.data.report import Notice
from jaxseg.data.statistics import Statistics
from jaxseg.reporting import html
from jaxseg.reporting.svg import draw_bars

BINS = (0, 1, 2, 3, 6, 11, 21, 51, 101)  # ranges of objects per image: from each to below the next


class Picture(NamedTuple):
    """A picture of the page: its title, its file or "", and uint8 ``[h, w, 3]``."""

    title: str
    path: str
    image: np.ndarray


def make_page(
    title: str,
    splits: Mapping[str, Statistics],
    notices: Mapping[str, Sequence[Notice]],
    annotated: Sequence[Picture],
    augmented: Sequence[Picture],
) -> str:
    """Returns the page.

    Args:
      title: the heading.
      splits: the numbers of each split.
      notices: by heading, such as the name of a split; those that are no problems come in a section of their own.
      annotated: images with their annotations.
      augmented: training examples as the model gets them.
    """
    pairs = [(where, notice) for where, some in notices.items() for notice in some]
    problems = [show_notice(*pair) for pair in pairs if pair[1].is_problem]
    notes = [show_notice(*pair) for pair in pairs if not pair[1].is_problem]
    found = "No problem was found." if not problems else f"Kinds of problems: {len(problems)}."
    return html.page(
        title,
        html.cards({f"images of {name}": f"{one.images:,}" for name, one in splits.items()}),
        html.section("Problems", html.paragraph(found), *problems, name="problems"),
        html.section("Notes", *notes, name="notes"),
        html.section("Splits", split_table(splits), name="splits"),
        html.section("Classes", class_table(splits), name="classes"),
        html.section("Objects per image", *object_charts(splits), name="objects"),
        html.section("Images with annotations", photos(annotated), name="annotated"),
        html.section(
            "Training examples as the model gets them",
            html.paragraph(
                "The first examples of the run: resized, augmented and cropped with the seed of the config."
            ),
            photos(augmented),
            name="augmented",
        )
        if augmented
        else "",
    )


def show_notice(where: str, notice: Notice) -> str:
    """Returns a notice with its first file and its remedy; only a problem has the color of one."""
    count = f"{notice.count:,} of {notice.total:,}" if notice.total else f"{notice.count:,}"
    remedy = f"<br>{html.escape(notice.remedy)}." if notice.remedy else ""
    kind = "problem" if notice.is_problem else "problem fine"
    return (
        f'<div class="{kind}"><b>{html.escape(where)}:</b> {count} {html.escape(notice.noun)} '
        f'{html.escape(notice.text)}<br><span class="pale">first: {html.escape(notice.first)}</span>{remedy}</div>'
    )


def split_table(splits: Mapping[str, Statistics]) -> str:
    """Returns a table of the splits: images, sizes, objects, values."""
    rows = []
    for name, one in splits.items():
        heights, widths = one.sizes.T if len(one.sizes) else (np.zeros(1, int), np.zeros(1, int))
        spread = f"{widths.min()}x{heights.min()} to {widths.max()}x{heights.max()}"
        median = f"{int(np.median(widths))}x{int(np.median(heights))}"
        objects = None if one.objects is None else int(one.objects.sum())
        values = "{:.0f} / {:.0f} / {:.0f}".format(*one.values)
        rows.append([name, one.images, spread, median, objects, one.crowds, values, one.read])
    head = (
        "split",
        "images",
        "sizes",
        "median size",
        "objects",
        "crowds",
        "values: least / mean / most",
        "images read",
    )
    return html.table(head, rows, name="table-splits")


def class_table(splits: Mapping[str, Statistics]) -> str:
    """Returns a table of the classes: their share of the pixels and their number of objects in each split."""
    first = next(iter(splits.values()))
    columns = []
    for name, one in splits.items():
        same = one.class_names == first.class_names
        if one.shares is not None and same:
            columns.append((f"{name}: share of pixels", [float(share) for share in one.shares]))
        if one.objects is not None and same:
            columns.append((f"{name}: objects", [int(count) for count in one.objects]))
    rows = [
        [html.swatch(first.palette[number], name), *(values[number] for _, values in columns)]
        for number, name in enumerate(first.class_names)
        if name != UNUSED
    ]
    return html.table(("class", *(head for head, _ in columns)), rows, name="table-classes")


def object_charts(splits: Mapping[str, Statistics]) -> list[str]:
    """Returns a chart per split: in how many images there are how many objects."""
    charts = []
    for name, one in splits.items():
        if one.per_image is None or not len(one.per_image):
            continue
        counts = np.histogram(one.per_image, (*BINS, np.inf))[0]
        last = int(np.flatnonzero(counts)[-1]) + 1
        labels = [f"{low}" if high == low + 1 else f"{low} to {high - 1}" for low, high in itertools.pairwise(BINS)] + [
            f"{BINS[-1]} and more"
        ]
        charts.append(draw_bars(f"{name}: images by number of objects", labels[:last], counts[:last].tolist()))
    return [f'<div class="charts">{"".join(charts)}</div>'] if charts else []


def photos(pictures: Sequence[Picture]) -> str:
    """Returns pictures with their titles; a title is a link where there is a file."""
    if not pictures:
        return ""
    figures = [
        f"<figure>{html.picture(one.image, one.title, 420)}"
        f"<figcaption>{html.link(one.path, one.title)}</figcaption></figure>"
        for one in pictures
    ]
    return f'<div class="photos">{"".join(figures)}</div>'
