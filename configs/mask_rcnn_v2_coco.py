"""Mask R-CNN ResNet50-FPN on COCO, as torchvision's ``maskrcnn_resnet50_fpn_v2``: norms everywhere, deeper heads."""

from configs import mask_rcnn_coco


def get_config():
    config = mask_rcnn_coco.get_config()
    config.model.version = 2
    config.model.norm = "batch"
    return config
