"""Mask R-CNN on data of your own in COCO's format, from weights that know COCO.

    python -m jaxseg.main --config configs/mask_rcnn_folder.py --config.data.source_dir=FOLDER

FOLDER has train/ and val/ with images and annotations/instances_train.json and instances_val.json; other places are
named with data.annotations and data.images, and data.split_seed=1337 divides a single file. Classes are the file's
categories. All that knows COCO's classes, the last layer of each head, starts anew, and learns at the full rate; the
rest of the backbone, the pyramid and the RPN at a tenth of it. Other weights, by file or by torchvision's name, are
given with --config.init.weights; if their frozen norms need another epsilon, the run says which.

One GPU will do. How long it takes and what it scores depends on the data, and is not measured.
"""

from jaxseg.configs import mask_rcnn_coco


def get_config():
    config = mask_rcnn_coco.get_config()
    config.data.workers = 4
    config.init.weights = "MaskRCNN_ResNet50_FPN_Weights.COCO_V1"
    config.model.norm_epsilon = 0.0  # what these weights were trained with
    config.optimizer.learning_rate = 0.01
    config.optimizer.factors = (("backbone/", 0.1), ("fpn/", 0.1), ("rpn_head/", 0.1))
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 200
    config.train.batch_size = 8
    config.train.epochs = 20.0
    config.train.evaluate_every = 500
    config.train.checkpoint_every = 500
    return config
