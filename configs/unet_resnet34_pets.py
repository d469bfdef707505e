"""U-Net with a ResNet-34 encoder on Oxford-IIIT Pet, with the data, augmentation and schedule of ``unet_pets_strong``.

python -m jaxseg.main --config configs/unet_resnet34_pets.py --config.init.weights=ResNet34_Weights.IMAGENET1K_V1
"""

from jaxseg.configs import unet_pets_strong


def get_config():
    config = unet_pets_strong.get_config()
    config.model = {"name": "unet_resnet", "depth": 34, "width": 64, "norm": "batch"}
    config.optimizer.learning_rate = 5e-4  # low enough for an encoder that has learnt already
    return config
