"""FCN-ResNet50 on PASCAL VOC 2012 by the recipe of torchvision.

Data: PASCAL VOC 2012 and SBD at 480x480, in the layout of fcn8s_voc. torchvision itself trains on the images of COCO
    that have classes of VOC.
Recipe: ResNet-50 of ImageNet, SGD at 0.02 with a polynomial schedule, 30 epochs of batches of 32, random crops resized
    to 480x480, flips. The auxiliary head learns at ten times the rate.
Run: jaxseg train fcn_resnet50_voc --config.data.source_dir=FOLDER
Result: no score of a full run is on record.
"""

from jaxseg.configs import fcn8s_voc


def get_config():
    config = fcn8s_voc.get_config()
    config.data.augment.crop_scale = (0.5, 1.5)
    config.data.augment.flip = True
    config.data.cache = False  # at the size from which crops are cut it would take 39 GB
    config.data.workers = 8
    config.model = {"name": "fcn_resnet", "depth": 50, "width": 64, "dropout": 0.1, "auxiliary": True}
    config.init.weights = "ResNet50_Weights.IMAGENET1K_V1"
    config.optimizer.learning_rate = 0.02
    config.optimizer.schedule = "poly"
    config.optimizer.factors = (("aux_classifier/", 10.0),)
    config.optimizer.weight_decay = 1e-4
    config.train.batch_size = 32
    config.train.epochs = 30.0
    config.train.evaluate_every = 1655  # five epochs
    config.train.checkpoint_every = 331
    return config
