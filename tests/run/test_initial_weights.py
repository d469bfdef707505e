"""What a fresh run initialized from: torchvision's networks, whole or as a backbone, and runs of our own."""

import re

import chex
import jax
import numpy as np
import pytest
from experiments import tiny_config, tiny_experiment
from flax.traverse_util import flatten_dict, unflatten_dict
from random_weights import random_variables, template
from safetensors.numpy import save_file

import jaxseg.train as training
from jaxseg.data.sources import voc
from jaxseg.inference.pretrained import abstract_variables
from jaxseg.models.backbones.resnet import ResNet
from jaxseg.models.backbones.vgg import VGG16
from jaxseg.models.fcn_resnet import FCNResNet
from jaxseg.models.fcn_vgg import FCNVGG
from jaxseg.models.mask_rcnn.model import MaskRCNN
from jaxseg.models.unet import UNet
from jaxseg.models.unet_resnet import UNetResNet
from jaxseg.run import checkpoint_reader, workdir
from jaxseg.run.checkpoints import Checkpoints
from jaxseg.run.initial_weights import initial_weights_of, load_initial_weights
from jaxseg.weights import files, mappings
from jaxseg.weights.torchvision import to_state_dict

SIZE = (1, 64, 64, 3)


def saved(folder, model, mapping, seed=0, image=SIZE):
    """A network of random numbers, and the file in which torchvision would keep them."""
    variables = random_variables(template(model, image), seed)
    state = to_state_dict(variables, mapping)
    path = folder / "weights.safetensors"
    save_file({name: value for name, value in state.items() if value.ndim}, path)
    return variables, path


def initial_weights(model, weights, shapes=None, name="any", class_names=()):
    config = tiny_config(init__weights=str(weights), model__name=name)
    return load_initial_weights(config, model, shapes or template(model, SIZE), class_names)


def nested(variables, *modules):
    """The part of given variables under some modules, by collection."""
    count = 1 + len(modules)
    return unflatten_dict({(p[0], *p[count:]): v for p, v in variables.items() if p[1:count] == modules})


def random_modules(message):
    found = re.search(r"; random: ([^;]*)", message)
    return set(found[1].split(", ")) if found else set()


def test_nothing_is_given_unless_it_is_asked_for():
    assert initial_weights(FCNVGG(3, width=2, hidden=4), "") == ({}, "")


DECODER = {f"{part}_{skip}{end}" for skip in ("layer3", "layer2", "layer1", "stem", "image")
           for part, end in (("up", ""), ("decoder", "_1"), ("decoder", "_2"))}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "random"),
    [
        (FCNResNet(5, depth=50, width=4), {"classifier", "aux_classifier"}),
        (UNetResNet(5, depth=50, width=4), DECODER | {"head"}),
        (UNetResNet(5, depth=50, width=4, norm="frozen"), DECODER | {"head"}),
        (MaskRCNN(5, width=4, channels=8, hidden=8), {"fpn", "rpn_head", "box_head", "mask_head"}),
    ],
    ids=["fcn_resnet", "unet_resnet", "frozen", "mask_rcnn"],
)
def test_a_resnet_becomes_the_backbone(tmp_path, model, random):
    variables, path = saved(tmp_path, ResNet(50, width=4, classes=3), mappings.RESNET)
    found = initial_weights(model, path, abstract_variables(model) if isinstance(model, MaskRCNN) else None)
    assert random_modules(found.message) == random
    given, state = (
        {name: value for name, value in to_state_dict(tree, mappings.RESNET).items() if value.ndim}
        for tree in (nested(found.variables, "backbone"), variables)
    )
    chex.assert_trees_all_equal(given | {name: state[name] for name in ("fc.weight", "fc.bias")}, state)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_vgg16_becomes_backbone_fc6_and_fc7(tmp_path, batch_norm):
    mapping = mappings.VGG16_BN if batch_norm else mappings.VGG16
    network = VGG16(batch_norm, width=2, classes=3)
    variables, path = saved(tmp_path, network, mapping, image=(1, 224, 224, 3))
    model = FCNVGG(5, width=2, hidden=128, batch_norm=batch_norm)
    found = initial_weights(model, path)
    anew_modules = {"score_fc7", "score_pool4", "score_pool3", "up_fc7_x2", "up_pool4_x2", "up_pool3_x8"}
    assert random_modules(found.message) == anew_modules
    params = variables["params"]
    fc6, fc7 = (nested(found.variables, name)["params"] for name in ("fc6", "fc7"))
    chex.assert_trees_all_equal(fc6, params["fc6"])
    np.testing.assert_array_equal(fc7["kernel"][0, 0], params["fc7"]["kernel"])
    np.testing.assert_array_equal(nested(found.variables, "backbone", "conv5_3")["params"]["kernel"],
                                  params["conv5_3"]["kernel"])  # fmt: skip
    narrow = initial_weights(model.clone(hidden=16), path)
    assert random_modules(narrow.message) == anew_modules | {"fc6", "fc7"}


