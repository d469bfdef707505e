"""Writes the golden files: outputs of torchvision, and of a plain PyTorch FCN-8s, for weights drawn from a seed.

From the project's root, with PyTorch and torchvision installed::

    PYTHONPATH=.:tests python tests/golden/make_golden.py

The files hold outputs only. A test draws the same weights again, runs our model and compares.
"""

from pathlib import Path

import numpy as np
from detector_oracle import OUTPUT_LAYERS, SMALL, detector, lively_pair, patchwork, to_torch_image
from random_weights import random_image, random_variables, template
from torch_fcn import copied
from torch_models import load_into, to_numpy, to_torch
from torchvision_oracle import load_torchvision

from jaxseg.models.backbones.resnet import LAYERS, ResNet
from jaxseg.models.backbones.vgg import VGG16
from jaxseg.models.fcn_resnet import FCNResNet
from jaxseg.models.fcn_vgg import FCNVGG
from jaxseg.weights.mappings import FCN_RESNET, RESNET, VGG16_BN
from jaxseg.weights.mappings import VGG16 as VGG16_PLAIN
from jaxseg.weights.torchvision import to_state_dict

FOLDER = Path(__file__).resolve().parent


def resnet_features(network, x):
    """The features that ours returns by name, from torchvision's classification network."""
    features = {}
    x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
    for layer in LAYERS:
        x = features[layer] = getattr(network, layer)(x)
    features["logits"] = network.fc(x.mean((2, 3)))
    return {name: to_numpy(value) for name, value in features.items()}


def vgg_features(network, x):
    """The outputs of the five pools of torchvision's classification network."""
    features = {}
    for layer in network.features:
        x = layer(x)
        if type(layer).__name__ == "MaxPool2d":
            features[f"pool{len(features) + 1}"] = to_numpy(x)
    return features


def make_resnet(torchvision, depth):
    variables = random_variables(template(ResNet(depth, classes=1000), (1, 64, 64, 3)), seed=depth)
    network = load_into(torchvision.models.get_model(f"resnet{depth}", weights=None), to_state_dict(variables, RESNET))
    features = resnet_features(network, to_torch(random_image((1, 64, 64, 3), seed=depth)))
    layers = {name: features[name][..., ::16] for name in LAYERS}
    np.savez_compressed(FOLDER / f"resnet{depth}.npz", logits=features["logits"], **layers)


def make_vgg(torchvision, name, batch_norm, mapping):
    variables = random_variables(template(VGG16(batch_norm), (1, 64, 64, 3)), seed=16)
    network = torchvision.models.get_model(name, weights=None, init_weights=False)
    network.classifier = torchvision.torch.nn.Identity()
    features = vgg_features(
        load_into(network, to_state_dict(variables, mapping)), to_torch(random_image((1, 64, 64, 3), seed=16))
    )
    np.savez_compressed(FOLDER / f"{name}.npz", **{pool: features[pool][..., ::16] for pool in ("pool3", "pool5")})


def make_fcn(torchvision, depth):
    variables = random_variables(template(FCNResNet(21, depth), (1, 64, 64, 3)), seed=depth)
    network = torchvision.models.get_model(
        f"fcn_resnet{depth}", weights=None, weights_backbone=None, num_classes=21, aux_loss=True
    )
    outputs = load_into(network, to_state_dict(variables, FCN_RESNET))(
        to_torch(random_image((1, 65, 72, 3), seed=depth))
    )
    logits = {"logits": outputs["out"], "aux_logits": outputs["aux"]}
    logits = {name: to_numpy(value)[:, ::8, ::8] for name, value in logits.items()}
    np.savez_compressed(FOLDER / f"fcn_resnet{depth}.npz", **logits)


def make_detector(torchvision, version):
    """The calibration of the output layers, which the test repeats on its weights, and what the detector then says."""
    model, shapes = detector(version, classes=11, **SMALL)
    image = patchwork((120, 170), seed=version)
    theirs, variables = lively_pair(torchvision, model, shapes, image, 128, 192, seed=version)
    raw = random_variables(shapes, seed=version)["params"]
    outputs = {}
    for part, layer in OUTPUT_LAYERS:
        lively, plain = variables["params"][part][layer], raw[part][layer]
        outputs[f"{part}_{layer}_factor"] = (lively["kernel"] / plain["kernel"]).reshape(-1, lively["bias"].size)[0]
        outputs[f"{part}_{layer}_bias"] = lively["bias"]
    images, _ = theirs.transform([to_torch_image(image)])
    features = theirs.backbone(images.tensors)
    logits, _ = theirs.rpn.head(list(features.values()))
    for i, level in enumerate(features.values()):
        outputs[f"p{i + 2}"] = to_numpy(level)[:, ::2, ::2, ::16]
        outputs[f"logits_{i + 2}"] = to_numpy(logits[i])[:, ::2, ::2]
    proposals, _ = theirs.rpn(images, features)
    found, _ = theirs.roi_heads(features, proposals, images.image_sizes)
    outputs |= {name: found[0][name].numpy()[:20] for name in ("boxes", "scores", "labels", "masks")}
    np.savez_compressed(FOLDER / f"mask_rcnn_v{version}.npz", **outputs)


def make_fcn8s():
    fields = {"width": 4, "hidden": 16}
    variables = random_variables(template(FCNVGG(5, **fields), (1, 64, 64, 3)), seed=8)
    logits = copied(variables, 5, **fields)(to_torch(random_image((2, 70, 90, 3), seed=8)))
    np.savez_compressed(FOLDER / "fcn8s.npz", logits=to_numpy(logits)[:, ::4, ::4])


def main():
    torchvision = load_torchvision()
    with torchvision.torch.no_grad():
        for depth in (18, 50, 101):
            make_resnet(torchvision, depth)
        make_vgg(torchvision, "vgg16", False, VGG16_PLAIN)
        make_vgg(torchvision, "vgg16_bn", True, VGG16_BN)
        for depth in (50, 101):
            make_fcn(torchvision, depth)
        for version in (1, 2):
            make_detector(torchvision, version)
        make_fcn8s()


if __name__ == "__main__":
    main()
