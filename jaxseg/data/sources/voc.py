"""PASCAL VOC 2012 (Everingham et al. 2010), and the Semantic Boundaries Dataset (Hariharan et al., ICCV 2011).

VOC labels 1,464 images for training and 1,449 for validation with 20 classes of objects; SBD labels 11,355 images of
the same collection, which makes 10,582 for training without those of VOC's validation.
"""

from pathlib import Path

import ml_collections
import numpy as np

from jaxseg.data.colors import voc_colors
from jaxseg.data.images import read_options
from jaxseg.data.masks.class_lists import find_class_list
from jaxseg.data.masks.reading import read_values
from jaxseg.data.sources import folder as folder_source
from jaxseg.data.sources.file_lists import check_split, read_list, source_folder
from jaxseg.data.sources.pairs import DataSet, Pair, open_pairs
from jaxseg.types import IGNORE, Source

CLASS_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOC = DataSet(
    name="voc",
    classes=dict(zip(CLASS_NAMES, voc_colors(len(CLASS_NAMES)).tolist(), strict=True)),
    values={value: value for value in range(len(CLASS_NAMES))} | {IGNORE: IGNORE},
    origin="PASCAL VOC 2012 is at http://host.robots.ox.ac.uk/pascal/VOC/voc2012: unpack "
    "VOCtrainval_11-May-2012.tar, and set config.data.source_dir to the folder that then has VOCdevkit in it",
)
SBD_ORIGIN = (
    "The split trainaug needs either SBD next to VOCdevkit, from "
    "http://home.bharathh.info/pubs/codes/SBD/download.html as benchmark.tgz; or, made from it, the folder "
    "SegmentationClassAug and the list trainaug.txt"
)
LISTS = "ImageSets/Segmentation"


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``voc``: ``VOCdevkit/VOC2012`` and, for ``trainaug``, ``benchmark_RELEASE/dataset`` next to it.

    A split is a list in ``ImageSets/Segmentation``: ``train``, ``val``, ``trainval``, or one that was added, such as
    seg11valid. ``trainaug`` is the list of that name with the label maps in ``SegmentationClassAug``, where both are
    there; otherwise it is all images of VOC's ``train`` and of SBD, without VOC's ``val``. Where both label an image,
    VOC's label is used. Borders of objects, 255 in VOC's files, are ignored; SBD has none.

    Raises:
      ValueError: a file is missing.
    """
    folder = source_folder(data_config, VOC.origin)
    voc = next((root for root in (folder / "VOCdevkit/VOC2012", folder / "VOC2012", folder) if _is_voc(root)), None)
    if voc is None:
        raise ValueError(f"{folder / 'VOCdevkit/VOC2012' / LISTS} is missing. {VOC.origin}")
    if find_class_list([voc]) is not None:  # classes of one's own
        own = data_config.copy_and_resolve_references()
        own.source_dir = str(voc)
        return folder_source.open_split(own, split)
    if split == "trainaug":
        return open_pairs(
            VOC, _augmented(voc, folder / "benchmark_RELEASE/dataset"), read_options(data_config), read_label
        )
    known = sorted(path.stem for path in (voc / LISTS).glob("*.txt"))
    check_split("voc", split, known)
    return open_pairs(VOC, _listed(voc, split, "SegmentationClass"), read_options(data_config), read_label)


def read_label(path: Path) -> np.ndarray:
    """Reads the values of a label file, uint8 ``[h, w]``: VOC's are palette images, SBD's are Matlab's.

    Raises:
      ValueError: a file that cannot be decoded.
    """
    return _read_matlab(path) if path.suffix == ".mat" else read_values(path)


def _is_voc(root: Path) -> bool:
    return (root / LISTS).is_dir()


def _listed(voc: Path, split: str, labels: str) -> list[Pair]:
    """Returns the images of one of VOC's lists."""
    names = read_list(voc / LISTS / f"{split}.txt", VOC.origin)
    return [Pair(name, voc / "JPEGImages" / f"{name}.jpg", voc / labels / f"{name}.png") for name in names]


def _augmented(voc: Path, sbd: Path) -> list[Pair]:
    if (voc / LISTS / "trainaug.txt").exists() and (voc / "SegmentationClassAug").is_dir():
        return _listed(voc, "trainaug", "SegmentationClassAug")
    if not sbd.is_dir():
        raise ValueError(f"{sbd} is missing. {SBD_ORIGIN}")
    pairs = _listed(voc, "train", "SegmentationClass")
    apart = {pair.name for pair in pairs} | set(read_list(voc / LISTS / "val.txt", VOC.origin))
    for part in ("train", "val"):
        names = read_list(sbd / f"{part}.txt", SBD_ORIGIN)
        pairs += [
            Pair(name, sbd / "img" / f"{name}.jpg", sbd / "cls" / f"{name}.mat") for name in names if name not in apart
        ]
    return pairs


def _read_matlab(path: Path) -> np.ndarray:
    import scipy.io  # imported here, since only SBD needs it

    try:
        return np.asarray(scipy.io.loadmat(path)["GTcls"]["Segmentation"][0, 0], np.uint8)
    except Exception as error:  # scipy raises many kinds of errors for a broken file
        raise ValueError(f"{path} has no GTcls.Segmentation ({error}); expected a whole file of SBD") from error
