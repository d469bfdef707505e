"""jaxseg's own training step and predictions, compiled as training compiles them."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxseg.benchmarks.flops import count_flops
from jaxseg.benchmarks.random_batches import image_sizes, random_batch, random_boxes, random_training_batch
from jaxseg.benchmarks.timing import Contender
from jaxseg.ops.padding import padded_to_stride
from jaxseg.parallel.mesh import batch_sharding
from jaxseg.run.experiment import Experiment, build
from jaxseg.run.state import TrainState
from jaxseg.types import Batch, InstanceBatch

BOXES = 64  # an image, on which the class logits are centered


def train_contender(experiment: Experiment, state: TrainState) -> Contender:
    """Measures the training step on one random batch, repeatedly; the state given is used up."""
    steps = experiment.steps
    size = image_sizes(experiment.config, training=True)[0]
    batch = steps.place(random_training_batch(experiment.config, len(experiment.task.classes.names), size))
    flops = count_flops(_plain(experiment).steps.train, state, batch)
    program, seconds = compiled(steps.train, state, batch)
    held = [state]

    def run(count: int) -> None:
        for _ in range(count):
            held[0], logs = program(held[0], batch)
        jax.block_until_ready((held[0], logs))

    return _contender(experiment, run, program, seconds, flops)


def predict_contender(experiment: Experiment, state: TrainState) -> Contender:
    """Measures the predictions for one random batch, which are left on the device."""
    predict = experiment.steps.predict_batch
    inputs = on_mesh(experiment, predict_inputs(experiment))
    flops = count_flops(_plain(experiment).steps.predict_batch, state, *inputs)
    program, seconds = compiled(predict, state, *inputs)

    def run(count: int) -> None:
        for _ in range(count):
            predictions = program(state, *inputs)
        jax.block_until_ready(predictions)

    return _contender(experiment, run, program, seconds, flops)


def _plain(experiment: Experiment) -> Experiment:
    """Returns the same experiment without the forms for CPUs, which need fewer multiplications than a layer has."""
    task, devices = experiment.task, list(experiment.mesh.devices.flat)
    return build(experiment.config, task.classes.names, task.classes.palette, devices, cpu_kernels=False)


def predict_inputs(experiment: Experiment) -> tuple[Any, ...]:
    """Returns what the task's ``predict`` takes, of a random batch."""
    config = experiment.config
    batch = random_batch(config, len(experiment.task.classes.names), image_sizes(config, training=False)[0])
    return as_predict_takes(config, batch)


def on_mesh(experiment: Experiment, arrays: tuple[Any, ...]) -> list[jax.Array]:
    """Puts arrays ``[b, ...]`` on the devices, divided as batches are."""
    return [jax.device_put(array, batch_sharding(experiment.mesh, array.ndim)) for array in arrays]


def as_predict_takes(config: Any, batch: Batch | InstanceBatch) -> tuple[Any, ...]:
    """Returns the arguments that the task's ``predict`` takes besides the state, of a batch."""
    if config.task != "instances":
        return (batch.image,)
    return normalized(config, batch.image), batch.sizes, np.asarray(padded_to_stride(batch.sizes))


def normalized(config: Any, image: np.ndarray) -> np.ndarray:
    """Normalizes uint8 images ``[..., 3]`` to float32, as models take them."""
    return ((image / config.data.scale - config.data.mean) / config.data.std).astype(np.float32)


def compiled(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Returns the program that a jitted function runs on such arguments, and the seconds of tracing and compiling."""
    start = time.perf_counter()
    program = function.lower(*arguments).compile()
    return program, time.perf_counter() - start


def first_state(experiment: Experiment) -> TrainState:
    """Returns a run's state before its first step, with activations that neither explode nor vanish.

    Frozen norms are meant to come with a trained network; in front of random numbers, they let the variance grow from
    block to block. Dividing by 2 keeps it in bounds.
    """
    state = experiment.steps.init()
    statistics = flatten_dict(state.batch_stats)
    frozen = [path for path in statistics if path[-1] == "var" and (*path[:-1], "scale") in statistics]
    calm = unflatten_dict(statistics | {path: 4 * statistics[path] for path in frozen})
    return state._replace(batch_stats=calm)


def lively_state(experiment: Experiment) -> TrainState:
    """Returns the first state of a detector that finds something: a random one scores all boxes nearly alike.

    The logits of each class get the mean 0 and the standard deviation 2 over random boxes of a random batch. Then there
    are about as many detections as there is room for.
    """
    state = first_state(experiment)._replace(ema={})  # averages of numbers that are about to change
    if experiment.config.task != "instances":
        return state
    image, sizes, extents = predict_inputs(experiment)
    rng = np.random.default_rng(experiment.config.seed)
    boxes = np.stack([random_boxes(rng, BOXES, size) for size in sizes])
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    model = experiment.task.model.module
    logits = jax.jit(lambda *inputs: model.apply(variables, *inputs, method=_class_logits))(image, boxes, extents)
    mean, scale = logits.mean(axis=(0, 1)), 2 / jnp.maximum(logits.std(axis=(0, 1)), 1e-6)
    head = state.params["box_head"]
    score = {"kernel": head["cls_score"]["kernel"] * scale[None], "bias": -mean * scale}
    return state._replace(params=state.params | {"box_head": head | {"cls_score": score}})


def _class_logits(model: Any, image: jax.Array, boxes: jax.Array, extents: jax.Array) -> jax.Array:
    pyramid = model.pyramid(image, extents)
    return model.box_outputs(pyramid, boxes, jnp.ones(boxes.shape[:2], bool), extents)[0]


def _contender(experiment: Experiment, run: Callable, program: Any, seconds: float, flops: int) -> Contender:
    devices = experiment.mesh.size
    return Contender(
        "jaxseg",
        experiment.config.parallel,
        run,
        images=experiment.config.train.batch_size,
        compile_seconds=seconds,
        peak_bytes=lambda: memory_needed(program),
        flops=flops / devices,
        bytes_moved=program.cost_analysis().get("bytes accessed"),
    )


def memory_needed(program: Any) -> int | None:
    """Returns the bytes that a program needs at once on a device: arguments, results and everything between."""
    memory = program.memory_analysis()
    if memory is None:
        return None
    return (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
    )
