"""FCN-8s on PASCAL VOC 2012, with the paper's optimizer, from VGG16's ImageNet weights, all layers at once.

    python -m jaxseg.main --config configs/fcn8s_voc.py --config.data.source_dir=FOLDER

trains on the 10,582 images that VOC and SBD label, both unpacked in FOLDER, and validates on VOC's own 1,449; without
SBD, ``--config.data.train=train`` leaves 1,464. Unlike the paper's, all images are brought to one size. Long et al.
2015, section 4.3: SGD with momentum 0.9, 20 images, a fixed rate of 1e-4, decay 5e-4, 175 epochs, no augmentation.
"""

from jaxseg import config as defaults


def get_config():
    config = defaults.semantic()
    config.data.name = "voc"
    config.data.train = "trainaug"
    config.data.image_size = (480, 480)
    config.data.workers = 4
    config.model = {
        "name": "fcn_vgg",
        "stride": 8,
        "width": 64,
        "hidden": 4096,
        "batch_norm": False,
        "dropout": 0.5,
    }
    config.init.weights = "VGG16_Weights.IMAGENET1K_V1"
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 1e-4
    config.optimizer.weight_decay = 5e-4
    config.train.batch_size = 20
    config.train.epochs = 175.0
    config.train.evaluate_every = 2650  # five epochs
    config.train.checkpoint_every = 530
    return config
