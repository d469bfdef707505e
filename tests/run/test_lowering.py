"""Every model's steps lower for TPUs and for CUDA from any machine, so that a pod meets no unknown operation."""

import jax
import numpy as np
import pytest
from experiments import tiny_detector, tiny_experiment
from test_configs import narrow

from jaxseg.types import Batch

SLOW = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("unet_pets", "fcn8s_pets", "unet_resnet34_pets", "fcn_resnet50_voc")
]


@pytest.mark.parametrize("name", ["unet_isbi", *SLOW])
def test_steps_lower_for_tpus_and_cuda(name):
    config = narrow(name)
    config.precision = "bfloat16"
    config.data.update(name="shapes", splits="official", train="train", val="val", test="", source_dir="")
    steps = tiny_experiment(config, jax.devices()[:1])[0].steps
    shape = (2, 32, 32)
    weight = jax.ShapeDtypeStruct(shape, np.float32) if config.data.border_weight else None
    batch = Batch(
        jax.ShapeDtypeStruct((*shape, 3), np.uint8),
        jax.ShapeDtypeStruct(shape, np.uint8),
        jax.ShapeDtypeStruct(shape[:1], bool),
        weight,
    )
    for step, given in ((steps.train, batch), (steps.evaluate, batch), (steps.predict_batch, batch.image)):
        exported = jax.export.export(step, platforms=["tpu", "cuda"])(steps.abstract_state, given)
        assert exported.platforms == ("tpu", "cuda")


@pytest.mark.slow
def test_a_detectors_steps_lower_for_tpus_and_cuda():
    config = tiny_detector(data__workers=0)
    experiment, source = tiny_experiment(config, jax.devices()[:1])
    data = experiment.config.data
    with experiment.task.data.train_batches(source, data, batch_size=4, seed=0, start_step=0) as batches:
        batch = next(batches)
    for step in (experiment.steps.train, experiment.steps.evaluate):
        exported = jax.export.export(step, platforms=["tpu", "cuda"])(experiment.steps.abstract_state, batch)
        assert exported.platforms == ("tpu", "cuda")
