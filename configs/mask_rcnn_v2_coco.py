"""Mask R-CNN ResNet50-FPN on COCO, as torchvision's ``maskrcnn_resnet50_fpn_v2``: norms everywhere, deeper heads.

    python -m jaxseg.main --config configs/mask_rcnn_v2_coco.py --config.data.source_dir=FOLDER

trains it by torchvision's recipe, from random numbers: 400 epochs of 64 images, large-scale jitter to 1024x1024, SGD at
0.1 that falls tenfold after 352 and 384 epochs, with a weight decay of 4e-5, of kernels only. Meant for a pod; how long
it takes and what it scores here is not measured yet. torchvision publishes a box AP of 47.4 and a mask AP of 41.8.
"""

from jaxseg.configs import mask_rcnn_coco


def get_config():
    config = mask_rcnn_coco.get_config()
    config.model.version = 2
    config.model.norm = "batch"
    config.model.trainable_layers = 5  # nothing is frozen that begins at random
    config.init.weights = ""
    config.data.image_size = (1024, 1024)
    config.data.augment.scale_jitter = (0.1, 2.0)
    config.optimizer.learning_rate = 0.1
    config.optimizer.milestones = (352 / 400, 384 / 400)
    config.optimizer.weight_decay = 4e-5
    config.train.batch_size = 64
    config.train.epochs = 400.0
    config.train.evaluate_every = 18325  # ten epochs
    return config
