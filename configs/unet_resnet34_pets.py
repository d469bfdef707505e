"""U-Net with a ResNet-34 encoder on Oxford-IIIT Pet.

Data: Oxford-IIIT Pet at 160x160, 3,680 trainval and 3,669 test images, as for unet_pets_strong.
Recipe: as unet_pets_strong, at a rate of 5e-4. Initial weights of ImageNet are optional.
Run: jaxseg train unet_resnet34_pets --config.init.weights=ResNet34_Weights.IMAGENET1K_V1
Result: no score of a full run is on record.
"""

from jaxseg.configs import unet_pets_strong


def get_config():
    config = unet_pets_strong.get_config()
    config.model = {"name": "unet_resnet", "depth": 34, "width": 64, "norm": "batch"}
    config.optimizer.learning_rate = 5e-4  # low enough for an encoder that has learned already
    return config
