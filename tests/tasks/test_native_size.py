"""Scores at native size and in the pixels of the files: padding, groups and batches change nothing."""

import jax
import numpy as np
import pytest
from experiments import tiny_config, tiny_experiment

from jaxseg.data.semantic.sizing import read_sizing
from jaxseg.evaluate import score
from jaxseg.metrics import semantic as metrics
from jaxseg.tasks import make_task
from jaxseg.types import Record, Source

NAMES = ("background", "disc", "square", "triangle")
PALETTE = np.zeros((4, 3), np.uint8)
SIZES = [(40, 64), (64, 40), (40, 64), (33, 60), (40, 64)]


@pytest.fixture(scope="module")
def source():
    rng = np.random.default_rng(0)
    records = [
        Record(str(i), rng.integers(0, 256, (*size, 3), np.uint8), rng.integers(0, 4, size, np.uint8))
        for i, size in enumerate(SIZES)
    ]
    return Source(records, NAMES, PALETTE, "noise", size_of=SIZES.__getitem__)


def bilinear(logits, size):
    return np.asarray(jax.image.resize(logits, (*size, logits.shape[-1]), "linear", antialias=False))


def one_by_one(experiment, state, source):
    """The confusion matrix of images that are predicted alone, without padding."""
    data = experiment.config.data
    sizing = read_sizing(data)
    total = np.zeros((4, 4), np.int64)
    for record in source.records:
        size = sizing.target(record.label.shape)
        image = sizing.resize_image(record.image, size)
        logits = np.asarray(experiment.task.model.predict(state, image[None]))[0]
        label = sizing.resize_label(record.label, size)
        if data.score_at == "original":
            logits, label = bilinear(logits, record.label.shape), record.label
        np.add.at(total, (label, logits.argmax(-1)), 1)
    return total


@pytest.mark.parametrize(
    ("resize", "score_at"),
    [
        pytest.param("none", "original", marks=pytest.mark.slow),
        pytest.param("short_side", "network", marks=pytest.mark.slow),
        pytest.param("short_side", "original", marks=pytest.mark.slow),
        pytest.param("stretch", "original", marks=pytest.mark.slow),
    ],
)
def test_scores_are_those_of_images_alone(source, resize, score_at):
    config = tiny_config(data__resize=resize, data__score_at=score_at, data__max_size=80, train__batch_size=2)
    experiment, _ = tiny_experiment(config, jax.devices()[:1])
    state = experiment.steps.init()
    scores = score(experiment, state, source)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    expected = metrics.result(one_by_one(experiment, variables, source))
    # Rounding may decide between two classes whose logits are equal but for it.
    assert scores["iou"] == pytest.approx(expected["iou"], abs=2e-3)
    assert len(set(expected["iou"])) > 2
    # One program for each group of images, however many sizes they have.
    assert experiment.steps.evaluate._cache_size() <= 4


@pytest.mark.slow
def test_several_devices_score_the_same(source):
    config = tiny_config(data__resize="short_side", data__score_at="original", data__max_size=80)
    scores = []
    for devices in (jax.devices()[:1], jax.devices()[:4]):
        experiment, _ = tiny_experiment(config, devices)
        scores.append(score(experiment, experiment.steps.init(), source)["iou"])
    assert scores[0] == pytest.approx(scores[1], abs=2e-3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data__resize": "none", "mesh__spatial": 2}, r"mesh\.spatial is 2; expected 1, since data\.resize is 'none'"),
        ({"data__resize": "none", "model__fit": "crop"}, r"data\.resize is 'none'; expected 'stretch'"),
        ({"data__score_at": "original", "model__fit": "crop"}, r"score_at is 'original'; expected 'network'"),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    config = tiny_config()
    with config.unlocked():
        config.model.fit = "pad"
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    with pytest.raises(ValueError, match=message):
        make_task(config, NAMES, PALETTE)