def test_the_classifier_slides_over_a_map_as_it_stood_on_an_image(tmp_path):
    """On an image of 224x224, the middle of fc7 is what the classification network computes there."""
    network = VGG16(width=2, classes=3)
    variables, path = saved(tmp_path, network, mappings.VGG16, image=(1, 224, 224, 3))
    model = FCNVGG(3, width=2, hidden=128, stride=32)
    given = unflatten_dict(initial_weights(model, path).variables)["params"]
    score = {"kernel": variables["params"]["fc8"]["kernel"][None, None], "bias": variables["params"]["fc8"]["bias"]}
    impulse = np.zeros((64, 64, 3, 3), np.float32)
    impulse[32, 32] = np.eye(3)
    params = given | {"score_fc7": score, "up_fc7_x32": {"kernel": impulse}}
    image = np.random.default_rng(0).standard_normal((1, 224, 224, 3), np.float32)
    logits = jax.jit(lambda x: model.apply({"params": params}, x, train=False)["logits"])(image)
    expected = jax.jit(lambda x: network.apply(variables, x, train=False)["logits"])(image)
    # Stamped by that kernel, the score of map position 3 stands alone at pixel 3 * 32 + 32 - 16.
    chex.assert_trees_all_close(logits[:, 112, 112], expected, rtol=1e-4, atol=1e-4)


def test_a_whole_network_with_other_classes_keeps_all_but_its_heads(tmp_path):
    variables, path = saved(tmp_path, FCNResNet(7, width=4), mappings.FCN_RESNET)
    same = initial_weights(FCNResNet(7, width=4), path)
    chex.assert_trees_all_equal(unflatten_dict(same.variables), variables)
    assert same.message == f"initialized from {path}"
    other = initial_weights(FCNResNet(5, width=4), path)
    assert random_modules(other.message) == {"classifier/score", "aux_classifier/score"}
    assert len(other.variables) == len(same.variables) - 4
    assert not random_modules(initial_weights(FCNResNet(7, width=4, auxiliary=False), path).message)


def test_entries_that_do_not_fit_are_listed(tmp_path):
    _, path = saved(tmp_path, ResNet(18, width=4), mappings.RESNET)
    with pytest.raises(ValueError, match="does not fit") as error:
        initial_weights(FCNResNet(5, depth=50, width=4), path)
    for line in ("layer1.0.conv3.weight: missing", "layer1.0.conv1.weight: shape (4, 4, 3, 3), expected (4, 4, 1, 1)"):
        assert line in str(error.value)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (FCNVGG(3, width=2, hidden=4), "expected the weights of a VGG16 without batch norm or the workdir"),
        (UNet(3, features=2), "expected the workdir of one of its runs"),
        (UNetResNet(3, depth=34, width=4), "expected the weights of a ResNet-34 or"),
    ],
    ids=["fcn_vgg", "unet", "unet_resnet"],
)
def test_the_file_of_another_network_is_refused_in_one_line(tmp_path, model, expected):
    _, path = saved(tmp_path, VGG16(batch_norm=True, width=2), mappings.VGG16_BN)
    with pytest.raises(ValueError, match=f"another network .*{expected}") as error:
        initial_weights(model, path)
    assert "\n" not in str(error.value)


