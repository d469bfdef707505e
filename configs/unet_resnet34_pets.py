"""U-Net with a ResNet-34 encoder on Oxford-IIIT Pet.

Data: Oxford-IIIT Pet at 160x160, 3,680 trainval and 3,669 test images, as for unet_pets_strong.
Recipe: as unet_pets_strong, at a rate of 5e-4. Initial weights of ImageNet are optional.
Run: jaxseg train unet_resnet34_pets --config.init.weights=ResNet34_Weights.IMAGENET1K_V1
Result: from random weights, in bfloat16, on 300 trainval images of three breeds, scored on their 298 test images: mean
    IoU 0.678 (pet 0.734, background 0.851, border 0.450) and pixel accuracy 0.862 after 72 epochs. One H200 with jax
    0.11.2 took 2 minutes, beside 3 minutes of compiling, with ten trainings at once. Images had been resized to a
    shorter side of 320 pixels. No run from ImageNet was made.
"""

from jaxseg.configs import unet_pets_strong


def get_config():
    config = unet_pets_strong.get_config()
    config.model = {"name": "unet_resnet", "depth": 34, "width": 64, "norm": "batch"}
    config.optimizer.learning_rate = 5e-4  # low enough for an encoder that has learned already
    return config
