"""Looks at all files of a data set once, before training, and keeps what it saw for later runs."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from jaxseg.ctrl_c import unfinished

Summary = TypeVar("Summary", bound=tuple)

VERSION = 1  # changes whenever a summary has other content


def scan_files(
    paths: Sequence[Path], summarize_path: Callable[[Path], Summary], kind: type[Summary], key: str, cache: Path
) -> list[Summary]:
    """Summarizes files in several threads, or returns what an earlier scan of the same files has kept.

    Args:
      paths: the files.
      summarize_path: summarizes one file. It does not raise: an error is a summary as well.
      kind: the NamedTuple that it returns.
      key: names ``summarize_path`` and its options.
      cache: the folder that keeps summaries of files that have not changed.

    Returns:
      a summary per file, in the order of ``paths``.
    """
    digest = hashlib.sha256(f"{VERSION} {key}".encode())
    for path in paths:
        try:
            state = path.stat()
            digest.update(os.fsencode(path) + f" {state.st_size} {state.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(os.fsencode(path) + b" missing\n")
    kept = cache / f"{digest.hexdigest()[:16]}.scan.json"
    found = _load(kept, kind, len(paths))
    if found is None:
        # Decoding and numpy release Python's lock.
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            found = list(threads.map(summarize_path, paths))
        _store(kept, found)
    return found


def _load(kept: Path, kind: type[Summary], count: int) -> list[Summary] | None:
    try:
        rows = json.loads(kept.read_text())
        found = [kind(*(tuple(part) if isinstance(part, list) else part for part in row)) for row in rows]
    except (OSError, ValueError, TypeError):
        return None
    return found if len(found) == count else None


def _store(kept: Path, found: Sequence[tuple]) -> None:
    """Keeps summaries where that is possible. A run works without."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=kept.parent, delete=False) as file, unfinished(Path(file.name)):
            json.dump(found, file)
            file.flush()
            os.replace(file.name, kept)
    except OSError:
        pass
