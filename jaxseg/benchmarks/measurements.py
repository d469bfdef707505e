"""From a config to rows of numbers."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from jaxseg.benchmarks import inputs, jaxseg_steps
from jaxseg.benchmarks.classes import class_count
from jaxseg.benchmarks.evaluation import evaluation_contenders
from jaxseg.benchmarks.peaks import peak_contenders
from jaxseg.benchmarks.predict_files import predict_files_contenders
from jaxseg.benchmarks.random_batches import image_sizes
from jaxseg.benchmarks.region_features import region_contenders
from jaxseg.benchmarks.rows import block_rows
from jaxseg.benchmarks.timing import Contender, alternate
from jaxseg.benchmarks.torch_import import frameworks_for
from jaxseg.data.sources import open_source
from jaxseg.run.experiment import Experiment, build, resolve
from jaxseg.run.machine import device_name, library_versions
from jaxseg.run.scored_splits import scored_splits
from jaxseg.types import Source

MODES = ("eager", "channels_last", "compiled")
NEED_DATA = ("input", "evaluate")
ONLY_BY_NAME = ("predict_files",)  # It predicts a folder of 200 photographs per turn.


class Options(NamedTuple):
    """What the command was asked for.

    Attributes:
      what: "train", "predict", "input", "evaluate", "roi_align", "predict_files" or "all".
      against_torch: whether to measure PyTorch too.
      modes: PyTorch's, some of ``MODES``.
      rounds: how many turns each contender has.
      seconds: how long a turn lasts.
      classes: number of classes, without opening the data; 0 uses that of the data set.
    """

    what: str = "all"
    against_torch: bool = False
    modes: tuple[str, ...] = MODES
    rounds: int = 7
    seconds: float = 1.0
    classes: int = 0


class Subject(NamedTuple):
    """What is measured: a config made concrete, the data where it was opened, and how to measure."""

    experiment: Experiment
    source: Source | None
    options: Options


def measure_config(config: ml_collections.ConfigDict, name: str, options: Options) -> list[dict[str, Any]]:
    """Measures a config.

    Args:
      config: the experiment.
      name: the config's, for the rows.
      options: what to measure.

    Returns:
      A row for each thing measured, see ``jaxseg/benchmarks/README.md``.

    Raises:
      ValueError: the config contradicts itself, its data or the devices, or PyTorch cannot be compared with.
    """
    whats = _chosen(config, options)
    unknown = [mode for mode in options.modes if mode not in MODES]
    if unknown:
        raise ValueError(f"--modes has {unknown[0]!r}; known are {', '.join(MODES)}")
    versions = library_versions(frameworks_for(config.model.name) if options.against_torch else ())
    subject = _subject(config, options, needs_data=not set(whats).isdisjoint(NEED_DATA))
    rows = []
    for what in whats:
        with contextlib.ExitStack() as resources:
            contenders = MEASURED[what](subject, resources)
            print(f"measuring {what}: {', '.join(one.mode for one in contenders)}", flush=True)
            timings = alternate(contenders, options.rounds, options.seconds)
            facts = _facts(subject, name, what, versions)
            rows += [facts | row for row in block_rows(what, contenders, timings)]
            del contenders  # before the next ones need the memory
    return rows


def _chosen(config: ml_collections.ConfigDict, options: Options) -> list[str]:
    """Returns what to measure, in order: RoIAlign only of detectors, scoring only where there is something to score."""
    known = {
        "roi_align": config.task == "instances",
        "evaluate": bool(scored_splits(config)),
    }
    known = [what for what in MEASURED if known.get(what, True)]
    if options.what == "all":
        # Without the data, all there is to measure is the network.
        known = [what for what in known if what not in ONLY_BY_NAME]
        return [what for what in known if what not in NEED_DATA or not options.classes]
    if options.what not in known:
        raise ValueError(f"--what is {options.what!r}; known for this config are {', '.join([*known, 'all'])}")
    return [options.what]


def _subject(config: ml_collections.ConfigDict, options: Options, *, needs_data: bool) -> Subject:
    """Opens the data only where it is measured, and builds what training would build."""
    if options.classes and needs_data:
        raise ValueError(f"--classes does without the data, which --what {options.what} needs: leave it out")
    config = config.copy_and_resolve_references()
    if not needs_data:
        source = None
        classes = options.classes or class_count(config)
        names = tuple(f"class {number}" for number in range(classes))
        palette = np.zeros((classes, 3), np.uint8)
        if config.train.steps is None:  # without data, only the learning rate depends on it
            config.train.steps = config.optimizer.warmup_steps + 1000
    else:
        source = open_source(config.data, config.data.train)
        names, palette = source.class_names, source.palette
    # PyTorch's network runs on one device.
    devices = jax.devices()[:1] if options.against_torch else None
    return Subject(build(resolve(config, source), names, palette, devices), source, options)


def _train(subject: Subject, resources: contextlib.ExitStack) -> list[Contender]:
    del resources
    state = jaxseg_steps.first_state(subject.experiment)
    others = _counterparts(subject, state, training=True)  # it copies from the state, which the step uses up
    return [jaxseg_steps.train_contender(subject.experiment, state), *others, *_peaks(subject)]


def _predict(subject: Subject, resources: contextlib.ExitStack) -> list[Contender]:
    del resources
    state = jaxseg_steps.lively_state(subject.experiment)
    others = _counterparts(subject, state, training=False)
    return [jaxseg_steps.predict_contender(subject.experiment, state), *others, *_peaks(subject)]


def _input(subject: Subject, resources: contextlib.ExitStack) -> list[Contender]:
    state = jaxseg_steps.first_state(subject.experiment)
    return inputs.input_contenders(subject.experiment, subject.source, state, resources)


def _evaluate(subject: Subject, resources: contextlib.ExitStack) -> list[Contender]:
    del resources
    experiment = subject.experiment
    data = experiment.config.data
    source = open_source(data, data[scored_splits(experiment.config)[0]])
    return evaluation_contenders(experiment, source, jaxseg_steps.lively_state(experiment))


def _predict_files(subject: Subject, resources: contextlib.ExitStack) -> list[Contender]:
    return predict_files_contenders(subject.experiment, jaxseg_steps.lively_state(subject.experiment), resources)


def _roi_align(subject: Subject, resources: contextlib.ExitStack) -> list[Contender]:
    del resources
    return region_contenders(subject.experiment, against_torch=subject.options.against_torch)


MEASURED: dict[str, Callable[[Subject, contextlib.ExitStack], list[Contender]]] = {
    "train": _train,
    "predict": _predict,
    "input": _input,
    "evaluate": _evaluate,
    "roi_align": _roi_align,
    "predict_files": _predict_files,
}


def _counterparts(subject: Subject, state: Any, *, training: bool) -> list[Contender]:
    if not subject.options.against_torch:
        return []
    from jaxseg.benchmarks.against_torch import torch_contenders

    return torch_contenders(subject.experiment, state, subject.options.modes, training=training)


def _peaks(subject: Subject) -> list[Contender]:
    experiment = subject.experiment
    return peak_contenders(experiment.config.precision, subject.options.seconds, experiment.mesh.devices.flat[0])


def _facts(subject: Subject, name: str, what: str, versions: dict[str, str]) -> dict[str, Any]:
    """Returns what all rows of a kind have in common."""
    config = subject.experiment.config
    return {
        "config": name,
        "batch_size": config.train.batch_size,
        "image_size": list(image_sizes(config, training=what not in ("predict", "evaluate"))[0]),
        "precision": config.precision,
        "device": device_name(subject.experiment.mesh.devices.flat),
        "versions": versions,
    }
