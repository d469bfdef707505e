"""Training with augmentation on the device: the steps of the host, on any number of devices."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from experiments import tiny_config, tiny_experiment

from jaxseg.run import state as states
from jaxseg.run.steps import train_step
from jaxseg.tasks.task import Loss
from jaxseg.types import Batch

FIELDS = {
    "data__crop_size": (24, 24),
    "data__augment__crop_scale": (0.6, 1.2),
    "data__augment__flip": True,
    "data__augment__contrast": 0.3,
    "optimizer__name": "sgd",
}

PIXELS = {"data__augment__rotation": 20.0, "data__augment__blur": 1.0, "data__augment__noise": 0.1}


def experiment_and_batches(devices, count, **fields):
    experiment, source = tiny_experiment(tiny_config(**FIELDS | fields), devices)
    options = {"batch_size": 8, "seed": 0, "start_step": 0}
    with experiment.task.data.train_batches(source, experiment.config.data, **options) as batches:
        return experiment, [next(batches) for _ in range(count)]


@pytest.mark.parametrize("devices", [2, 8])
@pytest.mark.parametrize("fields", [{}, PIXELS], ids=["separable", "rotated, blurred and noisy"])
def test_each_device_augments_its_own_images(devices, fields):
    """The pixels are the same on one device and on several, which do not communicate."""
    experiment, (batch,) = experiment_and_batches(jax.devices()[:devices], 1, data__augment_on="device", **fields)
    prepare, placed = jax.jit(experiment.task.loss.prepare), experiment.steps.place(batch)
    program = prepare.lower(placed).compile()
    assert not [word for word in ("all-", "collective") if word in program.as_text()]
    chex.assert_trees_all_equal(jax.device_get(program(placed)), jax.device_get(prepare(batch)))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_prepares_its_whole_batch_once(accumulate):
    prepared = []

    def prepare(batch):
        prepared.append(batch.image.shape)
        return batch._replace(image=batch.image + 1.0)

    def sums(params, batch_stats, batch, key, part):
        return {"x": jnp.sum(params * batch.image)}, {"x": batch.image.size}, batch_stats

    def combine(sums, counts):
        return sums["x"] / counts["x"], {}

    optimizer = optax.sgd(1.0)
    image = np.arange(4 * 3, dtype=np.float32).reshape(4, 1, 1, 3)  # The mean is 5.5, and 6.5 after prepare.
    batch = Batch(image, np.zeros((4, 1, 1), np.uint8), np.ones(4, bool))
    options = {"optimizer": optimizer, "schedule": optax.constant_schedule(1.0), "seed": 0, "accumulate": accumulate}
    state = states.create({"params": jnp.float32(10)}, optimizer, False)
    after, _ = train_step(state, batch, loss=Loss(sums, combine, prepare), **options)
    assert float(after.params) == pytest.approx(10 - 6.5)
    assert prepared == [(4, 1, 1, 3)]


def take_steps(devices, **fields):
    """The parameters after two steps, and the losses."""
    experiment, batches = experiment_and_batches(devices, 2, **fields)
    state, losses = experiment.steps.init({}), []
    for batch in batches:
        state, logs = experiment.steps.train(state, experiment.steps.place(batch))
        losses.append(float(logs["loss"]))
    return jax.device_get(state.params), losses


@pytest.fixture(scope="module")
def device():
    return take_steps(jax.devices()[:1], data__augment_on="device")


@pytest.mark.slow
def test_training_on_the_device_is_that_on_the_host(device):
    host = take_steps(jax.devices()[:1])
    np.testing.assert_allclose(device[1], host[1], rtol=2e-3)
    chex.assert_trees_all_close(device[0], host[0], atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, {"parallel": "pmap"}], ids=["jit", "pmap"])
def test_several_devices_take_the_steps_of_one(device, fields):
    several = take_steps(None if fields else jax.devices()[:2], data__augment_on="device", **fields)
    np.testing.assert_allclose(several[1], device[1], rtol=1e-5)
