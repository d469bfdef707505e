"""Copies of folders in buckets on this machine's disk, for readers that need files: decoders, memory maps, archives."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxseg.storage import as_path, file_system, is_bucket, make_folder, retried, write_text

CACHE = "JAXSEG_CACHE"  # environment variable with the folder of copies
THREADS = 16
_copied: dict[str, pathlib.Path] = {}  # the folders that this process has looked at


def local_folder(place: str) -> pathlib.Path:
    """Returns a folder on a disk with the content of ``place``, which is ``place`` itself unless it is in a bucket.

    A bucket's folder is copied to ``~/.cache/jaxseg/buckets``, or to a folder in ``$JAXSEG_CACHE``. Files that are
    there with the same size and version are not copied again. What is written into the copy stays on this machine.

    Raises:
      ValueError: the bucket cannot be read.
    """
    if not is_bucket(place):
        return as_path(place)
    if place not in _copied:
        try:
            _copied[place] = _copy(str(as_path(place)))
        except OSError as error:
            raise ValueError(f"{place} cannot be read ({error}). Check the URL and the credentials.") from error
    return _copied[place]


def _copy(url: str) -> pathlib.Path:
    cache = as_path(os.environ.get(CACHE) or "~/.cache/jaxseg/buckets")
    target = cache / f"{url.rsplit('/', 1)[-1]}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    make_folder(target)
    index = target.with_name(target.name + ".json")
    before = json.loads(index.read_text()) if index.exists() else {}
    root = url.split("://", 1)[1] + "/"
    found = retried(lambda: file_system(url).find(url, detail=True))
    now = {name.removeprefix(root): _version(info) for name, info in found.items()}
    changed = [name for name in now if before.get(name) != now[name] or not (target / name).exists()]
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda name: _copy_file(url, name, target / name), changed))
    for name in before.keys() - now.keys():
        (target / name).unlink(missing_ok=True)
    write_text(index, json.dumps(now))
    return target


def _version(info: Mapping[str, Any]) -> str:
    """Returns a text that changes with the content of an object."""
    return f"{info.get('size')} {info.get('ETag') or info.get('etag') or info.get('md5Hash')}"


def _copy_file(url: str, name: str, target: pathlib.Path) -> None:
    make_folder(target.parent)
    new = target.with_name(f".{target.name}.{os.getpid()}.tmp")  # other processes may copy the same file
    retried(lambda: file_system(url).get_file(f"{url}/{name}", str(new)))
    new.replace(target)
