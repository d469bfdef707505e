"""What ties the detector, its losses, predictions and metrics together."""

from jaxseg.losses import instances as losses
from jaxseg.losses.instances import Mean
from jaxseg.models.detector_training import TrainingOutputs


def five_losses(outputs: TrainingOutputs) -> dict[str, Mean]:
    """The losses of Mask R-CNN by torchvision's names; what is trained on is the sum of their values."""
    anchors, regions = outputs.anchors, outputs.regions
    first = outputs.mask_logits.shape[1]
    classes, valid = regions.gt_classes, regions.valid
    return {
        "loss_objectness": losses.objectness(anchors.logits, anchors.positive, anchors.valid),
        "loss_rpn_box_reg": losses.rpn_boxes(anchors.deltas, anchors.gt_deltas, anchors.positive, anchors.valid),
        "loss_classifier": losses.classification(outputs.class_logits, classes, valid),
        "loss_box_reg": losses.head_boxes(outputs.box_deltas, regions.gt_deltas, classes, valid),
        "loss_mask": losses.masks(outputs.mask_logits, outputs.gt_masks, classes[:, :first], valid[:, :first]),
    }
