"""U-Net on Oxford-IIIT Pet with augmentation, trained on the official trainval images.

Data: Oxford-IIIT Pet at 160x160, 3,680 trainval and 3,669 test images. The test images are scored once, at the end.
Recipe: crops of 128x128, flips and color changes; AdamW with a cosine schedule, 72 epochs of batches of 5;
    cross-entropy plus half of Dice, and an average of the parameters. After 36 epochs the loss was still falling. Dice
    was chosen on 30 trainval images at 96x96, after 16 epochs on 270 others: mean IoU 0.570 with Dice, 0.518 with label
    smoothing of 0.1 instead.
    The learning rate is 0.048 / features: 3e-3 with 16 features, 7.5e-4 with 64. On 240 of the trainval images with 64
    features, the mean loss of steps 160 to 190 was 1.19 at a rate of 3e-3 and 1.11 at 7.5e-4.
Run: jaxseg train unet_pets_strong --config.data.source_dir=FOLDER
    On two cores: --config.model.features=16
Result: trained on 300 trainval images of three breeds, scored on their 298 test images, with jax 0.10.2.
    16 features, 72 epochs: mean IoU 0.680 (pet 0.733, background 0.849, border 0.460) and pixel accuracy 0.862 in 62
    minutes on one core of a Xeon beside other jobs.
    16 features, 36 epochs: 0.641 (pet 0.692, background 0.823, border 0.408) and 0.840 in 18 minutes 8 seconds on two
    cores of a Xeon; on two cores of an EPYC 0.639 and 0.839 in 7 minutes 31 seconds.
    64 features, 72 epochs, bfloat16, images resized to a shorter side of 320 pixels beforehand: 0.692 (pet 0.743,
    background 0.854, border 0.479) and 0.869 with seed 0, 0.701 and 0.875 with seed 1. 16 features in the same way:
    0.676 and 0.859. One H200 with jax 0.11.2 took 2 minutes for each, beside 3 minutes of compiling, with ten
    trainings at once.
    64 features, 36 epochs: 0.652 (pet 0.697, background 0.826, border 0.431) and 0.845 in 76 minutes on two cores of a
    Xeon beside other jobs. At a rate of 3e-3 they were 0.609 and 0.821.
    Native aspect: with 8 features and 8 epochs (480 steps) of the same images, scored in the pixels of the files.
    Mean IoU is 0.496 stretched, 0.543 with data.resize=long_side and data.crop_size=160,160. With
    data.resize=short_side it is 0.424, since a crop of 128x128 shows less of a pet.
"""

from jaxseg.configs import unet_pets

from jaxseg import config as defaults


def get_config():
    config = unet_pets.get_config()
    config.data.split_seed = None  # the official lists
    config.data.train = "trainval"
    config.data.val = ""  # every training image is trained on, and nothing is chosen by a score
    config.data.test = "test"
    config.data.mean = config.data.std = ()  # of ImageNet, or of config.init.weights
    config.data.crop_size = (128, 128)  # crops of four fifths of an image, more or less, are two thirds of the work
    config.data.augment.crop_scale = (0.6, 1.0)
    config.data.augment.crop_ratio = (0.8, 1.25)
    config.data.augment.flip = True
    config.data.augment.brightness = 0.2
    config.data.augment.contrast = 0.2
    config.data.augment.saturation = 0.2
    config.model.depth = 4  # the deepest cells see the whole pet
    config.model.initializer = "he_normal"
    config.model.norm_momentum = 0.9
    config.loss.dice = 0.5
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = defaults.rate_for_width(3e-3, at=16, width=config.model.get_ref("features"))
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 50
    config.optimizer.weight_decay = 1e-2
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema = 0.998
    config.train.batch_size = 5
    config.train.epochs = 72.0
    config.train.checkpoint_every = 100
    return config
