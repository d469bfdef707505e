"""The detector's task: parts of a batch add up to the whole, and neither padding nor filler counts."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_objects import drawn_source
from experiments import tiny_detector, tiny_experiment

from jaxseg.data.instances.batches import eval_batches, train_batches
from jaxseg.data.instances.catalogue import padded_sizes
from jaxseg.data.sources import open_source
from jaxseg.run.experiment import build, resolve
from jaxseg.tasks import make_task
from jaxseg.types import InstanceBatch

BATCH = 4


@pytest.fixture(scope="module")
def source():
    config = tiny_detector()
    return open_source(config.data, "train")


@pytest.fixture(scope="module")
def task(source):
    return make_task(tiny_detector(), source.class_names, source.palette)


@pytest.fixture(scope="module")
def batch(task, source):
    with task.data.train_batches(source, tiny_detector().data, batch_size=BATCH, seed=0, start_step=0) as batches:
        return next(batches)


@pytest.fixture(scope="module")
def variables(task):
    return jax.jit(task.model.init, compiler_options={"xla_backend_optimization_level": 0})(jax.random.key(0))


@pytest.fixture(scope="module")
def sums(task, variables):
    """The sums and counts of a batch; one program for each number of images."""

    @jax.jit
    def compute(batch, key):
        return task.loss.sums(variables["params"], variables["batch_stats"], batch, key, 0)[:2]

    return compute


KEY = jax.random.key(7)


@pytest.mark.slow
def test_sums_and_counts_of_parts_are_those_of_the_whole(sums, batch):
    """The draws among them, since they are a matter of the step and the image alone."""
    halves = [jax.tree.map(lambda array, rows=rows: array[rows], batch) for rows in (slice(0, 2), slice(2, 4))]
    of_halves = [sums(half, KEY) for half in halves]
    chex.assert_trees_all_close(jax.tree.map(jnp.add, *of_halves), sums(batch, KEY), rtol=1e-4, atol=1e-5)
    other = sums(batch, jax.random.key(8))
    assert other[0]["loss_objectness"] != sums(batch, KEY)[0]["loss_objectness"]


@pytest.mark.slow
def test_the_loss_is_the_sum_of_the_five(task, sums, batch):
    totals, counts = sums(batch, KEY)
    loss, logs = task.loss.combine(totals, counts)
    assert set(logs) == {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask"}
    np.testing.assert_allclose(loss, sum(logs.values()), rtol=1e-6)
    for name in logs:
        np.testing.assert_allclose(logs[name], totals[name] / max(counts[name], 1), rtol=1e-6)
    assert all(value > 0 for value in counts.values())


def wider(batch: InstanceBatch, filling: int) -> InstanceBatch:
    """The batch with pixels beyond the images: 32 more rows and columns."""
    image = np.pad(batch.image, ((0, 0), (0, 32), (0, 32), (0, 0)), constant_values=filling)
    return batch._replace(image=image, masks=np.pad(batch.masks, ((0, 0), (0, 0), (0, 32), (0, 4))))


@pytest.mark.slow
def test_what_images_are_padded_with_and_how_far_makes_no_difference(task, variables, batch):
    @jax.jit
    def found(batch):
        return task.metric.score(variables, batch)[1]

    alone, dark, bright = found(batch), found(wider(batch, 0)), found(wider(batch, 200))
    chex.assert_trees_all_equal(dark, bright)
    chex.assert_trees_all_close(alone.scores, dark.scores, atol=1e-4)
    chex.assert_trees_all_close(alone.boxes, dark.boxes, atol=1e-2)


def two_steps(devices, **fields):
    """Returns the parameters, the logs and the scores of detections after two steps of eight images."""
    config = tiny_detector(train__batch_size=8, **fields)
    experiment, source = tiny_experiment(config, devices)
    state, logs = experiment.steps.init(), []
    with experiment.task.data.train_batches(source, config.data, batch_size=8, seed=0, start_step=0) as batches:
        for _ in range(2):
            batch = next(batches)
            state, log = experiment.steps.train(state, experiment.steps.place(batch))
            logs.append(log)
    _, found = experiment.steps.fetch(experiment.steps.evaluate(state, experiment.steps.place(batch)))
    return jax.device_get((state.params, logs, found.scores))


@pytest.fixture(scope="module")
def on_one_device():
    return two_steps(jax.devices()[:1])


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{"train__accumulate": 2}, {"parallel": "pmap"}, {"mesh__fsdp": 2}], ids=str)
def test_microbatches_and_devices_take_the_steps_of_one_device(on_one_device, fields):
    several = two_steps(None if "parallel" in fields else jax.devices()[:2], **fields)
    chex.assert_trees_all_close(several, on_one_device, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_steps_are_compiled_once_for_each_size_that_images_are_padded_to():
    source = drawn_source([(40, 60), (60, 40), (50, 50), (45, 60), (60, 42), (30, 80)], [2, 1, 3, 1, 2, 2])
    config = tiny_detector(data__max_size=96, data__workers=0, train__batch_size=2, optimizer__ema=0.9)
    steps = build(resolve(config, source), source.class_names, source.palette, jax.devices()[:1]).steps
    state, sizes = steps.init(), set()
    with train_batches(source, config.data, batch_size=2, seed=0, start_step=0) as batches:
        for _ in range(8):
            batch = next(batches)
            sizes.add(batch.image.shape)
            state, _ = steps.train(state, steps.place(batch))
    with eval_batches(source, config.data, batch_size=2) as batches:
        for batch in batches:
            steps.evaluate(state, steps.place(batch))
    assert len(sizes) == len(padded_sizes(config.data, training=True)) == 2
    assert steps.train._cache_size() == steps.evaluate._cache_size() == 2


def test_images_are_not_divided(source):
    with pytest.raises(ValueError, match=r"mesh\.spatial is 2"):
        make_task(tiny_detector(mesh__spatial=2), source.class_names, source.palette)


def test_a_section_that_does_not_fit_is_named(source):
    config = tiny_detector()
    config.model.rpn_sampling = {"anchor": 3}
    with pytest.raises(ValueError, match="does not fit mask_rcnn.*anchor"):
        make_task(config, source.class_names, source.palette)
