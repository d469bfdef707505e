"""Makes sure before step 1 that a run fits the memory of its devices: if it starts, it ends.

The training step and the evaluation are compiled for the largest batches that occur. Their programs say what they
need, and the run keeps them.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxseg.parallel.mesh import from_all_processes
from jaxseg.run.experiment import Experiment, build
from jaxseg.run.memory import (
    GB,
    REMEDIES,
    SMALLER_STEPS,
    CompiledStep,
    held_bytes,
    largest_that_fits,
    memory_limit,
    program_memory,
)
from jaxseg.types import AnyBatch, Source

TIGHT = 0.85  # Share of the memory above which a run is warned.


class Fitted(NamedTuple):
    """An experiment with compiled steps.

    Attributes:
      experiment: its steps keep the programs of the largest batches.
      needed: bytes per device, of the step that needs most; None if unknown.
    """

    experiment: Experiment
    needed: int | None


def fit_to_memory(
    experiment: Experiment, train: Source | None, scored: Sequence[Source], say: Callable[[str], None]
) -> Experiment:
    """Returns the experiment with steps that fit, and says what they need.

    Args:
      experiment: the run; "auto" for ``train.accumulate`` is replaced by the fewest microbatches that fit.
      train: the training split; None for a run that only evaluates.
      scored: the splits that are evaluated.
      say: called with a line for people.

    Raises:
      ValueError: the batch does not fit. The message names the largest that does.
    """
    limit = agreed_limit(experiment.config.memory_limit)
    one = experiment.task.data, experiment.config.data
    largest = [] if train is None else [one[0].largest_batch(train, one[1], training=True)]
    evaluated = [one[0].largest_batch(source, one[1], training=False) for source in scored]
    compiled = partial(compile_for, experiment, largest, evaluated)
    config = experiment.config.train
    if config.accumulate == "auto":
        fitted = fewest_microbatches(experiment, compiled, limit)
        say(describe_microbatches(fitted.experiment))
    else:
        fitted = compiled(config.batch_size, config.accumulate)
        if not fits(fitted, limit):
            raise ValueError(explain_misfit(experiment, compiled, fitted, limit))
    if fitted.needed is not None and limit is not None:
        say(f"needs {describe_share(fitted.needed, limit)}")
        if fitted.needed > TIGHT * limit:
            say(f"memory is tight. If the run is killed: {REMEDIES}.")
    return fitted.experiment


def compile_for(
    experiment: Experiment,
    trained: Sequence[AnyBatch],
    evaluated: Sequence[AnyBatch],
    batch_size: int,
    microbatches: int,
) -> Fitted:
    """Compiles the steps of an experiment for another batch.

    Args:
      experiment: the run.
      trained: the largest batch of training, if it trains; one row.
      evaluated: the largest batch of each split that is evaluated; one row.
      batch_size: images per step.
      microbatches: parts that a step computes one after the other; an evaluation takes one at a time.
    """
    changed = _changed(experiment, batch_size, microbatches)
    train, evaluate = CompiledStep(changed.steps.train), CompiledStep(changed.steps.evaluate)
    state = held_bytes(changed.steps.abstract_state)
    rows = batch_size // microbatches
    needs = [_needed(changed, train, batch, batch_size) for batch in trained]
    needs += [_needed(changed, evaluate, batch, rows) for batch in _distinct(evaluated)]
    known = [need for need in needs if need is not None]
    steps = changed.steps._replace(train=train, evaluate=evaluate)
    needed = state + max(known, default=0) if len(known) == len(needs) else None
    return Fitted(changed._replace(steps=steps), needed)


def fewest_microbatches(experiment: Experiment, compiled: Callable[[int, int], Fitted], limit: float | None) -> Fitted:
    """Returns the experiment with the fewest microbatches that fit, by bisection.

    Raises:
      ValueError: not even one image per device and microbatch fits.
    """
    batch_size = experiment.config.train.batch_size
    fitted = compiled(batch_size, 1)
    if fits(fitted, limit):
        return fitted
    per_device = batch_size // _shares(experiment)
    counts = [count for count in range(2, per_device + 1) if per_device % count == 0]
    best = None
    while counts:
        middle = (len(counts) - 1) // 2
        fitted = compiled(batch_size, counts[middle])
        if fits(fitted, limit):
            best, counts = fitted, counts[:middle]
        else:
            counts = counts[middle + 1 :]
    if best is None:
        share = describe_share(fitted.needed, limit)
        raise ValueError(
            f"train.accumulate is auto, but one image at a time needs {share}. To need less, {SMALLER_STEPS}."
        )
    return best


def explain_misfit(
    experiment: Experiment, compiled: Callable[[int, int], Fitted], fitted: Fitted, limit: float | None
) -> str:
    """Returns what to do about a batch that does not fit; compiles to find the largest that does."""
    config = experiment.config.train
    unit = _shares(experiment) * config.accumulate
    known = {config.batch_size // unit: fitted.needed or math.inf}
    most = largest_that_fits(lambda count: compiled(count * unit, config.accumulate).needed, limit, known)
    told = f"train.batch_size is {config.batch_size}, which needs {describe_share(fitted.needed, limit)}"
    if not most:
        return f"{told}; no smaller batch fits. To need less, {SMALLER_STEPS}."
    return f"{told}; expected at most {most * unit}. {REMEDIES}."


def fits(fitted: Fitted, limit: float | None) -> bool:
    """Returns whether the steps fit; what is unknown is taken to fit."""
    return fitted.needed is None or limit is None or fitted.needed <= limit


def describe_share(needed: float | None, limit: float | None) -> str:
    """Returns a text such as "11.3 of 16 GB per device".

    >>> describe_share(11.28e9, 16e9)
    '11.3 of 16 GB per device'
    """
    return f"{(needed or 0) / GB:.3g} of {(limit or 0) / GB:.3g} GB per device"


def describe_microbatches(experiment: Experiment) -> str:
    """Returns what "auto" has chosen, and what it changes."""
    train = experiment.config.train
    rows = train.batch_size // train.accumulate
    text = f"train.accumulate is auto: {train.accumulate} microbatch(es) of {rows} images"
    if train.accumulate > 1 and has_live_norms(experiment):
        text += f"; batch norms see {rows} images at a time"
    return text


def has_live_norms(experiment: Experiment) -> bool:
    """Returns whether norms of the model use the statistics of a batch; frozen ones also keep their scale there."""
    paths = jax.tree_util.tree_leaves_with_path(experiment.steps.abstract_state.batch_stats)
    names = [tuple(entry.key for entry in path) for path, _ in paths]
    frozen = {name[:-1] for name in names if name[-1] == "scale"}
    return any(name[:-1] not in frozen for name in names)


def agreed_limit(given: float) -> float | None:
    """Returns the least limit of all processes, so that all of them decide alike; None if one does not know it."""
    limit = memory_limit(given)
    limits = np.frombuffer(b"".join(from_all_processes(np.float64(limit or 0).tobytes())))
    return float(limits.min()) or None


def _changed(experiment: Experiment, batch_size: int, microbatches: int) -> Experiment:
    """Returns an experiment with another batch."""
    config = experiment.config
    if (config.train.batch_size, config.train.accumulate) == (batch_size, microbatches):
        return experiment
    config = config.copy_and_resolve_references()
    with config.unlocked(), config.train.ignore_type():
        config.train.batch_size, config.train.accumulate = batch_size, microbatches
    classes = experiment.task.classes
    return build(config, classes.names, classes.palette, list(experiment.mesh.devices.flat))


def _needed(experiment: Experiment, step: CompiledStep, batch: AnyBatch, rows: int) -> int | None:
    """Returns the bytes that a device needs for a step beyond the state; None if unknown."""
    steps = experiment.steps
    allocated = program_memory(step.program(_abstract_state(experiment), steps.shapes(batch, rows)))
    one = sum(leaf.nbytes for leaf in jax.tree.leaves(batch))
    return None if allocated is None else allocated + one * rows // experiment.mesh.size


def _abstract_state(experiment: Experiment) -> Any:
    """Returns the shapes of a state; pmap does not take shardings."""
    state = experiment.steps.abstract_state
    if experiment.config.parallel == "jit":
        return state
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)


def _distinct(batches: Sequence[AnyBatch]) -> list[AnyBatch]:
    """Returns the batches without those of equal shapes."""
    return list({str(jax.tree.map(lambda leaf: leaf.shape, batch)): batch for batch in batches}.values())


def _shares(experiment: Experiment) -> int:
    """Returns over how many devices a batch is divided."""
    return experiment.mesh.shape["data"] * experiment.mesh.shape["fsdp"]
