"""The input pipeline alone, decoding of the same images alone, and the training step that the pipeline feeds."""

import contextlib
import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax

from jaxseg.benchmarks.jaxseg_steps import compiled
from jaxseg.benchmarks.random_batches import image_sizes, random_training_batch
from jaxseg.benchmarks.timing import Contender
from jaxseg.data.stream import AHEAD, AHEAD_EACH, BatchStream
from jaxseg.run.experiment import Experiment
from jaxseg.run.machine import available_cores
from jaxseg.run.state import TrainState
from jaxseg.types import Source


def input_contenders(
    experiment: Experiment, source: Source, state: TrainState, resources: contextlib.ExitStack
) -> list[Contender]:
    """Returns the pipeline alone, decoding alone, the step alone and the step that the pipeline feeds.

    Where the config asks for a cache, it is filled first.

    Args:
      experiment: the run.
      source: the training split.
      state: the state that the step begins with; the step donates its memory.
      resources: closes what was opened, after the measurements.
    """
    config = experiment.config
    size = config.train.batch_size
    stream = resources.enter_context(_stream(experiment, source))
    if config.task == "semantic" and config.data.cache and source.fingerprint:
        _take(stream, math.ceil(len(source.records) / size))
    feeding = Steps(experiment, state)
    first = feeding.place(
        random_training_batch(config, len(experiment.task.classes.names), image_sizes(config, training=True)[0])
    )
    ahead = 1 + (AHEAD_EACH * config.data.workers or AHEAD)

    def drain() -> None:  # what was prepared while other contenders ran does not count
        _take(stream, ahead)

    decoding = _decoding(source, size, resources)
    return [
        Contender("jaxseg", "pipeline", lambda count: _take(stream, count), size, drain),
        Contender("jaxseg", "bare decoding", decoding, size),
        Contender("jaxseg", "step alone", lambda count: feeding.run(itertools.repeat(first, count)), size),
        Contender(
            "jaxseg",
            "pipeline and step",
            lambda count: feeding.run(map(feeding.place, itertools.islice(stream, count))),
            size,
            drain,
        ),
    ]


class Steps:
    """The training step of one state, compiled for all the sizes that batches can have.

    Args:
      experiment: the run.
      state: the state to begin with; the step donates its memory.
    """

    def __init__(self, experiment: Experiment, state: TrainState):
        config, classes = experiment.config, len(experiment.task.classes.names)
        self.place = experiment.steps.place
        self._state = state
        self._programs = {}
        for size in image_sizes(config, training=True):
            batch = self.place(random_training_batch(config, classes, size))
            self._programs[batch.image.shape], _ = compiled(experiment.steps.train, state, batch)

    def run(self, batches: Any) -> None:
        """Measures one step per batch; as in training, one more batch is fetched while the device works."""
        waiting = None
        for batch in batches:
            self._state, logs = self._programs[batch.image.shape](self._state, batch)
            jax.block_until_ready(waiting)
            waiting = logs
        jax.block_until_ready((self._state, waiting))


def _stream(experiment: Experiment, source: Source) -> BatchStream:
    config = experiment.config
    return experiment.task.data.train_batches(
        source, config.data, batch_size=config.train.batch_size, seed=config.seed, start_step=0
    )


def _take(stream: BatchStream, count: int) -> None:
    for _ in range(count):
        next(stream)


def _decoding(source: Source, size: int, resources: contextlib.ExitStack) -> Any:
    """Measures reading records as fast as threads on all cores can, and doing nothing with them."""
    pool = resources.enter_context(ThreadPoolExecutor(available_cores()))
    numbers = itertools.cycle(range(len(source.records)))

    def run(count: int) -> None:
        for _ in pool.map(source.records.__getitem__, list(itertools.islice(numbers, count * size))):
            pass

    return run
