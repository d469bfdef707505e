"""FCN-8s on Cityscapes at half its resolution, with the optimizer of ``fcn8s_voc``.

    python -m jaxseg.main --config configs/fcn8s_cityscapes.py --config.data.source_dir=FOLDER

trains on the 2,975 finely labeled images and validates on the 500, at 1024x512 with the 19 train ids.
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
