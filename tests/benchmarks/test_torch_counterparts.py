"""The networks in PyTorch are of the same size as ours, and are measured in turns with them."""

import warnings

import jax
import numpy as np
import pytest
from experiments import tiny_config, tiny_detector
from torchvision_oracle import load_torchvision

from jaxseg.benchmarks.jaxseg_steps import lively_state
from jaxseg.benchmarks.measurements import Options, measure_config
from jaxseg.run.experiment import build, resolve

torch = pytest.importorskip("torch")


TINY = {"data__image_size": (16, 16), "model__features": 2}


@pytest.fixture(autouse=True)
def _quiet():
    """PyTorch warns of the inner lives of its own parts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch")
        yield


def built(config, classes=4):
    names = tuple(map(str, range(classes)))
    return build(resolve(config, None), names, np.zeros((classes, 3), np.uint8), jax.devices()[:1])


def theirs(experiment, state, *, training):
    from jaxseg.benchmarks.torch_networks import make_network

    return make_network(experiment, state, training=training)


UNETS = [
    {},
    {"depth": 3, "features": 2},
    {"norm": "none", "padding": "valid", "depth": 2},
    {"fit": "crop", "dropout": 0.5},
]


@pytest.mark.parametrize("fields", UNETS, ids=str)
def test_a_unet_has_as_many_parameters_and_as_large_an_output(fields):
    config = tiny_config(data__image_size=(60, 60), train__batch_size=1)
    config.model.update(fields)
    experiment = built(config)
    network = theirs(experiment, experiment.steps.abstract_state, training=True)  # raises where they differ
    logits = network.make()(*network.inputs)
    variables = jax.eval_shape(experiment.task.model.init, jax.random.key(0))
    ours = jax.eval_shape(experiment.task.model.predict, variables, np.zeros((1, 60, 60, 3), np.uint8))
    assert tuple(logits.shape) == (1, 4, *ours.shape[1:3])
    assert torch.isfinite(network.loss(logits, *network.targets))


OTHERS = [
    {"name": "fcn_vgg", "width": 4, "hidden": 8, "stride": 8},
    {"name": "fcn_vgg", "width": 4, "hidden": 8, "stride": 16, "batch_norm": True},
    {"name": "fcn_vgg", "width": 4, "hidden": 8, "stride": 32},
    {"name": "unet_resnet", "depth": 18},
]


@pytest.mark.parametrize("model", OTHERS, ids=str)
def test_other_networks_have_as_many_parameters_and_as_large_an_output(model):
    config = tiny_config(data__image_size=(40, 72), train__batch_size=2)
    config.model = model
    experiment = built(config)
    network = theirs(experiment, experiment.steps.abstract_state, training=True)  # raises where they differ
    logits = network.make()(*network.inputs)
    assert tuple(logits.shape) == (2, 4, 40, 72)
    assert torch.isfinite(network.loss(logits, *network.targets))


def test_a_network_of_another_size_is_not_compared_with():
    from jaxseg.benchmarks.torch_networks import check_parameters

    experiment = built(tiny_config())
    with pytest.raises(ValueError, match="not to be compared"):
        check_parameters("unet", torch.nn.Linear(2, 2), experiment.steps.abstract_state)


def test_a_network_without_a_counterpart_is_named():
    config = tiny_config()
    config.model = {"name": "segnet"}
    with pytest.raises(ValueError, match="knows no segnet; it knows unet"):
        measure_config(config, "tiny", Options(against_torch=True))


@pytest.mark.slow
def test_fcn_resnet_of_torchvision_has_as_many_parameters():
    load_torchvision()
    config = tiny_config(train__batch_size=1)
    config.model = {"name": "fcn_resnet"}
    experiment = built(config, classes=21)
    network = theirs(experiment, experiment.steps.abstract_state, training=True)
    assert sum(parameter.numel() for parameter in network.make().parameters()) == 35_322_218


@pytest.mark.parametrize("training", [True, False])
def test_each_mode_does_the_whole_step_as_often_as_asked(training):
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from jaxseg.benchmarks.against_torch import torch_contenders

    experiment = built(tiny_config(**TINY))
    state = experiment.steps.abstract_state
    contenders = torch_contenders(experiment, state, ("eager", "channels_last"), training=training)
    assert [(one.mode, one.images) for one in contenders] == [("eager", 8), ("channels_last", 8)]
    learnt = []

    def note(optimizer, *_):
        learnt.append(all(p.grad is not None and p.grad.any() for p in optimizer.param_groups[0]["params"]))

    handle = register_optimizer_step_post_hook(note)
    for one in contenders:
        one.run(3)
    handle.remove()
    assert learnt == ([True] * 6 if training else [])


@pytest.mark.slow
def test_both_are_measured_in_turns():
    modes = ("eager", "channels_last")
    config = tiny_config(**TINY)
    for what in ("train", "predict"):
        options = Options(what=what, against_torch=True, modes=modes, rounds=1, seconds=0.0)
        rows = measure_config(config, "tiny", options)
        assert [row["mode"] for row in rows] == ["jit", *modes, "matrix product", "copy"]
        ours = rows[0]["images_per_second"]
        for row in rows[1:3]:
            assert row["framework"] == "torch"
            assert row["ratio"] == pytest.approx(ours / row["images_per_second"])
            assert row["versions"]["torch"] == torch.__version__


def small_detector(**fields):
    """As torchvision can build it."""
    config = tiny_detector(train__batch_size=2, **fields)
    config.model.update({"width": 64, "norm": "frozen", "trainable_layers": 3})
    return config


@pytest.mark.slow
def test_a_detector_finds_what_torchvisions_finds():
    load_torchvision()
    experiment = built(small_detector())
    state = lively_state(experiment)
    network = theirs(experiment, state, training=False)
    with torch.inference_mode():
        found = network.make().eval()(*network.inputs)
    from jaxseg.benchmarks.jaxseg_steps import predict_inputs

    ours = jax.device_get(experiment.steps.predict(state, *predict_inputs(experiment)))
    for row, one in enumerate(found):
        valid = ours.valid[row]
        assert valid.sum() > 0
        np.testing.assert_array_equal(ours.classes[row][valid], one["labels"].numpy())
        np.testing.assert_allclose(ours.scores[row][valid], one["scores"].numpy(), atol=1e-4)
        np.testing.assert_allclose(ours.boxes[row][valid], one["boxes"].numpy(), atol=1e-2)


@pytest.mark.slow
def test_a_detector_and_its_regions_are_measured_beside_torchvisions():
    load_torchvision()
    options = Options(against_torch=True, rounds=1, seconds=0.0, classes=4, modes=("eager", "channels_last"))
    rows = measure_config(small_detector(), "tiny", options)
    measured = [(row["what"], row["framework"], row["mode"]) for row in rows if row["what"] != "peak"]
    network = [("jaxseg", "jit"), ("torch", "eager"), ("torch", "channels_last")]
    assert measured == [
        *(("train", *one) for one in network),
        *(("predict", *one) for one in network),
        ("roi_align", "jaxseg", "gather"),
        ("roi_align", "torch", "roi_align"),
    ]
