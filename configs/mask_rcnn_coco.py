"""Mask R-CNN ResNet50-FPN on COCO, as torchvision's ``maskrcnn_resnet50_fpn``.

Its weights, from torchvision or elsewhere, find objects in photographs:

    python -m jaxseg.predict --config configs/mask_rcnn_coco.py --weights maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth \
        --input photo.jpg --output out/
"""

from configs import base


def get_config():
    config = base.get_config()
    config.task = "instances"
    config.data.name = "coco"
    config.data.mean = (0.485, 0.456, 0.406)
    config.data.std = (0.229, 0.224, 0.225)
    config.model = {
        "name": "mask_rcnn",
        "version": 1,
        "depth": 50,
        "width": 64,
        "channels": 256,
        "hidden": 1024,
        "class_agnostic": False,
        "norm": "frozen",
        "norm_epsilon": 1e-5,
    }
    return config
