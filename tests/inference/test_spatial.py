"""Images whose rows are divided over devices: the same predictions as on one device."""

import jax
import numpy as np
import pytest
from experiments import tiny_config

from jaxseg.inference import Predictor
from jaxseg.inference.engine import TrainedModel
from jaxseg.parallel.mesh import make_mesh
from jaxseg.run.experiment import build, resolve
from jaxseg.run.state import eval_variables


def predictor(devices, **fields):
    config = resolve(tiny_config(data__image_size=(64, 48), **fields), None)
    names, palette = ("a", "b", "c"), np.zeros((3, 3), np.uint8)
    experiment = build(config, names, palette, devices)
    variables = eval_variables(experiment.steps.init())
    classes = names, palette, (0, 1, 2)
    return Predictor(TrainedModel(config, experiment.task.model.module, variables, *classes, experiment.mesh))


@pytest.mark.slow
def test_rows_divided_over_four_devices_predict_as_one_device():
    image = np.random.default_rng(0).integers(0, 256, (100, 70, 3), np.uint8)
    one = predictor(jax.devices()[:1]).predict(image, probabilities=True)
    divided = predictor(jax.devices()[:4], mesh__data=1, mesh__spatial=4)
    assert divided.trained.mesh.shape == make_mesh({"data": 1, "fsdp": 1, "spatial": 4}, jax.devices()[:4]).shape
    several = divided.predict(image, probabilities=True)
    np.testing.assert_allclose(several.probabilities, one.probabilities.astype(int), atol=8)
    np.testing.assert_array_equal(several.mask, one.mask)


@pytest.mark.slow
def test_a_batch_is_divided_where_its_size_allows_it():
    images = [np.random.default_rng(i).integers(0, 256, (20 + i, 30, 3), np.uint8) for i in range(5)]
    one = predictor(jax.devices()[:1]).predict(images)
    several = predictor(jax.devices()[:4], mesh__data=2, mesh__fsdp=2).predict(images, batch=4)
    for ours, expected in zip(several, one, strict=True):
        assert (ours.mask != expected.mask).mean() < 1e-2
