"""Models that go to torchvision and come from it, compared with the real torchvision where it is installed."""

import argparse

import numpy as np
import pytest
from random_weights import random_variables
from torch_models import to_torch
from torchvision_oracle import load_torchvision

from jaxseg import config as configs
from jaxseg.config.resolution import IMAGENET
from jaxseg.inference import Predictor, load, torchvision_lines
from jaxseg.inference.engine import TrainedModel
from jaxseg.inference.export import export_torchvision
from jaxseg.inference.pretrained import abstract_variables, find_classes, torchvision_mapping
from jaxseg.models.mask_rcnn.model import MaskRCNN
from jaxseg.models.table import INSTANCES, SEMANTIC, make_model
from jaxseg.models.unet import UNet
from jaxseg.weights.files import read_weights
from jaxseg.weights.pth_writing import write_pth
from jaxseg.weights.torchvision import to_state_dict


def detector_config():
    config = configs.load("mask_rcnn_coco")
    config.model.update({"depth": 18, "width": 8, "channels": 16, "hidden": 16})
    config.data.min_size = config.data.max_size = 64
    return config


@pytest.fixture(scope="module")
def own_detector():
    """The state dict of a small Mask R-CNN of four classes."""
    model = make_model(INSTANCES, detector_config(), 4)
    variables = random_variables(abstract_variables(model), seed=0)
    return to_state_dict(variables, torchvision_mapping(model))


def test_ones_own_mask_rcnn_has_its_number_of_classes_and_names(own_detector, tmp_path, monkeypatch):
    monkeypatch.setitem(torchvision_lines.FIXED, MaskRCNN, {})  # such a small one, torchvision does not have
    path, names = tmp_path / "own.pth", tmp_path / "names.txt"
    write_pth(path, {f"module.{name}": array for name, array in own_detector.items()})
    names.write_text("\ufeffcat\nBüchse\n\ntree\n", encoding="utf-8")
    model = load(detector_config(), path, class_names=names)
    assert model.class_names == ("background", "cat", "Büchse", "tree")
    assert model.notes == ("removed the prefix 'module.' from all names",)
    for ending in (".pth", ".safetensors"):
        lines = export_torchvision(model, tmp_path / f"out{ending}")
        assert 'resnet_fpn_backbone(backbone_name="resnet18", weights=None), num_classes=4, min_size=64' in lines
        back = read_weights(tmp_path / f"out{ending}")
        assert back.keys() == own_detector.keys()
        for name, array in own_detector.items():
            np.testing.assert_array_equal(back[name], array)
    assert load(detector_config(), path).class_names == ("background", "class 1", "class 2", "class 3")
    with pytest.raises(ValueError, match="class names are 2, but the weights have 4 outputs; expected 4 names"):
        load(detector_config(), path, class_names=["a", "b"])
    with pytest.raises(ValueError, match="class names cannot be read from"):
        load(detector_config(), path, class_names=str(tmp_path / "absent.txt"))


def test_weights_of_another_version_or_model_are_refused_with_a_remedy(own_detector, tmp_path):
    second = detector_config()
    second.model.version = 2
    write_pth(tmp_path / "own.pth", own_detector)
    with pytest.raises(ValueError, match=r"model.version is 2, but .* is of version 1. Set --config.model.version=1"):
        load(second, tmp_path / "own.pth")
    with pytest.raises(ValueError, match="has no entry classifier.4.weight, which model.name=fcn_resnet needs"):
        load("fcn_resnet50_voc", tmp_path / "own.pth")
    with pytest.raises(ValueError, match="weights are for model.name fcn_resnet, mask_rcnn, but the config has 'unet'"):
        load("unet_shapes", tmp_path / "own.pth")
    unet = TrainedModel(second, UNet(classes=2), {}, ("a", "b"), None, (0, 1))
    with pytest.raises(ValueError, match="torchvision has FCNResNet, MaskRCNN"):
        export_torchvision(Predictor(unet), tmp_path / "unet.pth")


def test_names_of_known_data_sets_are_known():
    assert find_classes(21, "voc")[0][15] == "person"
    assert find_classes(91, "coco")[0][1] == "person"
    assert find_classes(2, "voc")[0] == ("background", "class 1")


