"""A model that sees images at their own aspect ratio or size sees them so when it predicts, too."""

import jax
import numpy as np
import pytest
from experiments import tiny_config, tiny_experiment

from jaxseg.data.semantic.sizing import read_sizing
from jaxseg.inference import Predictor
from jaxseg.inference.engine import TrainedModel
from jaxseg.run.state import eval_variables


def make(resize):
    """A predictor with random weights, and the logits of an image that is predicted alone, without padding."""
    experiment, source = tiny_experiment(tiny_config(data__resize=resize, data__max_size=90), jax.devices()[:1])
    state = experiment.steps.init()
    classes = source.class_names, source.palette, (0, 1, 2, 3)
    model = TrainedModel(
        experiment.config, experiment.task.model.module, eval_variables(state), *classes, experiment.mesh
    )
    sizing = read_sizing(experiment.config.data)

    def alone(image):
        size = image.shape[:2]
        logits = experiment.steps.predict(state, sizing.resize_image(image, sizing.target(size))[None])[0]
        return np.asarray(jax.image.resize(logits, (*size, 4), "linear", antialias=False))

    return Predictor(model), alone


@pytest.mark.parametrize("resize", ["none", pytest.param("short_side", marks=pytest.mark.slow)])
def test_padding_to_a_bucket_changes_no_mask(resize):
    predictor, alone = make(resize)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((37, 51), (60, 40), (1, 70))]
    results = predictor.predict(images, batch=2)
    for result, image in zip(results, images, strict=True):
        # Rounding may decide between two classes whose logits are equal but for it.
        assert (result.mask != alone(image).argmax(-1)).mean() < 2e-3
    flipped = predictor.predict(images[0], flips=True).mask
    assert flipped.shape == (37, 51)
    mirrored = predictor.predict(np.ascontiguousarray(images[0][:, ::-1]), flips=True).mask
    assert (flipped != mirrored[:, ::-1]).mean() < 2e-3
