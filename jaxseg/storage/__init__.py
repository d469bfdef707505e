"""Folders on disks and in buckets, ``gs://BUCKET/FOLDER`` and ``s3://BUCKET/FOLDER``.

A folder on a disk is a ``pathlib.Path``. One in a bucket is an ``epath.Path``, which has the same methods and reaches
the bucket through fsspec. In a bucket:

- an object appears whole or not at all, so nothing needs a temporary name;
- there are no folders, so nothing has to make one;
- nothing can be appended, see ``lines``; a folder is moved object by object, see ``move_folder``;
- a request may be refused for a while, see ``retries``.
"""

import contextlib
import importlib.util
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from jaxseg.ctrl_c import unfinished
from jaxseg.storage.retries import may_pass, retried

# The beginning of a URL: the package for its files, and the extra of jaxseg that installs it.
BUCKETS = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}


def as_path(place: str | os.PathLike[str]) -> pathlib.Path:
    """Returns a folder or file as a path with ``~`` expanded; a URL of a bucket becomes an ``epath.Path``.

    Raises:
      ValueError: the package for this kind of bucket is missing.

    Example:
      >>> as_path("runs/shapes").name, is_bucket("runs/shapes")
      ('shapes', False)
    """
    if not is_bucket(place):
        return pathlib.Path(place).expanduser()
    kind, rest = os.fspath(place).split("://", 1)
    if kind not in BUCKETS:
        raise ValueError(f"{place} is no folder; expected one on a disk, or a URL that starts with gs:// or s3://.")
    package, extra = BUCKETS[kind]
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"{place} needs {package}, which is not installed. Run pip install 'jaxseg[{extra}]'.")
    _configure()
    if kind == "s3":
        _make_s3fs_patient()
    from etils import epath

    return epath.Path(f"{kind}://{rest.rstrip('/')}")


def is_bucket(place: str | os.PathLike[str]) -> bool:
    """Returns whether a path is the URL of a bucket.

    Example:
      >>> is_bucket("gs://bucket/run"), is_bucket("C:/run")
      (True, False)
    """
    return "://" in os.fspath(place)


def file_system(path: str | os.PathLike[str]) -> Any:
    """Returns the fsspec file system of a bucket."""
    import fsspec

    kind = os.fspath(path).split("://", 1)[0]
    return fsspec.filesystem({"gs": "gcs"}.get(kind, kind))


def absolute(path: pathlib.Path) -> pathlib.Path:
    """Returns a path that does not depend on the current folder; the URL of a bucket never does."""
    return path if is_bucket(path) else path.absolute()


def make_folder(folder: pathlib.Path) -> None:
    """Makes a folder and those around it on a disk; in a bucket there are none to make."""
    if not is_bucket(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def whole_file(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields where to write a file on a disk. It appears at its place when it is complete, or not at all."""
    new = path.with_name(path.name + ".tmp")
    with unfinished(new):
        yield new
        new.replace(path)


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
      OSError: it cannot be written.
    """
    if is_bucket(path):
        retried(lambda: path.write_bytes(content))
        return
    with whole_file(path) as new:
        new.write_bytes(content)


def write_text(path: pathlib.Path, content: str) -> None:
    """Writes a text file in UTF-8 whole or not at all, see ``write_bytes``."""
    write_bytes(path, content.encode("utf-8"))


def copy_folder(folder: pathlib.Path, target: pathlib.Path) -> None:
    """Copies the files of a folder on a disk to a bucket."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            write_bytes(target / path.relative_to(folder).as_posix(), path.read_bytes())


def move_folder(folder: pathlib.Path, target: pathlib.Path) -> None:
    """Moves a folder to a place that does not exist. In a bucket, a kill in between leaves some objects behind."""
    if is_bucket(folder):
        retried(lambda: file_system(folder).mv(str(folder), str(target), recursive=True))
    else:
        make_folder(target.parent)
        folder.rename(target)


def _configure() -> None:
    """Sets up fsspec: other processes change the same folders, so what was listed before says nothing."""
    from fsspec.config import conf

    # Its question for the kind of a bucket needs further permissions, and all kinds can be used without the answer.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    for kind in ("gs", "gcs", "s3"):
        conf.setdefault(kind, {}).setdefault("use_listings_cache", False)
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs every error with a traceback, and raises it too


def _make_s3fs_patient() -> None:
    """Lets s3fs repeat refused requests for a minute, which is as long as gcsfs does by itself.

    The standard retries of botocore do not serve. All requests of a client share one quota of retries, so a second
    refusal soon after the first one is final.
    """
    from s3fs import core

    core.set_custom_error_handler(may_pass)
    core.S3FileSystem.retries = 12  # with pauses from 0.1 to 15 seconds


__all__ = [
    "absolute",
    "as_path",
    "copy_folder",
    "file_system",
    "is_bucket",
    "make_folder",
    "move_folder",
    "retried",
    "write_bytes",
    "write_text",
]
