"""Oxford-IIIT Pet (Parkhi et al., Cats and Dogs, CVPR 2012): 7,390 pets of 37 breeds, each with a trimap.

The files are prepared once, by TFDS and without TensorFlow, into ArrayRecord; splits are selections by name over that.
"""

import functools
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import ml_collections
import numpy as np
from PIL import Image

from jaxseg.ctrl_c import unfinished
from jaxseg.data.download import fetch, unpack
from jaxseg.data.sources.pet_instances import as_instances
from jaxseg.data.splits import divide
from jaxseg.types import Record, Source

CLASS_NAMES = ("pet", "background", "border")  # trimap values 1, 2, 3
PALETTE = np.array([[230, 120, 50], [40, 60, 90], [250, 240, 200]], np.uint8)
OFFICIAL, DIVIDED = ("train", "val", "trainval", "test", "all"), ("train", "val", "all")


def open_split(data_config: ml_collections.ConfigDict, split: str) -> Source:
    """Opens the source ``oxford_pets``, from ``config.data.source_dir`` or, without one, from the official archives.

    Splits, by ``config.data.split_seed``:

    - None: ``trainval`` and ``test`` as the authors' lists have them; ``train`` and ``val`` divide trainval,
      nine to one; ``all``.
    - a seed: of all names sorted and shuffled with ``random.Random(seed)``, the last 1000 of 7,390 are ``val``,
      of a subset as large a share; the others are ``train``; ``all``.

    With ``config.data.instances``, records have objects instead of label maps, see ``pet_instances``.

    A record's tags are ``breed``, ``species`` ("cat" or "dog"), ``list`` ("trainval", "test" or "none") and
    ``head_box``, float32 ``[4]`` or None.
    """
    seed = data_config.split_seed
    known = OFFICIAL if seed is None else DIVIDED
    if split not in known:
        raise ValueError(
            f"oxford_pets has no split {split!r} with config.data.split_seed={seed}; expected one of {', '.join(known)}"
        )
    directory = _prepared(data_config)
    index = _read_index(directory)
    chosen = set(_select(index["names"], index["lists"], seed, split))
    if not chosen:
        raise ValueError(f"none of the {len(index['names'])} images of oxford_pets is in the split {split!r}")
    positions = [position for position, name in enumerate(index["names"]) if name in chosen]
    fingerprint = f"oxford_pets {directory.name} {seed} {split}"
    records = PetRecords(directory, positions)
    if data_config.get("instances", ""):
        return as_instances(records, index["names"], data_config)
    return Source(records, CLASS_NAMES, PALETTE, fingerprint, size_of=records.size)


class PetRecords(Sequence):
    """The prepared records at some positions."""

    def __init__(self, directory: Path, positions: list[int]):
        self.directory = directory
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Record:
        pet = self._read(index)
        name = pet["name"].decode()
        # Labels are drawn on the pixels as they lie in the file, so an EXIF rotation must not turn the image.
        image = _decode(pet["image"], cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, name)
        tags = {key: pet[key].decode() for key in ("breed", "species", "list")}
        tags["head_box"] = pet["head_box"] if pet["head_box"].any() else None
        label = _decode(pet["trimap"], cv2.IMREAD_GRAYSCALE, name) - np.uint8(1)
        return Record(name, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), label, None, tags)

    def size(self, index: int) -> tuple[int, int]:
        """Returns height and width of an image without decoding it."""
        with Image.open(io.BytesIO(self._read(index)["image"])) as header:
            return header.size[::-1]

    def _read(self, index: int) -> dict[str, Any]:
        position = self.positions[index]  # its IndexError ends an iteration
        try:
            pet = self._data_source[position]
        except Exception as error:  # a damaged file can fail in any of the layers below
            raise _damaged(self.directory, error) from error
        if not pet["name"]:  # as the records of a file that was cut short
            raise _damaged(self.directory, f"record {position} is empty")
        return pet

    def __getstate__(self) -> dict:
        # Open files do not travel to another process; each opens its own.
        return {"directory": self.directory, "positions": self.positions}

    @functools.cached_property
    def _data_source(self) -> Sequence[dict[str, Any]]:
        import tensorflow_datasets as tfds  # here, since it takes a second, which other data sets need not wait for

        encoded = {"image": tfds.decode.SkipDecoding(), "trimap": tfds.decode.SkipDecoding()}
        return tfds.builder_from_directory(self.directory).as_data_source("pets", decoders=encoded)


def _damaged(directory: Path, reason: object) -> ValueError:
    return ValueError(
        f"the prepared records in {directory} are missing or damaged ({reason}): delete this folder, and the same "
        "command prepares them again"
    )


def _decode(encoded: bytes, mode: int, name: str) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), mode)
    if image is None:
        raise ValueError(f"{name} cannot be decoded; delete the prepared data, so that it is prepared again")
    return image


def _read_index(directory: Path) -> dict[str, Any]:
    """Reads the index of prepared records and checks that all files are there."""
    shards = [path.name for path in directory.glob("*.array_record-*-of-*")]
    expected = int(shards[0].rsplit("-", 1)[1]) if shards else 1
    if len(shards) != expected:
        raise _damaged(directory, f"{len(shards)} of {expected} files are there")
    try:
        return json.loads((directory / "index.json").read_text())
    except (OSError, ValueError) as error:
        raise _damaged(directory, error) from error


def _select(names: list[str], lists: dict[str, list[str] | None], seed: int | None, split: str) -> list[str]:
    """Returns the names of a split; ``lists`` are the official ones, None where there is no such file."""
    if split == "all":
        return names
    if seed is not None:
        return divide(names, 1000 / 7390, seed)[split]
    official = "test" if split == "test" else "trainval"
    if lists[official] is None:
        raise ValueError(
            f"annotations/{official}.txt is missing, which the official splits need; "
            "add it or set config.data.split_seed=1337"
        )
    listed = sorted(set(names) & set(lists[official]))
    return divide(listed, 0.1)[split] if split in ("train", "val") else listed


def _prepared(data_config: ml_collections.ConfigDict) -> Path:
    """Returns the directory of the prepared records; they are prepared first if they are not there."""
    from jaxseg.data.sources import oxford_pets_files as files  # here, for it imports tensorflow_datasets

    root = Path(data_config.dir).resolve() / "oxford_pets"
    if not data_config.source_dir:
        target = root / f"official-{files.VERSION}"
        if not target.exists():
            _prepare_official(root, target)
        return target
    folder = Path(data_config.source_dir).expanduser()
    if not folder.is_dir():
        raise ValueError(f"config.data.source_dir is {data_config.source_dir}, which is not a folder")
    target = root / files.fingerprint(folder)
    if not target.exists():
        files.prepare(folder, target)
    return target


def _prepare_official(root: Path, target: Path) -> None:
    from jaxseg.data.sources import oxford_pets_files as files

    try:
        archives = [fetch(archive, root / "downloads") for archive in files.official_archives()]
    except ValueError as error:
        raise ValueError(
            f"{error}. Either connect this machine to the network; or set config.data.source_dir to a folder with "
            "images/ and annotations/ of Oxford-IIIT Pet; or start with configs/unet_shapes.py, which needs no files"
        ) from error
    with tempfile.TemporaryDirectory(dir=root, prefix=".unpacked-") as folder, unfinished(Path(folder)):
        for archive in archives:
            unpack(archive, Path(folder))
        files.prepare(Path(folder), target)
