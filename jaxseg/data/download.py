"""Downloads archives with progress, checks and unpacks them; no partial file is left behind."""

import gzip
import hashlib
import http.client
import tarfile
import tempfile
import urllib.request
import zlib
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from jaxseg.ctrl_c import unfinished

SILENCE = 15.0  # seconds without a byte after which a server counts as unreachable
CHUNK = 1 << 20


class Archive(NamedTuple):
    """A tar archive somewhere, with the size in bytes and the SHA-256 that it must have."""

    url: str
    size: int
    sha256: str


def fetch(archive: Archive, folder: Path) -> Path:
    """Returns the archive as a file in ``folder``: a whole one that is there, or else a fresh download.

    Raises:
      ValueError: the server cannot be reached, or what it sent is not the archive.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / archive.url.rsplit("/", 1)[-1]
    if path.exists() and _sha256(path) == archive.sha256:
        return path
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial, unfinished(Path(partial)):
        fresh = Path(partial) / path.name
        _download(archive, fresh)
        _check(archive, fresh)
        fresh.replace(path)
    return path


def unpack(path: Path, folder: Path) -> None:
    """Unpacks a tar archive of any compression into ``folder``.

    Raises:
      ValueError: the file is not an archive, or not a whole one.
    """
    try:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a whole tar archive ({error}); delete it and try again") from error


def _download(archive: Archive, path: Path) -> None:
    try:
        with (
            urllib.request.urlopen(archive.url, timeout=SILENCE) as response,
            path.open("wb") as file,
            tqdm(total=archive.size, unit="B", unit_scale=True, desc=path.name) as progress,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                progress.update(len(chunk))
    except (OSError, http.client.HTTPException) as error:
        raise ValueError(f"cannot download {archive.url}: {error}") from error


def _check(archive: Archive, path: Path) -> None:
    if path.stat().st_size != archive.size:
        raise ValueError(f"{archive.url} came with {path.stat().st_size} bytes; expected {archive.size}")
    if (found := _sha256(path)) != archive.sha256:
        raise ValueError(f"{archive.url} came with the SHA-256 {found}; expected {archive.sha256}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
