"""The same step on any number of devices, cut into any number of parts, under jit and under pmap."""

import re
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments import float64, in_precision, tiny_config, tiny_experiment

from jaxseg.data.semantic.batches import train_batches
from jaxseg.parallel import mesh as sharding


def run_steps(config, count=3, devices=None):
    """The state and the logs after a few steps."""
    experiment, source = tiny_experiment(config, devices)
    state, logs = experiment.steps.init(), []
    with train_batches(source, config.data, batch_size=config.train.batch_size, seed=0, start_step=0) as batches:
        for _ in range(count):
            state, log = experiment.steps.train(state, experiment.steps.place(next(batches)))
            logs.append(jax.device_get(log))
    return jax.device_get(state), logs


# SGD, because an adaptive optimizer divides small gradients by their own size and so magnifies rounding.
SGD = {"optimizer__name": "sgd", "optimizer__learning_rate": 0.1}


@pytest.fixture(scope="module")
def single():
    """What one device computes."""
    return run_steps(tiny_config(**SGD), devices=jax.devices()[:1])


OTHER_MESHES = [pytest.param(mesh, marks=pytest.mark.slow) for mesh in ((8, 1, 1), (1, 8, 1), (4, 2, 1), (4, 1, 2))]


@pytest.mark.parametrize("mesh", [(2, 2, 2), *OTHER_MESHES], ids=str)
def test_any_mesh_takes_the_steps_of_one_device(single, mesh):
    sizes = dict(zip(sharding.AXES, mesh, strict=True))
    state, logs = run_steps(tiny_config(**SGD, **{f"mesh__{axis}": size for axis, size in sizes.items()}))
    chex.assert_trees_all_close(logs, single[1], rtol=1e-5, atol=1e-5)
    chex.assert_trees_all_close(state, single[0], rtol=1e-5, atol=1e-5)


def test_pmap_takes_the_steps_of_one_device(single):
    state, logs = run_steps(tiny_config(**SGD, parallel="pmap"))
    chex.assert_trees_all_close(logs, single[1], rtol=1e-5, atol=1e-5)
    chex.assert_trees_all_close(state, single[0], rtol=1e-5, atol=1e-5)


def test_pmap_evaluates_what_jit_evaluates():
    def confusion(config):
        experiment, source = tiny_experiment(config)
        with train_batches(source, config.data, batch_size=8, seed=0, start_step=0) as batches:
            batch = next(batches)
        batch = batch._replace(valid=np.arange(8) < 5)
        scored = experiment.steps.evaluate(experiment.steps.init(), experiment.steps.place(batch))
        return experiment.steps.fetch(scored)[0]

    with_jit, with_pmap = confusion(tiny_config()), confusion(tiny_config(parallel="pmap"))
    chex.assert_trees_all_close(with_jit, with_pmap, rtol=1e-6)
    assert with_jit["confusion"].sum() == 5 * 32 * 32


