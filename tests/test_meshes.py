"""Other models than the U-Net of test_steps.py: batches and parameters divided, they take the steps of one device."""

import chex
import jax
import pytest
from experiments import tiny_config, tiny_experiment

from jaxseg import sharding
from jaxseg.data.batches import train_batches

NARROW = {"fcn_vgg": {"width": 2, "hidden": 8}, "unet_resnet": {"depth": 18, "width": 8}}
MESHES = [(8, 1, 1), (1, 8, 1), (4, 2, 1)]


def three_steps(name, mesh, devices=None):
    """The state and the logs after each of three steps of SGD, whose momentum begins as the gradient."""
    config = tiny_config(optimizer__name="sgd", optimizer__learning_rate=0.01, data__image_size=(128, 32))
    config.model = {"name": name, **NARROW[name]}
    config.mesh = dict(zip(sharding.AXES, mesh, strict=True))
    experiment, source = tiny_experiment(config, devices)
    state, seen = experiment.steps.init(), []
    with train_batches(source, config.data, batch_size=8, seed=0, start_step=0) as batches:
        for _ in range(3):
            state, logs = experiment.steps.train(state, experiment.steps.place(next(batches)))
            seen.append(jax.device_get((state, logs)))
    return seen


@pytest.fixture(scope="module", params=NARROW)
def on_one_device(request):
    return request.param, three_steps(request.param, (1, 1, 1), jax.devices()[:1])


@pytest.mark.slow
@pytest.mark.parametrize("mesh", MESHES, ids=str)
def test_any_mesh_takes_the_steps_of_one_device(on_one_device, mesh):
    name, expected = on_one_device
    chex.assert_trees_all_close(three_steps(name, mesh), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NARROW)
def test_only_unets_divide_their_images(name):
    with pytest.raises(ValueError, match="mesh.spatial is 2: .*only unet divides its images; set it to 1"):
        three_steps(name, (4, 1, 2))
