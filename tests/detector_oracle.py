"""Mask R-CNN as torchvision has it and as we have it, with the same weights, random but lively.

Random weights alone give nearly every box one class and a saturated score. ``calibrate`` therefore centers each
channel of the five output layers on real photographs and sets its spread.
"""

import json
import os
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_weights import random_variables
from torch_models import load_into, numpy_state

from jaxseg.models.mask_rcnn.model import MaskRCNN
from jaxseg.weights.mappings import MASK_RCNN_V1, MASK_RCNN_V2
from jaxseg.weights.torchvision import from_state_dict, to_state_dict

MAPPINGS = {1: MASK_RCNN_V1, 2: MASK_RCNN_V2}

# Where our model keeps the output layers, in the order of SPREADS.
OUTPUT_LAYERS = (
    ("rpn_head", "cls_logits"),
    ("rpn_head", "bbox_pred"),
    ("box_head", "cls_score"),
    ("box_head", "bbox_pred"),
    ("mask_head", "mask_fcn_logits"),
)

SPREADS = {
    "rpn.head.cls_logits": 2.0,
    "rpn.head.bbox_pred": 0.3,
    "roi_heads.box_predictor.cls_score": 2.0,
    "roi_heads.box_predictor.bbox_pred": 0.5,
    "roi_heads.mask_predictor.mask_fcn_logits": 2.0,
}


def shared_data():
    """The folder of real data beside the project; skips the test without it."""
    default = Path(__file__).resolve().parents[1] / "../shared/data"
    folder = Path(os.environ.get("JAXSEG_SHARED_DATA", default)) / "coco_tiny"
    if not folder.is_dir():
        pytest.skip(f"the photographs of {folder} are absent")
    return folder


def photographs(count, skip=0):
    """The first photographs of the tiny COCO, RGB uint8, of several sizes."""
    paths = sorted((shared_data() / "val2017").glob("*.jpg"))[skip : skip + count]
    return [cv2.imread(str(path))[..., ::-1].copy() for path in paths]


def annotated_photographs(count):
    """Photographs with their objects, as torchvision's targets in numpy; crowd regions are left out."""
    folder = shared_data()
    annotations = json.loads((folder / "annotations/instances_val2017.json").read_text())
    chosen = []
    for record in sorted(annotations["images"], key=lambda r: r["file_name"]):
        image = cv2.imread(str(folder / "val2017" / record["file_name"]))[..., ::-1].copy()
        objects = [a for a in annotations["annotations"] if a["image_id"] == record["id"] and not a["iscrowd"]]
        if 3 <= len(objects) <= 8:
            chosen.append((image, [_target(a, image.shape[:2]) for a in objects]))
        if len(chosen) == count:
            return chosen
    raise LookupError("too few photographs with three to eight objects")


def _target(annotation, size):
    """Box, class and mask of an object."""
    x, y, width, height = annotation["bbox"]
    mask = np.zeros(size, np.uint8)
    for polygon in annotation["segmentation"]:
        cv2.fillPoly(mask, [np.round(np.array(polygon).reshape(-1, 2)).astype(np.int32)], 1)
    return np.array([x, y, x + width, y + height], np.float32), annotation["category_id"], mask


SMALL = {"depth": 18, "channels": 64, "hidden": 128}  # a detector that is quick on two cores


def detector(version, **fields):
    """Our model of this version with torchvision's norms, and the shapes of its variables."""
    model = MaskRCNN(version=version, **{"norm": {1: "frozen", 2: "batch"}[version]} | fields)
    image, sizes = jnp.zeros((1, 64, 64, 3)), jnp.full((1, 2), 64)
    return model, jax.eval_shape(lambda: model.init(jax.random.key(0), image, sizes))