@pytest.mark.slow
def test_torchvisions_own_fcn_answers_equally_after_both_ways(tmp_path):
    torchvision = load_torchvision()
    torch = torchvision.torch
    torch.manual_seed(0)
    theirs = torchvision.models.segmentation.fcn_resnet50(
        weights=None, weights_backbone=None, num_classes=5, aux_loss=True
    )
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    theirs.eval()
    checkpoint = {"model": theirs.state_dict(), "epoch": 3, "args": argparse.Namespace(lr=0.02, device="cuda")}
    torch.save(checkpoint, tmp_path / "checkpoint.pth")
    config = configs.load("fcn_resnet50_voc")
    config.data.image_size = (64, 96)
    ours = load(config, tmp_path / "checkpoint.pth", class_names=["a", "b", "c", "d"])
    assert ours.notes == ("read the entry 'model' of the checkpoint",)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    got = ours.predict(image, probabilities=True).probabilities / 65535
    data = ours.trained.config.data
    normalized = (image / np.float32(255) - np.float32(data.mean)) / np.float32(data.std)
    with torch.no_grad():
        expected = (
            theirs(to_torch(normalized[None].astype(np.float32)))["out"].softmax(dim=1)[0].permute(1, 2, 0).numpy()
        )
    np.testing.assert_allclose(got, expected, atol=1e-4)

    lines = export_torchvision(ours, tmp_path / "back.pth")
    back = torchvision.models.segmentation.fcn_resnet50(
        weights=None, weights_backbone=None, num_classes=5, aux_loss=True
    )
    assert "segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=5, aux_loss=True)" in lines
    back.load_state_dict(torch.load(tmp_path / "back.pth", weights_only=True), strict=True)
    for name, value in theirs.state_dict().items():
        assert torch.equal(back.state_dict()[name], value), name


def detector_of(**model):
    """A predictor of four classes with random weights."""
    config = configs.load("mask_rcnn_coco")
    config.model.update(model)
    config.data.min_size, config.data.max_size = 96, 160
    config.data.mean, config.data.std = IMAGENET
    detector = make_model(INSTANCES, config, 4)
    variables = random_variables(abstract_variables(detector), seed=0)
    return Predictor(TrainedModel(config, detector, variables, ("background", "a", "b", "c"), None, range(4)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depth": 18, "width": 8}, r"model.width is 8; torchvision's MaskRCNN has 64. .*--format stablehlo or onnx"),
        ({"depth": 18, "channels": 16}, "model.channels is 16; torchvision's MaskRCNN has 256"),
        ({"depth": 18, "version": 2}, "model.depth is 18; torchvision's Mask R-CNN of version 2 has 50"),
    ],
)
def test_a_model_that_torchvision_does_not_have_is_refused_before_it_is_written(tmp_path, fields, message):
    config = configs.load("mask_rcnn_coco")
    config.model.update(fields)
    trained = TrainedModel(config, make_model(INSTANCES, config, 4), {}, ("background", "a", "b", "c"), None, range(4))
    with pytest.raises(ValueError, match=message):
        export_torchvision(Predictor(trained), tmp_path / "out.pth")
    config = configs.load("fcn_resnet50_voc")
    config.model.depth = 18
    trained = TrainedModel(config, make_model(SEMANTIC, config, 3), {}, ("a", "b", "c"), None, range(3))
    with pytest.raises(ValueError, match="model.depth is 18; torchvision's FCN has 50 or 101"):
        export_torchvision(Predictor(trained), tmp_path / "out.pth")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": 2, "norm": "batch"},
        {
            "depth": 18,
            "norm_epsilon": 0.0,
            "anchor_sizes": ((24,), (48,), (80,), (128,), (192,)),
            "detection": {"score_threshold": 0.3, "nms_iou": 0.4, "max_detections": 20},
            "proposal": {"pre_nms_top_n": 300, "post_nms_top_n": 200, "nms_iou": 0.6},
        },
    ],
)
def test_the_printed_lines_build_the_same_mask_rcnn_in_torchvision(tmp_path, monkeypatch, fields, ending):
    torchvision = load_torchvision()
    predictor = detector_of(**fields)
    lines = export_torchvision(predictor, tmp_path / f"out{ending}")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(lines, found)  # strictly: all names and shapes are as they should be
    theirs, model = found["model"].eval(), predictor.trained.model
    heads, proposals = theirs.roi_heads, theirs.rpn
    assert (heads.detections_per_img, heads.score_thresh, heads.nms_thresh) == model.detection[:3]
    assert (proposals._pre_nms_top_n["testing"], proposals._post_nms_top_n["testing"]) == model.proposal[:2]
    assert proposals.nms_thresh == model.proposal.nms_iou
    assert proposals.anchor_generator.sizes == model.anchor_sizes
    assert (theirs.transform.min_size, theirs.transform.max_size) == ((96,), 160)
    norms = [module for module in theirs.modules() if hasattr(module, "running_var")]
    assert {module.eps for module in norms} == {model.norm_epsilon}

    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    ours = predictor.predict(image)
    with torchvision.torch.no_grad():
        (answer,) = theirs([to_torch(image[None].astype(np.float32) / 255)[0]])
    assert len(ours.boxes) == len(answer["boxes"])
    np.testing.assert_allclose(ours.scores, answer["scores"].numpy(), atol=1e-4)
