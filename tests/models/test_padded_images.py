"""Padding an image in a batch does not change what a semantic model says about it."""

import jax
import numpy as np
import pytest
from random_weights import random_image, random_variables, relative_error, template

from jaxseg.models.fcn_resnet import FCNResNet
from jaxseg.models.fcn_vgg import FCNVGG
from jaxseg.models.unet import UNet
from jaxseg.models.unet_resnet import UNetResNet

MODELS = {
    "unet": UNet(3, features=4, depth=2),
    "unet_without_norm": UNet(3, features=4, depth=2, norm="none"),
    "unet_resnet": UNetResNet(3, depth=18, width=4),
    "fcn8s": FCNVGG(3, width=2, hidden=4),
    "fcn8s_norm": FCNVGG(3, width=2, hidden=4, batch_norm=True),
    "fcn_resnet": FCNResNet(3, width=4),
}
SIZES = np.array([[37, 51], [64, 70]], np.int32)
QUICK = ("unet", "fcn8s")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_padding_changes_no_logit(name):
    model = MODELS[name]
    variables = random_variables(template(model, (1, 64, 64, 3)), seed=0)
    images = [random_image((1, *size, 3), seed=i) for i, size in enumerate(SIZES)]
    padded = np.zeros((2, 96, 128, 3), np.float32)
    for row, image in zip(padded, images, strict=True):
        row[: image.shape[1], : image.shape[2]] = image[0]
    apply = jax.jit(lambda x, extents=None: model.apply(variables, x, train=False, extents=extents))
    together, without = apply(padded, SIZES), apply(padded)
    for i, image in enumerate(images):
        for head, expected in apply(image).items():
            height, width = expected.shape[1:3]
            assert relative_error(together[head][i, :height, :width], expected[0]) < 1e-5
            assert relative_error(without[head][i, :height, :width], expected[0]) > 1e-3  # or the test shows nothing