@pytest.mark.parametrize("mesh", [(8, 1, 1), (2, 2, 2)], ids=str)
def test_predictions_of_a_batch_are_those_of_its_images_and_stay_on_their_devices(mesh):
    sizes = dict(zip(sharding.AXES, mesh, strict=True))
    steps = tiny_experiment(tiny_config(**{f"mesh__{axis}": size for axis, size in sizes.items()}))[0].steps
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    state = steps.init()
    found = steps.predict_batch(state, steps.place(images))
    assert {shard.data.shape for shard in found.addressable_shards} == {
        (8 // (mesh[0] * mesh[1]), 32 // mesh[2], 32, 4)
    }
    np.testing.assert_allclose(found, steps.predict(state, images), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_accumulated_microbatches_have_the_gradients_of_the_batch():
    # Without batch norm, whose statistics are those of a microbatch; with a term counted in pixels and one in images.
    fields = {"loss__dice": 0.5, "loss__class_weights": (0.2, 1.0, 2.0, 3.0), "mesh__data": 4, "mesh__fsdp": 2}

    def config(accumulate):
        # Few pixels: in float32 a sum of many depends on their order by more than 1e-5.
        tiny = tiny_config(
            **SGD, **fields, train__batch_size=16, train__accumulate=accumulate, data__image_size=(16, 16)
        )
        tiny.model = {"name": "unet", "features": 4, "depth": 1, "norm": "none"}
        return tiny

    chex.assert_trees_all_close(run_steps(config(1)), run_steps(config(2)), rtol=1e-5, atol=1e-6)


def test_parameters_are_divided_over_fsdp():
    experiment, _ = tiny_experiment(tiny_config(mesh__data=2, mesh__fsdp=4))
    state = experiment.steps.init()
    kernel = state.params["bottleneck"]["conv_1"]["kernel"]
    shards = {shard.data.shape for shard in kernel.addressable_shards}
    assert shards == {(3, 3, 4, 2)}, kernel.shape
    total = sum(leaf.nbytes for leaf in jax.tree.leaves(state.params))
    mine = sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(state.params))
    assert mine < total / 4 * 1.2


@pytest.mark.parametrize("mesh", [(2, 1, 4), (2, 2, 2)], ids=str)
def test_a_spatial_mesh_exchanges_halos_and_gathers_no_activations(mesh):
    sizes = dict(zip(sharding.AXES, mesh, strict=True))
    experiment, source = tiny_experiment(tiny_config(**SGD, **{f"mesh__{axis}": size for axis, size in sizes.items()}))
    with train_batches(source, experiment.config.data, batch_size=8, seed=0, start_step=0) as batches:
        batch = experiment.steps.place(next(batches))
    state = experiment.steps.abstract_state
    program = experiment.steps.train.lower(state, batch).compile().as_text()
    assert "collective-permute" in program
    gathered = {shape for shape in re.findall(r"\w+\[([\d,]*)\]\S* all-gather\(", program)}
    variables = jax.tree.leaves((state.params, state.batch_stats))
    # Gradients of the parts that a device has, and whole parameters.
    shapes = {shape for leaf in variables for shape in (leaf.shape, leaf.sharding.shard_shape(leaf.shape))}
    assert gathered <= {",".join(map(str, shape)) for shape in shapes}
    assert bool(gathered) == (sizes["fsdp"] > 1)


def test_slices_are_joined_by_the_axis_of_data_only(monkeypatch):
    devices = jax.devices()
    monkeypatch.setattr(sharding, "slices_of", lambda devices: [devices[1::2], devices[::2]])
    mesh = sharding.make_mesh({"data": -1, "fsdp": 2, "spatial": 1, "slices": 2})
    assert mesh.devices[:2].ravel().tolist() == devices[1::2]
    assert mesh.devices[2:].ravel().tolist() == devices[::2]
    with pytest.raises(ValueError, match="mesh.slices is 4.*belong to 2 slice"):
        sharding.make_mesh({"data": -1, "fsdp": 1, "spatial": 1, "slices": 4})
    with pytest.raises(ValueError, match="mesh.data is 1"):
        sharding.make_mesh({"data": 1, "fsdp": 8, "spatial": 1})


def test_tpus_are_grouped_by_their_slice():
    devices = [SimpleNamespace(platform="tpu", slice_index=number) for number in (1, 0, 1)]
    assert sharding.slices_of(devices) == [[devices[1]], [devices[0], devices[2]]]
    processors = [SimpleNamespace(platform="cpu", slice_index=number) for number in (0, 1)]
    assert sharding.slices_of(processors) == [processors]


@pytest.mark.slow
def test_averages_follow_the_parameters():
    state, _ = run_steps(tiny_config(**SGD, optimizer__ema=0.9), count=1)
    experiment, _ = tiny_experiment(tiny_config(**SGD))
    first = jax.device_get(experiment.steps.init())
    # After the first step the decay is min(0.9, 2 / 11).
    expected = jax.tree.map(lambda old, new: 2 / 11 * old + 9 / 11 * new, first.params, state.params)
    chex.assert_trees_all_close(state.ema["params"], expected, rtol=1e-5, atol=1e-7)
    expected = jax.tree.map(lambda old, new: 2 / 11 * old + 9 / 11 * new, first.batch_stats, state.batch_stats)
    chex.assert_trees_all_close(state.ema["batch_stats"], expected, rtol=1e-5, atol=1e-7)


def test_bfloat16_computes_close_to_float32(single):
    exact = single[1]
    state, rough = run_steps(tiny_config(**SGD, precision="bfloat16"), count=1)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.float32.dtype}
    assert rough[0]["loss"] != exact[0]["loss"]
    np.testing.assert_allclose(rough[0]["loss"], exact[0]["loss"], rtol=0.02)


