"""FCN-8s on Cityscapes at its full resolution, 1024x2048.

Data: Cityscapes at 1024x2048 with 19 classes, in the layout of fcn8s_cityscapes. Training sees windows of 512x1024 at
    scales of 0.5 to 2. Validation sees each image whole and scores it in its own pixels.
Recipe: that of fcn8s_cityscapes.
Run: jaxseg train fcn8s_cityscapes_native --config.data.source_dir=FOLDER
Result: no score of a full run is on record. tests/test_protocols.py compares its evaluation with an independent
    implementation.
"""

from jaxseg.configs import fcn8s_cityscapes


def get_config():
    config = fcn8s_cityscapes.get_config()
    config.data.resize = "none"
    config.data.image_size = (1024, 2048)
    config.data.crop_size = (512, 1024)
    config.data.augment.scale = (0.5, 2.0)
    config.data.cache = False  # at full resolution it would take 29 GB
    return config
