"""Reads files of weights by their ending, downloads them by torchvision's names, checks their hash."""

import hashlib
import os
import re
import urllib.request
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from jaxseg.ctrl_c import unfinished
from jaxseg.weights.pickles import read_pth_with_notes
from jaxseg.weights.wrappers import find_state_dict


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Reads the arrays of a ``.safetensors`` file, and returns a note per prefix that was removed from all names.

    Raises:
      ValueError: it is damaged.
    """
    try:
        return find_state_dict(load_file(path), lambda value: True)
    except (SafetensorError, LookupError) as error:
        raise ValueError(f"{path} was not read as a .safetensors file: {error}.") from error


READERS = {".pth": read_pth_with_notes, ".pt": read_pth_with_notes, ".safetensors": read_safetensors}

ORIGIN = "https://download.pytorch.org/models/"

# torchvision's names of weights, and its files. A file's name ends in the first digits of its SHA-256.
DOWNLOADS = {
    "ResNet18_Weights.IMAGENET1K_V1": "resnet18-f37072fd.pth",
    "ResNet34_Weights.IMAGENET1K_V1": "resnet34-b627a593.pth",
    "ResNet50_Weights.IMAGENET1K_V1": "resnet50-0676ba61.pth",
    "ResNet50_Weights.IMAGENET1K_V2": "resnet50-11ad3fa6.pth",
    "ResNet101_Weights.IMAGENET1K_V1": "resnet101-63fe2227.pth",
    "ResNet101_Weights.IMAGENET1K_V2": "resnet101-cd907fc2.pth",
    "VGG16_Weights.IMAGENET1K_V1": "vgg16-397923af.pth",
    "VGG16_BN_Weights.IMAGENET1K_V1": "vgg16_bn-6c64b313.pth",
    "FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1": "fcn_resnet50_coco-1167a1af.pth",
    "FCN_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1": "fcn_resnet101_coco-7ecb50ca.pth",
    "MaskRCNN_ResNet50_FPN_Weights.COCO_V1": "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
    "MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1": "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
}

CACHE = "~/.cache/jaxseg"  # The folder for downloads.

COCO_V1_DETECTOR = "bf2d0c1e"  # The first digits of the SHA-256 of torchvision's maskrcnn_resnet50_fpn.


class Checkpoint(NamedTuple):
    """A state dict and how it was found in its file.

    Attributes:
      arrays: arrays by name, without the prefixes that wrappers of a model add.
      notes: what was unwrapped, a sentence each; () for a plain state dict.
    """

    arrays: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Reads the state dict in a ``.pth``, ``.pt`` or ``.safetensors`` file.

    A state dict may be an entry of a training checkpoint, such as ``{"model": ..., "optimizer": ..., "args": ...}``.
    Its names may have a prefix, such as ``module.``; see ``weights.wrappers``.

    Raises:
      ValueError: there is no such file, or it is of no known kind, or it is damaged.
    """
    path = Path(path)
    if path.suffix not in READERS:
        raise ValueError(f"weights is {path}, which ends in '{path.suffix}'; expected {', '.join(READERS)}.")
    if not path.is_file():
        raise ValueError(f"weights is {path}; expected an existing file, or one of {', '.join(DOWNLOADS)}.")
    return Checkpoint(*READERS[path.suffix](path))


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a ``.pth``, ``.pt`` or ``.safetensors`` file by name, see ``read_checkpoint``."""
    return read_checkpoint(path).arrays


def find_weights(name: str, cache: str | Path = CACHE) -> Path:
    """Returns the file of a path or of a torchvision name, which is downloaded to ``cache`` if it is not there.

    Raises:
      ValueError: the name means nothing, the file cannot be downloaded, or it does not have the hash in its name.
    """
    if name not in DOWNLOADS:
        if Path(name).is_file():
            return Path(name)
        raise ValueError(f"There are no weights '{name}'; expected an existing file, or one of {', '.join(DOWNLOADS)}.")
    path = Path(cache).expanduser() / DOWNLOADS[name]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".partial-{os.getpid()}")  # Several processes may download it at the same time.
        with unfinished(partial):
            _download(path, partial)
            partial.replace(path)
    return path


def _download(path: Path, partial: Path) -> None:
    """Downloads the file of a torchvision name that belongs at ``path`` and checks it."""
    try:
        urllib.request.urlretrieve(ORIGIN + path.name, partial)
    except OSError as error:
        raise ValueError(
            f"{ORIGIN + path.name} cannot be downloaded ({error}). Either connect this machine to the network, or "
            f"bring the file to {path}, or give the path of another."
        ) from error
    expected = re.search(r"-([0-9a-f]{8})\.pth$", path.name)[1]
    found = sha256(partial)
    if not found.startswith(expected):
        raise ValueError(f"The download of {path.name} has the SHA-256 {found}; expected was {expected}...")


def frozen_norm_epsilon(path: str | Path) -> float:
    """Returns the epsilon of the frozen norms that a file of weights was trained with.

    torchvision's first Mask R-CNN was trained when its frozen norms had none. All others have 1e-5.
    """
    return 0.0 if sha256(path).startswith(COCO_V1_DETECTOR) else 1e-5


def sha256(path: str | Path) -> str:
    """Returns the SHA-256 of the bytes of a file, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
