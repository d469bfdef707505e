"""Names of layers in torchvision: one mapping per model.

A rule says: a module with a path that matches ``module`` is called ``entry`` in a state dict. Names of variables
(kernel, scale, mean, ...) are the same for all models. ``kernel`` says how the axes of a kernel are ordered.
"""

import re
from typing import NamedTuple

from jaxseg.models.backbones.vgg import STAGES

NOTHING = r"(?!)"  # a regular expression that matches no name


class Rule(NamedTuple):
    r"""One line of a mapping.

    Attributes:
      module: a regular expression that matches a whole module path, with names joined by "/".
      entry: the prefix in a state dict, with ``\1``, ``\2`` for the expression's groups.
      kernel: "conv", "dense", "flattened" (a dense layer over a flattened map) or "transposed" (a convolution).
    """

    module: str
    entry: str
    kernel: str = "conv"


class Mapping(NamedTuple):
    """The names of variables and of the entries of a state dict that correspond.

    Attributes:
      rules: the first one that matches counts.
      heads: a regular expression of entries with shapes that depend on the number of classes.
      spare: a regular expression of entries that a model of jaxseg may lack.
      old_names: (expression, replacement) for names that older versions of torchvision wrote.
    """

    rules: tuple[Rule, ...]
    heads: str = NOTHING
    spare: str = NOTHING
    old_names: tuple[tuple[str, str], ...] = ()


def under(module: str, entry: str, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Returns the rules of a part as rules of a whole, which calls it ``module``, and ``entry`` in torchvision.

    ``entry`` is "" if torchvision has the part alone.
    """
    prefix = f"{entry}." if entry else ""
    return tuple(Rule(f"{re.escape(module)}/{r.module}", prefix + r.entry, r.kernel) for r in rules)


_RESNET = (
    Rule(r"(conv1|bn1)", r"\1"),
    Rule(r"(layer\d)_(\d+)/downsample_conv", r"\1.\2.downsample.0"),
    Rule(r"(layer\d)_(\d+)/downsample_norm", r"\1.\2.downsample.1"),
    Rule(r"(layer\d)_(\d+)/((?:conv|bn)\d)", r"\1.\2.\3"),
    Rule(r"fc", r"fc", "dense"),
)

RESNET = Mapping(_RESNET, heads=r"fc\..*", spare=r"fc\..*")
RESNET_AS_BACKBONE = Mapping(under("backbone", "", _RESNET), spare=r"fc\..*")


def _vgg16_features(batch_norm: bool) -> tuple[Rule, ...]:
    """Returns the rules of layers that are numbered in a row: convolutions, norms, ReLUs and pools."""
    rules = []
    position = 0
    for i, convolutions in enumerate(STAGES, start=1):
        for j in range(1, convolutions + 1):
            rules.append(Rule(f"conv{i}_{j}", f"features.{position}"))
            if batch_norm:
                rules.append(Rule(f"bn{i}_{j}", f"features.{position + 1}"))
            position += 3 if batch_norm else 2
        position += 1
    return tuple(rules)


def _vgg16(batch_norm: bool) -> Mapping:
    classifier = (
        Rule("fc6", "classifier.0", "flattened"),
        Rule("fc7", "classifier.3", "dense"),
        Rule("fc8", "classifier.6", "dense"),
    )
    rules = _vgg16_features(batch_norm) + classifier
    return Mapping(rules, heads=r"classifier\.6\..*", spare=r"classifier\..*")


def _vgg16_as_fcn(batch_norm: bool) -> Mapping:
    """Returns rules that take the first two dense layers as convolutions of an FCN with as many channels."""
    convolutions = (Rule("fc6", "classifier.0", "flattened"), Rule("fc7", "classifier.3", "flattened"))
    rules = under("backbone", "", _vgg16_features(batch_norm)) + convolutions
    return Mapping(rules, heads=r"classifier\.[03]\..*", spare=r"classifier\.6\..*")


VGG16 = _vgg16(batch_norm=False)
VGG16_BN = _vgg16(batch_norm=True)
VGG16_AS_FCN = _vgg16_as_fcn(batch_norm=False)
VGG16_BN_AS_FCN = _vgg16_as_fcn(batch_norm=True)

_FCN_HEAD = (Rule("conv", "0"), Rule("norm", "1"), Rule("score", "4"))

FCN_RESNET = Mapping(
    under("backbone", "backbone", _RESNET)
    + under("classifier", "classifier", _FCN_HEAD)
    + under("aux_classifier", "aux_classifier", _FCN_HEAD),
    heads=r"(aux_)?classifier\.4\..*",
    spare=r"aux_classifier\..*",
)


def _mask_rcnn(version: int) -> Mapping:
    """Returns the mapping of a version; the second has norms in pyramid and heads, and a numbered box head."""
    block = (Rule(r"conv", "0"), Rule(r"norm", "1"))
    box_head = {
        1: (Rule(r"fc6", "fc6", "flattened"), Rule(r"fc7", "fc7", "dense")),
        2: (*_numbered(r"conv_(\d)", r"\1", block), Rule(r"fc6", "5", "flattened")),
    }
    return Mapping(
        under("backbone", "backbone.body", _RESNET)
        + under("fpn", "backbone.fpn", _numbered(r"(inner|layer)_(\d)", r"\1_blocks.\2", block))
        + under("rpn_head", "rpn.head", _numbered(r"conv_(\d)", r"conv.\1", block))
        + under("rpn_head", "rpn.head", (Rule(r"(cls_logits|bbox_pred)", r"\1"),))
        + under("box_head", "roi_heads.box_head", box_head[version])
        + under("box_head", "roi_heads.box_predictor", (Rule(r"(cls_score|bbox_pred)", r"\1", "dense"),))
        + under("mask_head", "roi_heads.mask_head", _numbered(r"conv_(\d)", r"\1", block))
        + under("mask_head", "roi_heads.mask_predictor", (Rule(r"conv5_mask", "conv5_mask", "transposed"),))
        + under("mask_head", "roi_heads.mask_predictor", (Rule(r"mask_fcn_logits", "mask_fcn_logits"),)),
        heads=r"roi_heads\.(box_predictor\..*|mask_predictor\.mask_fcn_logits\..*)",
        old_names=_OLD_DETECTOR_NAMES,
    )


def _numbered(module: str, entry: str, block: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Returns the rules of a block that occurs several times."""
    return tuple(Rule(f"{module}/{r.module}", f"{entry}.{r.entry}", r.kernel) for r in block)


# Files from before torchvision 0.13 name a convolution itself where newer ones name the block that it is in.
_OLD_DETECTOR_NAMES = (
    (r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)", r"\1.0.\2"),
    (r"rpn\.head\.conv\.(weight|bias)", r"rpn.head.conv.0.0.\1"),
    (r"roi_heads\.mask_head\.mask_fcn1\.(weight|bias)", r"roi_heads.mask_head.0.0.\1"),
    (r"roi_heads\.mask_head\.mask_fcn2\.(weight|bias)", r"roi_heads.mask_head.1.0.\1"),
    (r"roi_heads\.mask_head\.mask_fcn3\.(weight|bias)", r"roi_heads.mask_head.2.0.\1"),
    (r"roi_heads\.mask_head\.mask_fcn4\.(weight|bias)", r"roi_heads.mask_head.3.0.\1"),
)

MASK_RCNN_V1 = _mask_rcnn(1)
MASK_RCNN_V2 = _mask_rcnn(2)
