"""torchvision's Mask R-CNN of the same shape as jaxseg's, with the same weights."""

from functools import partial
from typing import Any

import jax
import numpy as np
import torch
from torch import nn

from jaxseg.benchmarks.jaxseg_steps import normalized
from jaxseg.benchmarks.torch_import import import_torchvision
from jaxseg.run.state import TrainState
from jaxseg.types import InstanceBatch
from jaxseg.weights.mappings import MASK_RCNN_V1, MASK_RCNN_V2
from jaxseg.weights.torchvision import to_state_dict

MAPPINGS = {1: MASK_RCNN_V1, 2: MASK_RCNN_V2}
RESNET_PARTS = ("bn1", "conv1", "layer1", "layer2", "layer3", "layer4")  # in the order in which they are frozen


def detector(model: Any, state: TrainState) -> nn.Module:
    """Returns torchvision's detector for a ``MaskRCNN`` of jaxseg, with its weights, so both find the same.

    It does not paste masks into images, as jaxseg's predictions here do not either: they end with boxes, scores and
    masks of 28x28 on the device.

    Raises:
      ValueError: torchvision cannot build a model like this.
    """
    if model.width != 64 or model.class_agnostic:
        raise ValueError("--against torch knows mask_rcnn as torchvision has it, of width 64 and not class-agnostic")
    torchvision = import_torchvision()
    detection = torchvision.models.detection
    faster, mask = detection.faster_rcnn, detection.mask_rcnn
    frozen = partial(torchvision.ops.FrozenBatchNorm2d, eps=model.norm_epsilon)
    norm = frozen if model.norm == "frozen" else partial(nn.BatchNorm2d, eps=model.norm_epsilon)
    head_norm = norm if model.version == 2 else None
    channels, hidden = model.channels, model.hidden
    if model.version == 2:
        box_head = faster.FastRCNNConvFCHead((channels, 7, 7), [channels] * 4, [hidden], norm_layer=head_norm)
    else:
        box_head = faster.TwoMLPHead(channels * 49, hidden)
    anchors = detection.anchor_utils.AnchorGenerator(
        tuple(map(tuple, model.anchor_sizes)), (tuple(model.anchor_ratios),) * len(model.anchor_sizes)
    )
    module = mask.MaskRCNN(
        _backbone(torchvision, model, norm, head_norm),
        rpn_anchor_generator=anchors,
        rpn_head=faster.RPNHead(channels, anchors.num_anchors_per_location()[0], conv_depth=model.version),
        box_head=box_head,
        box_predictor=faster.FastRCNNPredictor(hidden, model.classes),
        mask_head=mask.MaskRCNNHeads(channels, [channels] * 4, 1, norm_layer=head_norm),
        mask_predictor=mask.MaskRCNNPredictor(channels, channels, model.classes),
        **_numbers(model),
    )
    variables = jax.device_get({"params": state.params, "batch_stats": state.batch_stats})
    weights = to_state_dict(variables, MAPPINGS[model.version])
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    module.transform = AsTheyAre()
    return module


def detector_inputs(config: Any, batch: InstanceBatch, *, training: bool) -> tuple:
    """Returns a batch as torchvision wants it: a list of normalized images and, for training, of dictionaries."""
    images = [torch.from_numpy(image).permute(2, 0, 1) for image in normalized(config, batch.image)]
    if not training:
        return (images,)
    masks = np.unpackbits(batch.masks, axis=-1)
    targets = [
        {
            "boxes": torch.from_numpy(batch.boxes[row][used]),
            "labels": torch.from_numpy(batch.classes[row][used].astype(np.int64)),
            "masks": torch.from_numpy(masks[row][used]),
        }
        for row, used in enumerate(batch.usable)
    ]
    return images, targets


class AsTheyAre(nn.Module):
    """A transform for torchvision's detector that resizes no images and pastes no masks."""

    def forward(self, images: list[torch.Tensor], targets: Any = None) -> tuple[Any, Any]:
        """Returns images that are equally large as one batch, and the targets."""
        image_list = import_torchvision().models.detection.image_list.ImageList
        sizes = [tuple(image.shape[-2:]) for image in images]
        return image_list(torch.stack(images), sizes), targets

    def postprocess(self, results: Any, sizes: Any, original_sizes: Any) -> Any:
        """Returns the results as they are."""
        del sizes, original_sizes
        return results


def _backbone(torchvision: Any, model: Any, norm: Any, head_norm: Any) -> nn.Module:
    resnet = torchvision.models.get_model(f"resnet{model.depth}", weights=None, norm_layer=norm)
    for name in RESNET_PARTS[: 0 if model.trainable_layers == 5 else 6 - model.trainable_layers]:
        for parameter in resnet.get_submodule(name).parameters():
            parameter.requires_grad_(False)
    widths = [resnet.inplanes >> level for level in (3, 2, 1, 0)]
    layers = {f"layer{level + 1}": str(level) for level in range(4)}
    utilities = torchvision.models.detection.backbone_utils
    return utilities.BackboneWithFPN(resnet, layers, widths, model.channels, norm_layer=head_norm)


def _numbers(model: Any) -> dict[str, Any]:
    """Returns how many proposals, regions and detections there are, by torchvision's names."""
    training, testing = model.training_proposal, model.proposal
    return {
        "rpn_pre_nms_top_n_train": training.pre_nms_top_n,
        "rpn_post_nms_top_n_train": training.post_nms_top_n,
        "rpn_pre_nms_top_n_test": testing.pre_nms_top_n,
        "rpn_post_nms_top_n_test": testing.post_nms_top_n,
        "rpn_nms_thresh": testing.nms_iou,
        "rpn_batch_size_per_image": model.rpn_sampling.batch_size_per_image,
        "rpn_positive_fraction": model.rpn_sampling.positive_fraction,
        "box_score_thresh": model.detection.score_threshold,
        "box_nms_thresh": model.detection.nms_iou,
        "box_detections_per_img": model.detection.max_detections,
        "box_batch_size_per_image": model.box_sampling.batch_size_per_image,
        "box_positive_fraction": model.box_sampling.positive_fraction,
    }
