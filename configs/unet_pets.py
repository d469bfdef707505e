"""U-Net on Oxford-IIIT Pet: the recipe of the well-known Keras example.

Data: Oxford-IIIT Pet at 160x160, 6,390 training and 1,000 validation images chosen with seed 1337. It is downloaded
    (800 MB), or read from a folder in the official layout with --config.data.source_dir=FOLDER.
Recipe: RMSprop at 1e-3, 15 epochs of batches of 32, no augmentation.
Run: jaxseg train unet_pets
Result: no score of a full run is on record. Three steps at these defaults held 7.3 GiB at most, evaluation and report
    included (two cores of a Xeon, jax 0.10.2).
"""

from jaxseg import config as defaults


def get_config():
    config = defaults.semantic()
    config.data.name = "oxford_pets"
    config.data.split_seed = 1337
    config.data.image_size = (160, 160)
    config.data.workers = 0  # with the cache, threads prepare 2,800 images a second on two cores
    config.data.mean = (0.0, 0.0, 0.0)  # the example only brings its images to 0..1
    config.data.std = (1.0, 1.0, 1.0)
    config.model = {
        "name": "unet",
        "features": 64,
        "depth": 3,
        "initializer": "glorot_uniform",
        "norm_momentum": 0.99,
        "norm_epsilon": 1e-3,
    }
    config.optimizer.name = "rmsprop"
    config.optimizer.learning_rate = 1e-3
    config.train.batch_size = 32
    config.train.epochs = 15.0
    config.train.evaluate_every = 200  # an epoch has 200 steps
    config.train.checkpoint_every = 200
    return config
