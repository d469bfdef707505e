"""U-Net on the data of its paper: membranes in electron microscopy.

Data: ISBI 2012, 30 slices of 512x512, 25 for training and 5 for validation.
Recipe: elastic deformations, dropout and border weights of the paper (Ronneberger et al. 2015), with padded
    convolutions and norms; AdamW with a cosine schedule from 1e-3, 3000 steps of 4 images, and an average of the
    parameters.
Run: jaxseg train unet_isbi --config.data.source_dir=FOLDER
    On two cores: --config.model.features=16 --config.model.depth=3 --config.train.batch_size=2 --config.train.steps=800
Result: on two cores, narrow as above, pixel error 0.087 (1 - pixel_accuracy) and mean IoU 0.762 (membrane 0.626, cell
    0.899) after 11 minutes 42 seconds (EPYC, jax 0.10.2, other jobs in idle time). Without class weights and average it
    was 0.133 after 600 steps. Both were chosen on the same five slices: there are no others.
    The default 64 features of depth 4, in bfloat16, after 1500 steps of 4: pixel error 0.080 and mean IoU 0.786
    (membrane 0.667, cell 0.905); 16 features of depth 4 in the same way: 0.082 and 0.778. One H200 with jax 0.11.2 took
    2 minutes, beside 2 minutes of compiling, with ten trainings at once. Each step of 64 features takes 2.9 TFLOP, 31
    times as much as a narrow one, so use a GPU.
"""

from jaxseg import config as defaults


def get_config():
    config = defaults.semantic()
    config.data.name = "isbi"
    config.data.image_size = (512, 512)
    config.data.augment.crop_scale = (0.9, 1.1)
    config.data.augment.flip = True
    config.data.augment.brightness = 0.1
    config.data.augment.contrast = 0.1
    config.data.augment.elastic = 10.0
    config.data.border_weight = 10.0
    config.data.border_width = 5.0
    # The weight of borders makes membranes weigh 4.4 times their pixels on average. Taken back here, what is left of it
    # is that thin membranes weigh more than thick ones; else nearly everything dark becomes a membrane.
    config.loss.class_weights = (0.25, 1.0)
    config.model = {
        "name": "unet",
        "features": 64,
        "depth": 4,
        "dropout": 0.5,
        "initializer": "he_normal",
        "norm_momentum": 0.9,
    }
    config.optimizer.schedule = "cosine"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.weight_decay = 1e-2
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema = 0.99
    config.train.batch_size = 4
    config.train.steps = 3000
    config.train.evaluate_every = 100
    config.train.checkpoint_every = 100
    config.train.best_metric = "pixel_accuracy"
    return config
