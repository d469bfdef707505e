"""The files of Oxford-IIIT Pet: where they come from, what they must look like, and how they become ArrayRecord.

Imported only where something is to be prepared, since tensorflow_datasets takes a second to import.
"""

import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.datasets.oxford_iiit_pet import oxford_iiit_pet_dataset_builder as official

from jaxseg.ctrl_c import unfinished
from jaxseg.data.download import Archive

VERSION = "1.0.0"  # of what is prepared; another one is prepared again
LISTS = ("trainval", "test")
PARTS = (("images", ".jpg"), ("annotations/trimaps", ".png"), ("annotations/xmls", ".xml"), ("annotations", ".txt"))
TRIMAP_VALUES = (1, 2, 3)  # pet, background, border
# JPEG files in which decoders find stray bytes. Ten more are other formats under the name of JPEG, which shows.
DAMAGED = ("beagle_116", "chihuahua_121")


def official_archives() -> list[Archive]:
    """Returns the two archives of the data set, with the sizes and checksums that TFDS records for them."""
    return [Archive(url, info.size, info.checksum) for url, info in sorted(official.Builder.url_infos.items())]


def fingerprint(folder: Path) -> str:
    """Returns a short name for the files of a folder: another one when a file is added, removed or changed."""
    digest = hashlib.sha256(VERSION.encode())
    for part, ending in PARTS:
        for path in _files(folder, part, ending):
            state = path.stat()
            digest.update(f"{part} {path.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def prepare(folder: Path, target: Path) -> None:
    """Turns a folder in the official layout into ArrayRecord files and an index in the folder ``target``.

    ``target`` appears whole or not at all; where another process is faster, its result stands.

    Raises:
      ValueError: a file is missing, damaged or does not fit the others.
    """
    names = [path.stem for path in _files(folder, "annotations/trimaps", ".png")]
    if not names:
        raise ValueError(
            f"{folder} has no trimaps; expected the official layout of Oxford-IIIT Pet: "
            "images/NAME.jpg, annotations/trimaps/NAME.png"
        )
    lists = {which: _read_list(folder / "annotations" / f"{which}.txt") for which in LISTS}
    target.parent.mkdir(parents=True, exist_ok=True)
    if not sys.stderr.isatty():  # in a file, each state of the bar would be a line
        tfds.disable_progress_bar()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".preparing-") as partial, unfinished(Path(partial)):
        builder = JaxsegOxfordPets(folder, names, lists, data_dir=partial)
        # TFDS says that it downloads. Besides, the output may be JSON for programs.
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(file_format="array_record")
        prepared = Path(builder.data_dir)
        # Records lie in the order of names, so that a split is known without reading any.
        (prepared / "index.json").write_text(json.dumps({"names": names, "lists": lists}))
        try:
            prepared.rename(target)
        except OSError:
            if not target.exists():
                raise


class JaxsegOxfordPets(tfds.core.GeneratorBasedBuilder):
    """Every image that has a trimap, in the order of names, whether or not an official list names it."""

    VERSION = tfds.core.Version(VERSION)

    def __init__(self, folder: Path, names: list[str], lists: dict[str, list[str] | None], *, data_dir: str):
        self._folder, self._names = folder, names
        self._list_of = {name: which for which in LISTS for name in lists[which] or ()}
        super().__init__(data_dir=data_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "name": tfds.features.Text(),
            "image": tfds.features.Image(encoding_format="jpeg"),
            "trimap": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "breed": tfds.features.Text(),
            "species": tfds.features.Text(),
            "list": tfds.features.Text(),
            "head_box": tfds.features.Tensor(shape=(4,), dtype=np.float32),  # zeros: none is known
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager  # the files are there already
        return {"pets": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, name in enumerate(self._names):
            yield number, read_pet(self._folder, name) | {"list": self._list_of.get(name, "none")}


def read_pet(folder: Path, name: str) -> dict[str, Any]:
    """Reads and checks one pet's files; image and trimap as encoded bytes that OpenCV and Pillow decode alike."""
    image_path = folder / "images" / f"{name}.jpg"
    image = _open(image_path)
    trimap_path = folder / "annotations" / "trimaps" / f"{name}.png"
    trimap = _open(trimap_path)
    if trimap.size != image.size:
        raise ValueError(
            f"{trimap_path} is {trimap.width}x{trimap.height}, its image {image_path} {image.width}x{image.height}; "
            "expected the same size"
        )
    if trimap.mode not in ("L", "P"):
        raise ValueError(f"{trimap_path} has the mode {trimap.mode}; expected one channel of 8 bits")
    values = np.asarray(trimap)
    unknown = values[~np.isin(values, TRIMAP_VALUES)]
    if unknown.size:
        raise ValueError(f"{trimap_path} has the value {unknown[0]}; expected {TRIMAP_VALUES}")
    proper = image.format == "JPEG" and image.mode == "RGB" and name not in DAMAGED
    return {
        "name": name,
        "image": io.BytesIO(image_path.read_bytes() if proper else _encode(image.convert("RGB"), "JPEG")),
        "trimap": io.BytesIO(_encode(Image.fromarray(values), "PNG")),
        "breed": name.rsplit("_", 1)[0],
        "species": "cat" if name[0].isupper() else "dog",  # a convention of the data set
        "head_box": _read_head_box(folder / "annotations" / "xmls" / f"{name}.xml"),
    }


def _files(folder: Path, part: str, ending: str) -> list[Path]:
    """Returns the files of one kind, sorted; the archives also hold dot files, which a file manager left in them."""
    if not (folder / part).is_dir():
        return []
    names = (entry.name for entry in os.scandir(folder / part))
    return [folder / part / name for name in sorted(names) if name.endswith(ending) and not name.startswith(".")]


def _open(path: Path) -> Image.Image:
    """Decodes an image without its EXIF rotation, since labels are drawn on the pixels as the file stores them."""
    try:
        # From memory, since Pillow keeps the files of some formats open.
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.load()
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; expected an image for every trimap") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be decoded ({error}); expected a whole image file") from error
    return image


def _encode(image: Image.Image, encoding: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, encoding, quality=95)
    return buffer.getvalue()


def _read_list(path: Path) -> list[str] | None:
    """Reads the names in an official list, the first word of each line; None without such a file."""
    if not path.exists():
        return None
    lines = path.read_text().splitlines()
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def _read_head_box(path: Path) -> np.ndarray:
    """Reads a head box, float32 ``[4]``, ``[x1, y1, x2, y2]`` as the file has it; zeros without a file."""
    if not path.exists():
        return np.zeros(4, np.float32)
    try:
        box = ElementTree.parse(path).getroot().find("object").find("bndbox")
        return np.array([box.find(side).text for side in ("xmin", "ymin", "xmax", "ymax")], np.float32)
    except (ElementTree.ParseError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} has no head box ({error}); expected object/bndbox with four numbers") from error
