"""Inspects data before training: opens the splits of a config and writes ``index.html`` and ``data.json``."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from jaxseg.data.instances import batches as instance_batches
from jaxseg.data.report import Findings, Notice, describe_split, findings_of, to_json, write_data_json
from jaxseg.data.semantic import batches as semantic_batches
from jaxseg.data.sources import open_source
from jaxseg.data.split_checks import compare_splits
from jaxseg.data.statistics import Statistics, measure_split, spread
from jaxseg.reporting import pictures
from jaxseg.reporting.html import relative_path
from jaxseg.reporting.inspection_page import Picture, make_page
from jaxseg.reporting.panels import add_legend
from jaxseg.run.experiment import resolve
from jaxseg.storage import write_text
from jaxseg.types import InstanceBatch, Objects, Record, Source

SHOWN = 12  # images with annotations, and as many training examples


class Inspection(NamedTuple):
    """What an inspection found.

    Attributes:
      page: the page that was written.
      lines: what to print.
      problems: how many kinds of problems there are.
    """

    page: pathlib.Path
    lines: list[str]
    problems: int


def inspect_config(config: ml_collections.ConfigDict, folder: pathlib.Path) -> Inspection:
    """Inspects the data of a config and writes ``index.html`` and ``data.json`` into a folder.

    Args:
      config: the config.
      folder: where to write; made if needed.

    Raises:
      ValueError: the data cannot be opened.
    """
    kinds = [kind for kind in ("train", "val", "test") if config.data[kind]]
    sources = {kind: open_source(config.data, config.data[kind]) for kind in kinds}
    splits = {kind: measure_split(source) for kind, source in sources.items()}
    found = {kind: complete_findings(source, splits[kind]) for kind, source in sources.items()}
    notices: dict[str, Sequence[Notice]] = {kind: one.notices for kind, one in found.items()}
    notices["between splits"] = compare_splits(splits, {kind: source.files for kind, source in sources.items()})
    folder.mkdir(parents=True, exist_ok=True)
    annotated = draw_annotated(sources[kinds[0]], folder)
    title = f"{config.data.name}: {config.data.source_dir or 'generated'}"
    page = folder / "index.html"
    write_text(page, make_page(title, splits, notices, annotated, draw_augmented(config, sources)))
    content = {kind: dict(to_json(one)) for kind, one in found.items()}
    write_data_json(folder, content | {"between": [one._asdict() for one in notices["between splits"]]})
    lines = [line for kind, one in found.items() for line in describe_split(kind, one)]
    lines += [f"  {notice}" for notice in notices["between splits"]]
    return Inspection(page, lines, sum(notice.is_problem for some in notices.values() for notice in some))


def complete_findings(source: Source, statistics: Statistics) -> Findings:
    """Returns what a source found in its files, with the numbers of the split where it did not look."""
    found = findings_of(source)
    if not found.shares and statistics.shares is not None:
        found = found._replace(shares=tuple(map(float, statistics.shares)), counted=statistics.read)
    if not found.objects and statistics.objects is not None:
        empty = int(np.count_nonzero(statistics.per_image == 0))
        found = found._replace(objects=tuple(map(int, statistics.objects)), crowds=statistics.crowds, empty=empty)
    return found if found.sizes is not None else found._replace(sizes=statistics.sizes)


def draw_annotated(source: Source, folder: pathlib.Path) -> list[Picture]:
    """Returns some images of a split, evenly spread, with their annotations."""
    shown = []
    for index in spread(len(source.records), SHOWN).tolist():
        record = source.records[index]
        path = relative_path(source.files[index], folder) if source.files else ""
        shown.append(Picture(record.name, path, draw_record(record, source)))
    return shown


def draw_record(record: Record, source: Source) -> np.ndarray:
    """Returns an image with its label map and legend, or with its objects."""
    if record.label is not None and (record.objects is None or source.catalogue is None):
        return pictures.overlay_with_legend(record.image, record.label, source.palette, source.class_names)
    return draw_objects(record.image, record.objects, source)


def draw_objects(image: np.ndarray, objects: Objects, source: Source) -> np.ndarray:
    """Returns an image with its objects in the colors of their classes, as the table of classes has them."""
    titles = [
        f"{source.class_names[number]}{' (crowd)' if crowd else ''}"
        for number, crowd in zip(objects.classes, objects.crowd, strict=True)
    ]
    shown = pictures.Annotations(
        list(objects.masks != 0), objects.boxes, titles, np.asarray(source.palette)[objects.classes]
    )
    return pictures.instances(image, shown)


def draw_augmented(config: ml_collections.ConfigDict, sources: Mapping[str, Source]) -> list[Picture]:
    """Returns the first training examples exactly as the model gets them; none without a training split."""
    if "train" not in sources:
        return []
    source, module = sources["train"], MODULES[config.task]
    data = resolve(config, source).data
    with data.unlocked():
        data.workers = 0  # batches do not depend on it
        data.augment_on = "host"  # The device would show the same.
    size = config.train.batch_size
    shown: list[Picture] = []
    with module.train_batches(source, data, batch_size=size, seed=config.seed, start_step=0) as batches:
        while len(shown) < SHOWN:
            step, batch = len(shown) // size + 1, next(batches)
            rows = range(min(size, SHOWN - len(shown)))
            shown += [
                Picture(f"step {step}, example {row + 1}", "", DRAW[config.task](batch, row, source)) for row in rows
            ]
    return shown


def _draw_semantic(batch: Any, row: int, source: Source) -> np.ndarray:
    image, label = batch.image[row], np.asarray(batch.label[row])
    names, numbers = list(source.class_names), [n for n in range(len(source.class_names)) if (label == n).any()]
    background = pictures.background_classes(names)
    picture = pictures.overlay(image, label, source.palette, background=background)
    times = max(1, -(-pictures.VISIBLE // min(image.shape[:2])))
    picture = picture.repeat(times, axis=0).repeat(times, axis=1)
    return add_legend(picture, [names[number] for number in numbers], np.asarray(source.palette)[numbers])


def _draw_instances(batch: InstanceBatch, row: int, source: Source) -> np.ndarray:
    image = batch.image[row]
    usable = np.flatnonzero(batch.usable[row])
    masks = np.unpackbits(batch.masks[row][usable], axis=-1)[..., : image.shape[1]]
    objects = Objects(batch.boxes[row][usable], batch.classes[row][usable], masks, np.zeros(len(usable), bool))
    return draw_objects(image, objects, source)


MODULES = {"semantic": semantic_batches, "instances": instance_batches}
DRAW = {"semantic": _draw_semantic, "instances": _draw_instances}
