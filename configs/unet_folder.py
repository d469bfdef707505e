"""U-Net on your own images: images/NAME.jpg and masks/NAME.png in one folder.

    python -m jaxseg.main --config configs/unet_folder.py --config.data.source_dir=FOLDER

What else may lie in the folder (class names, lists of images) and what masks may look like is told in
``jaxseg/data/sources/folder.py``. Without lists, a fifth of the images is for validation.
"""

from jaxseg import config as defaults


def get_config():
    config = defaults.semantic()
    config.data.name = "folder"
    config.data.image_size = (256, 256)
    config.data.augment.crop_scale = (0.6, 1.2)
    config.data.augment.crop_ratio = (0.8, 1.25)
    config.data.augment.flip = True
    config.data.augment.brightness = 0.3
    config.data.augment.contrast = 0.3
    config.data.augment.saturation = 0.3
    config.model = {"name": "unet", "features": 32, "depth": 4, "initializer": "he_normal", "norm_momentum": 0.9}
    config.loss.dice = 0.5
    config.optimizer.schedule = "cosine"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 1e-2
    config.optimizer.clip_norm = 1.0
    config.train.batch_size = 8
    config.train.epochs = 100.0
    return config
