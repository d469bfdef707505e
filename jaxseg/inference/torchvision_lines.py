"""The Python lines that build the same model in torchvision and load an exported file into it."""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from jaxseg.config.resolution import IMAGENET
from jaxseg.inference.engine import TrainedModel
from jaxseg.models.fcn_resnet import FCNResNet
from jaxseg.models.mask_rcnn.model import MaskRCNN

DETECTION = "torchvision.models.detection"
# Fields that torchvision's functions do not have, with the value that its models have.
FIXED: Mapping[type[nn.Module], Mapping[str, Any]] = {
    FCNResNet: {"width": 64},
    MaskRCNN: {"width": 64, "channels": 256, "hidden": 1024, "class_agnostic": False},
}
FCN_DEPTHS = (50, 101)
EPSILON = 1e-5


def torchvision_lines(trained: TrainedModel, read: str) -> str:
    """Returns the lines that build a model in torchvision and load its weights.

    Args:
      trained: an FCN-ResNet or a Mask R-CNN.
      read: the call that reads the file, such as ``torch.load("model.pth")``.

    Raises:
      ValueError: torchvision does not have this model.
    """
    model = trained.model
    for field, value in FIXED[type(model)].items():
        if getattr(model, field) != value:
            raise ValueError(
                f"model.{field} is {getattr(model, field)}; torchvision's {type(model).__name__} has {value}. Train "
                "with its value, or export with --format stablehlo or onnx."
            )
    build = _detector(trained) if isinstance(model, MaskRCNN) else _fcn(trained)
    library = read.split("(")[0].rpartition(".")[0]
    lines = [f"import {library}, torchvision", f"model = {build}", f"model.load_state_dict({read})"]
    if getattr(model, "norm_epsilon", EPSILON) != EPSILON:
        lines += [
            "for module in model.modules():",
            '    if hasattr(module, "running_var"):',
            f"        module.eps = {model.norm_epsilon}",
        ]
    return "\n".join(lines)


def _fcn(trained: TrainedModel) -> str:
    """Returns the call that builds an FCN."""
    model = trained.model
    if model.depth not in FCN_DEPTHS:
        raise ValueError(f"model.depth is {model.depth}; torchvision's FCN has {' or '.join(map(str, FCN_DEPTHS))}.")
    return (
        f"torchvision.models.segmentation.fcn_resnet{model.depth}(weights=None, weights_backbone=None, "
        f"num_classes={len(trained.class_names)}, aux_loss={model.auxiliary})"
    )


def _detector(trained: TrainedModel) -> str:
    """Returns the call that builds a Mask R-CNN, with all options that differ from torchvision's."""
    model = trained.model
    options = ", ".join(f"{name}={value}" for name, value in _detector_options(trained).items())
    if model.depth == 50:
        name = "maskrcnn_resnet50_fpn" + ("_v2" if model.version == 2 else "")
        return f"{DETECTION}.{name}(weights=None, weights_backbone=None, {options})"
    if model.version == 2:
        raise ValueError(f"model.depth is {model.depth}; torchvision's Mask R-CNN of version 2 has 50.")
    backbone = f'{DETECTION}.backbone_utils.resnet_fpn_backbone(backbone_name="resnet{model.depth}", weights=None)'
    return f"{DETECTION}.MaskRCNN({backbone}, {options})"


def _detector_options(trained: TrainedModel) -> dict[str, Any]:
    """Returns the arguments of torchvision's Mask R-CNN; those of its defaults are left out."""
    data, sizes, ratios = trained.config.data, *_anchors(trained.model)
    options = {"num_classes": len(trained.class_names), "min_size": data.min_size, "max_size": data.max_size}
    usual = _choices(MaskRCNN(), IMAGENET)
    given = _choices(trained.model, (tuple(data.mean or IMAGENET[0]), tuple(data.std or IMAGENET[1])))
    options |= {name: value for name, value in given.items() if value != usual[name]}
    if (sizes, ratios) != _anchors(MaskRCNN()):
        anchors = f"{DETECTION}.anchor_utils.AnchorGenerator({sizes}, {(ratios,) * len(sizes)})"
        options["rpn_anchor_generator"] = anchors
    return options


def _choices(model: MaskRCNN, normalization: tuple[tuple[float, ...], tuple[float, ...]]) -> dict[str, Any]:
    """Returns how images are normalized and how proposals and detections are chosen, by torchvision's names."""
    return {
        "image_mean": normalization[0],
        "image_std": normalization[1],
        "box_score_thresh": model.detection.score_threshold,
        "box_nms_thresh": model.detection.nms_iou,
        "box_detections_per_img": model.detection.max_detections,
        "rpn_pre_nms_top_n_test": model.proposal.pre_nms_top_n,
        "rpn_post_nms_top_n_test": model.proposal.post_nms_top_n,
        "rpn_nms_thresh": model.proposal.nms_iou,
    }


def _anchors(model: MaskRCNN) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
    return tuple(map(tuple, model.anchor_sizes)), tuple(model.anchor_ratios)
