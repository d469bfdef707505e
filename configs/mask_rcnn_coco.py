"""Mask R-CNN ResNet50-FPN on COCO, as torchvision's ``maskrcnn_resnet50_fpn``.

Its weights, from torchvision or elsewhere, find objects in photographs:

    python -m jaxseg.predict --config configs/mask_rcnn_coco.py --weights maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth \
        --input photo.jpg --output out/

Training by torchvision's recipe, from the ResNet-50 of ImageNet:

    python -m jaxseg.main --config configs/mask_rcnn_coco.py --config.data.source_dir=FOLDER

where FOLDER has train2017/, val2017/ and annotations/: 26 epochs of 16 images, SGD at 0.02 that falls tenfold after 16
and 22 epochs, a warm-up of 1000 steps, the norms, the stem and the first layer frozen, images flipped. It differs from
the recipe in that only kernels decay, no biases. Meant for eight GPUs; how long it takes and what it scores here is
not measured yet. torchvision publishes a box AP of 37.9 and a mask AP of 34.6.
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
