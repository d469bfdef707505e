"""Mask R-CNN on your own data, from weights of COCO.

Data: a folder of COCO, YOLO segmentation, LabelMe, CVAT for images, PASCAL VOC, or images and instance masks.
    The run says which layout it has found. Without a validation split, a fifth of the images is drawn for it.
Recipe: SGD at 0.01 with a cosine schedule, 20 epochs of batches of 8. The last layer of each head starts at random and
    learns at the full rate. Backbone, pyramid and RPN learn at a tenth of it.
Run: jaxseg train mask_rcnn_folder --config.data.source_dir=FOLDER
    Few images, or no GPU: jaxseg train mask_rcnn_folder_small --config.data.source_dir=FOLDER
Result: depends on the data.
"""

from jaxseg.configs import mask_rcnn_coco


def get_config():
    config = mask_rcnn_coco.get_config()
    config.data.name = "auto"  # COCO, YOLO, LabelMe, CVAT, PASCAL VOC, or masks of instance numbers
    config.data.workers = 4
    config.init.weights = "MaskRCNN_ResNet50_FPN_Weights.COCO_V1"
    config.model.norm_epsilon = 0.0  # set by the run to what its weights were trained with
    config.optimizer.learning_rate = 0.01
    config.optimizer.factors = (("backbone/", 0.1), ("fpn/", 0.1), ("rpn_head/", 0.1))
    config.optimizer.schedule = "cosine"
    config.optimizer.milestones = ()
    config.optimizer.warmup_steps = 200
    config.train.batch_size = 8
    config.train.epochs = 20.0
    config.train.evaluate_every = 500
    config.train.checkpoint_every = 500
    config.train.evaluate_epochs = 5.0  # few images have short epochs
    return config
