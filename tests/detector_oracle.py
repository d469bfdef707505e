"""torchvision's Mask R-CNN and ours with the same weights, random but lively, for comparisons.

Random weights alone give nearly every box one class and a saturated score. ``calibrate`` therefore centres each
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

from jaxseg.models.mask_rcnn import MaskRCNN
from jaxseg.weights.mappings import MASK_RCNN_V1, MASK_RCNN_V2
from jaxseg.weights.torchvision import from_state_dict, to_state_dict

MAPPINGS = {1: MASK_RCNN_V1, 2: MASK_RCNN_V2}

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


def detector(version, depth=50, classes=91, norm=None, **fields):
    """Our model of this version with torchvision's norms, and the shapes of its variables."""
    norm = norm or {1: "frozen", 2: "batch"}[version]
    model = MaskRCNN(version=version, depth=depth, classes=classes, norm=norm, **fields)
    image, sizes = jnp.zeros((1, 64, 64, 3)), jnp.full((1, 2), 64)
    return model, jax.eval_shape(lambda: model.init(jax.random.key(0), image, sizes))


def torch_detector(torchvision, version, depth, classes, min_size, max_size, norm=None):
    """Theirs of this version, in evaluation mode, with the plain per-class suppression."""
    from torchvision.models.detection import backbone_utils, faster_rcnn, mask_rcnn

    nn = torchvision.torch.nn
    live = (norm or {1: "frozen", 2: "batch"}[version]) == "batch"
    layer = nn.BatchNorm2d if live else torchvision.ops.FrozenBatchNorm2d
    resnet = torchvision.models.get_model(f"resnet{depth}", weights=None, norm_layer=layer)
    heads = {}
    if version == 2:
        heads = {
            "rpn_head": faster_rcnn.RPNHead(256, 3, conv_depth=2),
            "box_head": faster_rcnn.FastRCNNConvFCHead((256, 7, 7), [256] * 4, [1024], norm_layer=layer),
            "mask_head": mask_rcnn.MaskRCNNHeads(256, [256] * 4, 1, norm_layer=layer),
        }
    backbone = backbone_utils._resnet_fpn_extractor(resnet, 5, norm_layer=layer if version == 2 else None)
    # Shifting boxes by their class, which torchvision does for up to 1,000 boxes on a CPU, rounds them.
    torchvision.ops.boxes.batched_nms = torchvision.ops.boxes._batched_nms_vanilla
    return mask_rcnn.MaskRCNN(backbone, classes, min_size=min_size, max_size=max_size, **heads).eval()


def lively_pair(torchvision, version, depth=50, classes=91, min_size=224, max_size=320, seed=0, **fields):
    """Both detectors with the same lively weights: (theirs, ours, our variables)."""
    model, shapes = detector(version, depth, classes, **fields)
    mapping = MAPPINGS[version]
    theirs = torch_detector(torchvision, version, depth, classes, min_size, max_size, fields.get("norm"))
    load_into(theirs, to_state_dict(random_variables(shapes, seed), mapping))
    calibrate(torchvision, theirs)
    variables = from_state_dict(numpy_state(theirs), shapes, mapping).variables
    return theirs, model, variables


def calibrate(torchvision, theirs):
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
        images, _ = theirs.transform([to_torch_image(image) for image in photographs(1, skip=10)])
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
