"""FCN-8s on Cityscapes at half its resolution.

Data: Cityscapes at 512x1024 with 19 classes, 2,975 finely labeled training and 500 validation images.
Recipe: as fcn8s_voc, with flips and batches of 8.
Run: jaxseg train fcn8s_cityscapes --config.data.source_dir=FOLDER
Result: no score of a full run is on record.
"""

from jaxseg.configs import fcn8s_voc


def get_config():
    config = fcn8s_voc.get_config()
    config.data.name = "cityscapes"
    config.data.train = "train"
    config.data.image_size = (512, 1024)
    config.data.augment.flip = True
    config.train.batch_size = 8  # as many pixels as 20 images of VOC
    config.train.evaluate_every = 1860  # five epochs
    config.train.checkpoint_every = 372
    return config
