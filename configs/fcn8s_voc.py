"""FCN-8s on PASCAL VOC 2012 with the optimizer of its paper, all layers at once.

Data: PASCAL VOC 2012 and SBD, both unpacked in one folder, at 480x480: 10,582 training and 1,449 validation images.
    Without SBD, --config.data.train=train leaves 1,464 training images.
Recipe: Long et al. 2015, section 4.3: VGG16 of ImageNet, SGD with momentum 0.9 at a fixed rate of 1e-4, weight decay
    5e-4, 175 epochs of batches of 20, no augmentation. The paper does not resize images to one size.
Run: jaxseg train fcn8s_voc --config.data.source_dir=FOLDER
Result: no score of a full run is on record. An FCN-8s of the paper's authors has mean IoU 0.655 on VOC's seg11valid.
"""

from jaxseg import config as defaults


def get_config():
    config = defaults.semantic()
    config.data.name = "voc"
    config.data.train = "trainaug"
    config.data.image_size = (480, 480)
    config.data.score_at = "original"
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