def patchwork(size, seed):
    """A uint8 image ``[h, w, 3]`` of colored squares over a gradient, for tests without photographs."""
    squares = np.random.default_rng(seed).integers(0, 200, (size[0] // 16 + 1, size[1] // 16 + 1, 3))
    squares = squares.repeat(16, axis=0).repeat(16, axis=1)[: size[0], : size[1]]
    return (squares + np.linspace(0, 55, size[1])[None, :, None]).astype(np.uint8)


def torch_detector(torchvision, model, min_size, max_size):
    """Theirs of the same structure as our ``model``, in evaluation mode, with the plain per-class suppression."""
    from torchvision.models.detection import backbone_utils, faster_rcnn, mask_rcnn

    nn = torchvision.torch.nn
    layer = nn.BatchNorm2d if model.norm == "batch" else torchvision.ops.FrozenBatchNorm2d
    head_layer = layer if model.version == 2 else None
    resnet = torchvision.models.get_model(f"resnet{model.depth}", weights=None, norm_layer=layer)
    names = {f"layer{i + 1}": str(i) for i in range(4)}
    widths = [resnet.inplanes >> i for i in (3, 2, 1, 0)]
    backbone = backbone_utils.BackboneWithFPN(resnet, names, widths, model.channels, norm_layer=head_layer)
    if model.version == 2:
        box_head = faster_rcnn.FastRCNNConvFCHead(
            (model.channels, 7, 7), [model.channels] * 4, [model.hidden], norm_layer=layer
        )
    else:
        box_head = faster_rcnn.TwoMLPHead(model.channels * 49, model.hidden)
    # Shifting boxes by their class, which torchvision does for up to 1,000 boxes on a CPU, rounds them.
    torchvision.ops.boxes.batched_nms = torchvision.ops.boxes._batched_nms_vanilla
    return mask_rcnn.MaskRCNN(
        backbone,
        min_size=min_size,
        max_size=max_size,
        rpn_head=faster_rcnn.RPNHead(model.channels, 3, conv_depth=model.version),
        box_head=box_head,
        box_predictor=faster_rcnn.FastRCNNPredictor(model.hidden, model.classes),
        mask_head=mask_rcnn.MaskRCNNHeads(model.channels, [model.channels] * 4, 1, norm_layer=head_layer),
        mask_predictor=mask_rcnn.MaskRCNNPredictor(model.channels, model.channels, model.classes),
    ).eval()


def lively_pair(torchvision, model, shapes, image, min_size, max_size, seed=0):
    """Both detectors with the same lively weights: theirs, and our variables.

    Args:
      torchvision: the module.
      model: ours.
      shapes: of its variables.
      image: a photograph on which the output layers are calibrated.
      min_size: of resized images.
      max_size: of resized images.
      seed: of the weights.
    """
    mapping = MAPPINGS[model.version]
    theirs = torch_detector(torchvision, model, min_size, max_size)
    load_into(theirs, to_state_dict(random_variables(shapes, seed), mapping))
    calibrate(torchvision, theirs, image)
    return theirs, from_state_dict(numpy_state(theirs), shapes, mapping).variables


def calibrate(torchvision, theirs, image):
    """Centres and rescales the output layers, stage by stage, on a photograph."""
    torch = torchvision.torch
    modules = dict(theirs.named_modules())
    heads = theirs.roi_heads

    def liven(name, inputs):
        layer = modules[name]
        outputs = torch.cat([layer(x).movedim(1, -1).reshape(-1, layer.bias.numel()) for x in inputs])
        std, mean = torch.std_mean(outputs, dim=0)
        factor = SPREADS[name] / std.clamp(min=1e-6)
        layer.weight *= factor.reshape(-1, *(1,) * (layer.weight.ndim - 1))
        layer.bias.copy_((layer.bias - mean) * factor)

    with torch.no_grad():
        images, _ = theirs.transform([to_torch_image(image)])
        features = theirs.backbone(images.tensors)
        shared = [theirs.rpn.head.conv(level) for level in features.values()]
        liven("rpn.head.cls_logits", shared)
        liven("rpn.head.bbox_pred", shared)
        proposals, _ = theirs.rpn(images, features)
        regions = heads.box_head(heads.box_roi_pool(features, proposals, images.image_sizes))
        liven("roi_heads.box_predictor.cls_score", [regions])
        liven("roi_heads.box_predictor.bbox_pred", [regions])
        some = [boxes[:50] for boxes in proposals]
        regions = heads.mask_head(heads.mask_roi_pool(features, some, images.image_sizes))
        predictor = heads.mask_predictor
        liven("roi_heads.mask_predictor.mask_fcn_logits", [predictor.relu(predictor.conv5_mask(regions))])


def to_torch_image(image):
    """A photograph as torchvision's detectors want it."""
    import torch

    return torch.from_numpy(image).permute(2, 0, 1).float() / 255
