"""Makes the report of a run: collects facts, chooses images, predicts them and writes ``report.html``."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxseg.config import pages
from jaxseg.inference import EXAMPLE_PANELS
from jaxseg.metrics.details import Details
from jaxseg.metrics.per_image import choose_extremes
from jaxseg.parallel.processes import is_main_process
from jaxseg.reporting.console import duration
from jaxseg.reporting.html import relative_path
from jaxseg.reporting.log import read_lines
from jaxseg.reporting.report import write_report
from jaxseg.reporting.report_parts import Example, Facts
from jaxseg.run import workdir
from jaxseg.run.experiment import Experiment
from jaxseg.run.goodput import describe_shares
from jaxseg.run.sessions import read_sessions
from jaxseg.run.state import TrainState
from jaxseg.types import Source

Panels = tuple[np.ndarray, ...]
EXTREMES = 12  # images of each kind: worst, median, best
SHOWN_SCORES = ("mean_iou", "pixel_accuracy", "segm_AP", "bbox_AP", "segm_AP50")


def make_report(
    experiment: Experiment,
    state: TrainState,
    source: Source,
    kind: str,
    scores: Mapping[str, Mapping[str, Any]],
    details: Details,
    folder: pathlib.Path,
    views: str = "",
    draw: Callable[[Source, Sequence[int]], Sequence[Panels]] | None = None,
) -> None:
    """Writes the report of a state. All processes call it, since all hold a part of the state.

    Args:
      experiment: the run.
      state: the evaluated state.
      source: the split that is reported in detail.
      kind: the kind of this split: "val" or "test".
      scores: the scores by kind of split.
      details: the details of its evaluation.
      folder: the workdir.
      views: description of the views that were predicted of each image; "" for one view of the whole image.
      draw: returns the panels of some images of the split; only the main process calls it. None predicts one view of
        each whole image, in all processes.
    """
    chosen = choose_extremes(details.images, EXTREMES)
    indices = [one.index for part in chosen.values() for one in part]
    if draw is None:
        predict = partial(experiment.steps.predict, state)
        pictures = EXAMPLE_PANELS[experiment.config.task](experiment.config, source, predict, indices)
    if not is_main_process():
        return
    if draw is not None:
        pictures = draw(source, indices)
    panels = dict(zip(indices, pictures, strict=True))
    files = [relative_path(file, folder) for file in source.files] or [""] * len(source.records)
    names = [pathlib.Path(file).stem for file in source.files] or [f"image {i}" for i in range(len(source.records))]
    examples = {
        heading: [Example(names[one.index], files[one.index], one.score, panels[one.index]) for one in part]
        for heading, part in chosen.items()
    }
    lines = [line for line in read_lines(folder / "metrics.jsonl") if line["step"] <= int(state.step)]
    facts = collect_facts(experiment, state, source, kind, scores, folder, names, files)
    if views:
        facts.summary["views of each image"] = views
    write_report(folder, facts, lines, scores, details, examples)


def collect_facts(
    experiment: Experiment,
    state: TrainState,
    source: Source,
    kind: str,
    scores: Mapping[str, Mapping[str, Any]],
    folder: pathlib.Path,
    names: list[str],
    files: list[str],
) -> Facts:
    """Returns what the report says about the run."""
    config = workdir.flatten(experiment.config.to_dict())
    page, differences = nearest_page(config)
    sessions = read_sessions(folder)
    parameters = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(state.params))
    summary = {
        f"{kind} {name.replace('_', ' ')}": f"{scores[kind][name]:.3f}"
        for name in SHOWN_SCORES
        if scores[kind].get(name) is not None
    }
    summary |= {
        "model": config["model.name"],
        "parameters": f"{parameters / 1e6:.3g} M",
        "data": config["data.name"],
        f"images of {kind}": f"{len(source.records):,}",
        "steps": f"{int(state.step):,}, batches of {config['train.batch_size']}",
    }
    machine = {}
    if sessions:
        last = sessions[-1]
        seconds = sum(one.get("seconds", 0) for one in sessions)
        summary["time"] = duration(seconds) + (f" in {len(sessions)} sessions" if len(sessions) > 1 else "")
        if last.get("images_per_second"):
            summary["training speed"] = f"{last['images_per_second']:.1f} images/s"
        machine = {
            "device": last["devices"],
            "processes": str(last["processes"]),
            "peak memory": last.get("peak_memory", "not measured"),
            "compile time": f"{last['compile_seconds']:.0f} s" if "compile_seconds" in last else "not measured",
            **({"where the time went": describe_shares(last["goodput"])} if "goodput" in last else {}),
            "first started": sessions[0]["started"],
            **last["versions"],
        }
    return Facts(
        title=f"{folder.resolve().name}: {config['model.name']} on {config['data.name']}",
        split=kind,
        step=int(state.step),
        summary=summary,
        page=page,
        differences=differences,
        config=config,
        machine=machine,
        class_names=source.class_names,
        palette=source.palette,
        names=names,
        files=files,
    )


def nearest_page(config: Mapping[str, Any]) -> tuple[str, list[tuple[str, Any, Any]]]:
    """Returns the shipped page of this model and data with the fewest differing fields, and the differences.

    Without such a page, it is the nearest one of the same task.
    """
    candidates = []
    for name in pages.page_names():
        page = workdir.flatten(pages.load(name).to_dict())
        if page["task"] != config["task"]:
            continue
        fields = [field for field in sorted(page | config) if not _equal(page.get(field), config.get(field))]
        other = (page["model.name"], page["data.name"]) != (config["model.name"], config["data.name"])
        candidates.append((other, len(fields), name, [(one, page.get(one), config.get(one)) for one in fields]))
    if not candidates:
        return "", []
    _, _, name, differences = min(candidates, key=lambda one: one[:3])
    return name, differences


def _equal(page: Any, run: Any) -> bool:
    """Returns whether a field is unchanged, or was only resolved: a number of steps, a size as a pair."""
    if page is None or page == ():
        return True
    return (list(page) if isinstance(page, tuple) else page) == (list(run) if isinstance(run, tuple) else run)