def test_processes_that_share_images_read_the_same_share():
    def share(holders, spatial):
        devices = np.array([SimpleNamespace(process_index=process) for process in holders])
        return sharding.batch_share(SimpleNamespace(devices=devices, shape={"spatial": spatial}))

    assert share([0, 0, 1, 1], 1) == (0, 2)
    assert share([1, 1, 0, 0], 1) == (1, 2)
    assert share([0, 0, 1, 1], 2) == (0, 2)
    assert share([0, 0, 1, 1], 4) == (0, 1)
    assert share([1, 2, 3, 0], 2) == (1, 2)
    assert share([0, 1, 0, 1], 1) == (0, 2)
    with pytest.raises(ValueError, match="mesh.spatial=3 divides images over processes"):
        share([0, 0, 1, 1, 2, 2], 3)


@pytest.mark.parametrize(("name", "rows"), [("unet", 8), ("unet_resnet", 128), ("fcn_vgg", 128), ("fcn_resnet", 32)])
def test_images_too_small_for_their_mesh_are_refused(name, rows):
    config = tiny_config(data__image_size=(rows, 16), mesh__data=4, mesh__spatial=2)
    config.model = {"name": name, **NARROW[name]}
    with pytest.raises(ValueError, match=f"images of {rows} rows are too small.*each device needs {rows} rows"):
        tiny_experiment(config)


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ({"data": 3, "fsdp": 1, "spatial": 1}, "data=3"),
        ({"data": -1, "fsdp": 16, "spatial": 1}, "fsdp=16"),
        ({"data": -1, "fsdp": -1, "spatial": 1}, "fsdp=-1"),
        ({"data": -1, "fsdp": 0, "spatial": 1}, "fsdp=0"),
    ],
)
def test_a_mesh_that_does_not_fit_the_devices_is_refused(sizes, named):
    with pytest.raises(ValueError, match=f"{named}.*8 device"):
        sharding.make_mesh(sizes)


def test_a_batch_that_cannot_be_divided_is_refused_with_one_that_can():
    mesh = sharding.make_mesh({"data": 4, "fsdp": 2, "spatial": 1})
    with pytest.raises(ValueError, match="batch_size is 12.*take 16"):
        sharding.check_batch(mesh, 12, 1, 64)
    with pytest.raises(ValueError, match="batch_size is 3.*take 8"):
        sharding.check_batch(mesh, 3, 1, 64)
    spatial = sharding.make_mesh({"data": 2, "fsdp": 1, "spatial": 4})
    with pytest.raises(ValueError, match="30 rows"):
        sharding.check_batch(spatial, 8, 1, 30)


def residuals(experiment, state, batch):
    """What the forward pass of a training step leaves behind for the backward one, and the loss's gradients."""

    def loss(params):
        sums, counts, _ = experiment.task.loss.sums(params, state.batch_stats, batch, jax.random.key(0), 0)
        return experiment.task.loss.combine(sums, jax.lax.stop_gradient(counts))[0]

    value, backward = jax.vjp(loss, state.params)
    return backward, backward(jnp.ones_like(value))


NARROW = {
    "unet": {"features": 4, "depth": 1},
    "unet_resnet": {"depth": 18, "width": 4},
    "fcn_vgg": {"width": 2, "hidden": 4},
    "fcn_resnet": {"width": 4},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NARROW)
def test_rematerialisation_keeps_less_and_changes_no_gradient(name):
    def kept_and_gradients(remat):
        config = tiny_config(remat=remat, precision="float64")
        config.model = {"name": name, **NARROW[name]}
        experiment, source = tiny_experiment(config, jax.devices()[:1])
        with train_batches(source, config.data, batch_size=8, seed=0, start_step=0) as batches:
            arguments = in_precision(experiment.steps.init(), jnp.float64), experiment.steps.place(next(batches))
        compiled = jax.jit(lambda *arguments: residuals(experiment, *arguments)).lower(*arguments).compile()
        gradients = jax.device_get(compiled(*arguments)[1])
        # Of what comes out, gradients and the parameters that the backward pass asks for are no activations.
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(gradients))
        return compiled.memory_analysis().output_size_in_bytes - 2 * size, gradients

    with float64():
        (everything, expected), (less, gradients) = kept_and_gradients(remat=False), kept_and_gradients(remat=True)
    assert less < 0.6 * everything
    chex.assert_trees_all_close(gradients, expected, rtol=1e-5, atol=1e-10)