def test_the_frozen_norms_of_the_first_detector_want_their_epsilon(tmp_path, monkeypatch):
    model = MaskRCNN(5, width=4, channels=8, hidden=8)
    shapes = abstract_variables(model)
    state = to_state_dict(random_variables(shapes, 0), mappings.MASK_RCNN_V1)
    path = tmp_path / "detector.safetensors"
    save_file(state, path)
    assert random_modules(initial_weights(model, path, shapes).message) == set()
    monkeypatch.setattr(files, "COCO_V1_DETECTOR", files.sha256(path)[:8])
    with pytest.raises(ValueError, match=r"set model.norm_epsilon to 0\.0"):
        initial_weights(model, path, shapes)


def test_a_download_that_fails_says_what_can_be_done(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no route to host")

    monkeypatch.setattr(files.urllib.request, "urlretrieve", fail)
    with pytest.raises(ValueError, match=r"no route to host.*bring the file to .*resnet18-f37072fd\.pth"):
        files.find_weights("ResNet18_Weights.IMAGENET1K_V1", tmp_path)


@pytest.mark.parametrize("weights", ["no_such.pth", "VGG61"])
def test_weights_that_are_not_there_are_refused_before_anything_is_written(tmp_path, weights):
    with pytest.raises(ValueError, match=f"There are no weights '{weights}'"):
        training.train(tiny_config(init__weights=weights), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def fcn_experiment(stride, weights=""):
    config = tiny_config(init__weights=str(weights), optimizer__ema=0.5)
    config.model = {"name": "fcn_vgg", "stride": stride, "width": 2, "hidden": 4}
    return tiny_experiment(config)[0]


def random_run(folder, experiment):
    """The workdir of a run whose newest state is of random numbers, and that state."""
    task = experiment.task
    workdir.write(folder, experiment.config, workdir.Classes(task.classes.names, task.classes.palette))
    state = experiment.steps.abstract_state
    rng = np.random.default_rng(0)
    state = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), state)
    with Checkpoints(folder, 2, "mean_iou") as checkpoints:
        checkpoints.save(state._replace(step=np.int32(7)))
    return state


def test_a_finer_fcn_starts_from_the_averages_of_a_coarser_ones_run(tmp_path):
    coarse = random_run(tmp_path, fcn_experiment(32))
    experiment = fcn_experiment(16, tmp_path)
    start = initial_weights_of(experiment, tmp_path / "fresh")
    assert random_modules(start.message) == {"score_pool4", "up_fc7_x2", "up_pool4_x16"}
    state = jax.device_get(experiment.steps.init(start.variables))
    assert state.step == 0
    for name in ("backbone", "fc6", "fc7", "score_fc7"):
        chex.assert_trees_all_equal(state.params[name], coarse.ema["params"][name])
    assert not any(leaf.any() for leaf in jax.tree.leaves(state.params["score_pool4"]))
    chex.assert_trees_all_equal(state.ema["params"], state.params)


def test_a_fresh_run_says_what_it_starts_from_and_one_that_goes_on_looks_at_nothing(trained, tmp_path, capsys):
    folder, _ = trained
    # With next to no learning, the one step leaves what the run started from.
    fields = {"optimizer__learning_rate": 1e-30, "train__steps": 1, "data__val": ""}
    training.train(tiny_config(init__weights=str(folder), **fields), tmp_path)
    assert f"{tmp_path} initialized from {folder}\n" in capsys.readouterr().out
    here, there = (checkpoint_reader.read_newest(where)["params"] for where in (tmp_path, folder))
    chex.assert_trees_all_close(here, there, rtol=0, atol=1e-20)
    training.train(tiny_config(init__weights="gone", **fields), tmp_path)
    said = capsys.readouterr().out
    assert "is finished" in said
    assert "initialized from" not in said


