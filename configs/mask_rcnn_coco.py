"""Mask R-CNN ResNet50-FPN on COCO, as torchvision's ``maskrcnn_resnet50_fpn``.

Data: COCO 2017; a folder with train2017/, val2017/ and annotations/.
Recipe: torchvision's: ResNet-50 of ImageNet with frozen norms, stem and first layer; SGD at 0.02 with drops after 16
    and 22 of 26 epochs, warm-up of 1000 steps, batches of 16, flips. Only kernels decay, unlike in torchvision. Meant
    for eight GPUs.
Run: jaxseg train mask_rcnn_coco --config.data.source_dir=FOLDER
    Published weights find objects in photographs without training:
      jaxseg predict --config mask_rcnn_coco --weights maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth --input photo.jpg
Result: torchvision publishes box AP 0.379 and mask AP 0.346.
"""

from jaxseg import config as defaults


def get_config():
    config = defaults.detector()
    config.data.name = "coco"
    config.data.augment.flip = True
    config.data.workers = 8
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
        "trainable_layers": 3,
    }
    config.init.weights = "ResNet50_Weights.IMAGENET1K_V1"
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.02
    config.optimizer.schedule = "steps"
    config.optimizer.milestones = (16 / 26, 22 / 26)
    config.optimizer.warmup_steps = 1000
    config.optimizer.weight_decay = 1e-4
    config.train.batch_size = 16
    config.train.epochs = 26.0
    config.train.evaluate_every = 7330  # an epoch
    config.train.checkpoint_every = 1000
    return config
