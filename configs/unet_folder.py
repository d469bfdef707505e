"""U-Net on your own images.

Data: a folder with images/NAME.jpg and masks/NAME.png. Without lists of splits, a fifth of the images is for
    validation. jaxseg/data/sources/folder.py describes class names, lists and the values of masks. Objects in the
    format of COCO, YOLO, LabelMe, CVAT or PASCAL VOC are drawn into label maps.
Recipe: 256x256, crops, flips and color changes; AdamW with a cosine schedule from 1e-3, 100 epochs of batches of 8.
Run: jaxseg train unet_folder --config.data.source_dir=FOLDER
Result: depends on the data. With 300 pets of three breeds as a folder, 12 epochs of crops of 128x128, on the 60
    validation images in their own pixels: mean IoU 0.506 and pixel accuracy 0.771 with the default 32 features, 0.484
    and 0.763 with 16 (jax 0.10.2).
"""

from jaxseg import config as defaults


def get_config():
    config = defaults.semantic()
    config.data.name = "auto"  # images and masks, or objects, which are drawn into label maps
    config.data.as_semantic = True
    config.data.image_size = (256, 256)
    config.data.score_at = "original"
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
    config.train.evaluate_epochs = 5.0  # few images have short epochs
    return config
