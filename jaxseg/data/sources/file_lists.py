"""Finds and lists the files of a data set."""

import os
from collections.abc import Iterable
from pathlib import Path

import ml_collections

from jaxseg.data.text_files import read_lines


def source_folder(data_config: ml_collections.ConfigDict, origin: str) -> Path:
    """Returns the folder ``config.data.source_dir``; ``origin`` is that of the data set.

    Raises:
      ValueError: it is empty, or not a folder.
    """
    given = data_config.source_dir
    folder = Path(given).expanduser()
    if not given or not folder.is_dir():
        wrong = f"{given}, which is not a folder" if given else "empty"
        raise ValueError(f"config.data.source_dir is {wrong}; set it to the folder of {data_config.name}. {origin}")
    return folder


def check_split(name: str, split: str, known: Iterable[str]) -> None:
    """Checks that the data set ``name`` has a split.

    Raises:
      ValueError: it does not.
    """
    if split not in known:
        raise ValueError(f"the data set {name} has no split {split!r}; expected one of {', '.join(known)}")


def files_by_stem(folder: Path, origin: str) -> dict[str, Path]:
    """Returns the files of a folder by their names without ending, sorted; hidden files are left out.

    Raises:
      ValueError: there is no such folder, nothing is in it, or two files have the same stem.
    """
    if not folder.is_dir():
        raise ValueError(f"the folder {folder} is missing. {origin}")
    files = {}
    for path in sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_file()):
        if path.name.startswith("."):
            continue
        if path.stem in files:
            raise ValueError(f"{files[path.stem]} and {path} have the same stem; expected one file for each")
        files[path.stem] = path
    if not files:
        raise ValueError(f"the folder {folder} is empty. {origin}")
    return files


def read_list(path: Path, origin: str) -> list[str]:
    """Reads the stems that a list names: the first word of each line, without folders and ending.

    Raises:
      ValueError: there is no such file, or it names nothing.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing. {origin}")
    names = [Path(line.split()[0]).stem for line in read_lines(path)]
    if not names:
        raise ValueError(f"{path} is empty. {origin}")
    return names
