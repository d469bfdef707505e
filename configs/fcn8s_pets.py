"""FCN-8s on Oxford-IIIT Pet.

Data: Oxford-IIIT Pet at 160x160, 3,680 trainval and 3,669 test images, as for unet_pets_strong.
Recipe: as unet_pets_strong, at a rate of 1e-3, from random weights. VGG16 has norms, which it needs for that.
Run: jaxseg train fcn8s_pets --config.data.source_dir=FOLDER
    From ImageNet: --config.init.weights=VGG16_BN_Weights.IMAGENET1K_V1 --config.optimizer.learning_rate=1e-4
    On two cores: --config.model.width=16 --config.model.hidden=256
    The three stages of the paper are three runs. Each starts from the one before:
      jaxseg train fcn8s_pets --workdir runs/32s --config.model.stride=32
      jaxseg train fcn8s_pets --workdir runs/16s --config.model.stride=16 --config.init.weights=runs/32s
      jaxseg train fcn8s_pets --workdir runs/8s --config.init.weights=runs/16s
Result: trained for 36 epochs (--config.train.epochs=36) on 300 trainval images of three breeds, on their 298 test
    images, with jax 0.10.2. Width 32, 512 hidden: mean IoU 0.645 (pet 0.699, background 0.828, border 0.408) and pixel
    accuracy 0.843 in 44 minutes on one core of a Xeon beside other jobs. Width 16, 256 hidden: 0.646 (pet 0.705,
    background 0.831, border 0.403) and 0.844 in 6 minutes 27 seconds on two cores of an EPYC. The default width 64,
    4096 hidden, in bfloat16: 0.643 (pet 0.696, background 0.828, border 0.404) and 0.842 on one H200 with jax 0.11.2,
    from images resized to a shorter side of 320 pixels. So from random weights, width does not help on 300 images;
    weights of ImageNet need the default.
    Native aspect: at width 8, with 128 hidden channels and 8 epochs (480 steps), scored in the pixels of
    the files, mean IoU 0.466 stretched and 0.440 with data.resize=short_side.
"""

from jaxseg.configs import unet_pets_strong


def get_config():
    config = unet_pets_strong.get_config()
    config.model = {
        "name": "fcn_vgg",
        "stride": 8,
        "width": 64,
        "hidden": 4096,
        "batch_norm": True,
        "dropout": 0.5,
    }
    config.optimizer.learning_rate = 1e-3
    return config