def test_runs_that_do_not_fit_are_refused(trained, tmp_path):
    folder, _ = trained
    config = tiny_config(init__weights=str(folder))
    config.model.features = 6
    with pytest.raises(ValueError, match="does not fit") as error:
        training.train(config, tmp_path / "run")
    assert "encoder_0/conv_1/kernel: shape (3, 3, 3, 4), expected (3, 3, 3, 6)" in str(error.value)
    with pytest.raises(ValueError, match=f"is the run {folder} of the model unet; expected a run of the model fcn_vgg"):
        initial_weights_of(fcn_experiment(8, folder), tmp_path / "run")
    with pytest.raises(ValueError, match="is not the folder of a run"):
        training.train(tiny_config(init__weights=str(tmp_path)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_of_other_classes_gives_all_but_its_head(trained):
    folder, _ = trained
    model = UNet(7, features=4, depth=1, norm_momentum=0.9)
    found = initial_weights(model, folder, name="unet")
    assert random_modules(found.message) == {"head"}
    state = checkpoint_reader.read_newest(folder)
    state = flatten_dict({name: state[name] for name in ("params", "batch_stats")})
    assert len(found.variables) == len(state) - 2
    chex.assert_trees_all_equal(found.variables, {path: state[path] for path in found.variables})


@pytest.mark.parametrize(("rename", "random"), [(False, set()), (True, {"head"})])
def test_heads_of_a_run_are_kept_only_if_its_classes_have_the_same_names(trained, rename, random):
    """Four classes each, but other ones: a head that means disc, square and triangle is of no use for fruit."""
    folder, _ = trained
    own = workdir.load(folder)[1]
    names = ("background", "apple", "pear", "plum") if rename else own
    found = initial_weights(UNet(4, features=4, depth=1, norm_momentum=0.9), folder, name="unet", class_names=names)
    assert random_modules(found.message) == random
    assert ("classes have other names" in found.message) == rename
    assert (("params", "head", "kernel") in found.variables) != rename


@pytest.mark.parametrize("own", [True, False])
def test_heads_of_a_torchvision_file_are_kept_only_for_its_own_data_set(tmp_path, own):
    _, path = saved(tmp_path, FCNResNet(21, width=4), mappings.FCN_RESNET)
    names = voc.CLASS_NAMES if own else [f"class {number}" for number in range(21)]
    found = initial_weights(FCNResNet(21, width=4), path, class_names=names)
    assert random_modules(found.message) == (set() if own else {"classifier/score", "aux_classifier/score"})


def test_heads_of_a_file_without_known_classes_are_kept_if_they_fit(tmp_path):
    _, path = saved(tmp_path, FCNResNet(7, width=4), mappings.FCN_RESNET)
    found = initial_weights(FCNResNet(7, width=4), path, class_names=[f"class {number}" for number in range(7)])
    assert not random_modules(found.message)


def test_the_epsilon_of_frozen_norms_follows_the_weights(tmp_path, monkeypatch):
    """0 for the file that torchvision calls COCO_V1, 1e-5 for any other; a run that resumes keeps its own."""
    from jaxseg.config import load
    from jaxseg.run import initial_weights, workdir

    config = load("mask_rcnn_folder")
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"x")
    config.init.weights = str(weights)
    for is_first, expected in ((False, 1e-5), (True, 0.0)):
        start = initial_weights.frozen_norm_epsilon(weights) if not is_first else 0.0
        monkeypatch.setattr(initial_weights, "frozen_norm_epsilon", lambda path, start=start: start)
        config.model.norm_epsilon = 0.5
        initial_weights.set_norm_epsilon(config, tmp_path / "run")
        assert config.model.norm_epsilon == expected
    workdir.write_json(
        tmp_path, "config.json", {"task": "instances", "model": {"name": "mask_rcnn", "norm_epsilon": 1e-5}}
    )
    workdir.write_json(tmp_path, "classes.json", {"class_names": ["background"], "palette": [[0, 0, 0]]})
    initial_weights.set_norm_epsilon(config, tmp_path)
    assert config.model.norm_epsilon == 1e-5
