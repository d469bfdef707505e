"""Mask R-CNN ResNet50-FPN on COCO, as torchvision's ``maskrcnn_resnet50_fpn_v2``: norms everywhere, deeper heads.

Data: COCO 2017; a folder with train2017/, val2017/ and annotations/.
Recipe: torchvision's: from random weights, 400 epochs of batches of 64, scale jitter at 1024x1024, SGD at 0.1 with
    drops after 352 and 384 epochs, weight decay 4e-5 of kernels only. Meant for a pod.
Run: jaxseg train mask_rcnn_v2_coco --config.data.source_dir=FOLDER
Result: torchvision publishes box AP 0.474 and mask AP 0.418.
"""

from jaxseg.configs import mask_rcnn_coco


def get_config():
    config = mask_rcnn_coco.get_config()
    config.model.version = 2
    config.model.norm = "batch"
    config.model.trainable_layers = 5  # nothing is frozen that begins at random
    config.init.weights = ""
    config.data.crop_size = (1024, 1024)
    config.data.augment.scale_jitter = (0.1, 2.0)
    config.optimizer.learning_rate = 0.1
    config.optimizer.milestones = (352 / 400, 384 / 400)
    config.optimizer.weight_decay = 4e-5
    config.train.batch_size = 64
    config.train.epochs = 400.0
    config.train.evaluate_every = 18325  # ten epochs
    return config
