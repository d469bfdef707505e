"""Text files that grow by a line at a time, such as ``metrics.jsonl``, on disks and in buckets.

Nothing can be appended to an object of a bucket. There, the lines are kept in memory, and the whole object is written
again every few seconds in the background, and by ``flush``. A reader finds a whole file without the latest lines.
"""

import contextlib
import pathlib
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from jaxseg.storage import is_bucket, write_text

SECONDS = 10.0  # between two writes to a bucket
BYTES_PER_SECOND = 1 << 20  # larger files are written less often, so that they do not fill the network


class Lines(Protocol):
    """A text file that grows."""

    def write(self, line: str) -> None:
        """Adds a line."""

    def flush(self) -> None:
        """Returns when all lines are written."""

    def close(self) -> None:
        """Writes what is left and ends."""


def open_lines(path: pathlib.Path) -> Lines:
    """Opens a text file for more lines."""
    return BucketLines(path) if is_bucket(path) else DiskLines(path)


class DiskLines:
    """A text file on a disk, where each line is written at once."""

    def __init__(self, path: pathlib.Path):
        self._file = path.open("a")

    def write(self, line: str) -> None:
        """Writes a line."""
        self._file.write(line + "\n")
        self._file.flush()

    def flush(self) -> None:
        """Does nothing, since every line is written at once."""

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class BucketLines:
    """A text file in a bucket, see the top of this file.

    Args:
      path: its URL. What is there already stays.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._content = path.read_text() if path.exists() else ""
        self._saved = len(self._content)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="jaxseg-lines")
        self._writing: Future | None = None
        self._next = time.monotonic()

    def write(self, line: str) -> None:
        """Adds a line, which is written within some seconds."""
        self._content += line + "\n"
        if time.monotonic() >= self._next and (self._writing is None or self._writing.done()):
            self._next = time.monotonic() + max(SECONDS, len(self._content) / BYTES_PER_SECOND)
            self._writing = self._writer.submit(self._save, self._content)

    def flush(self) -> None:
        """Returns when all lines are in the bucket.

        Raises:
          OSError: the bucket refused them for too long.
        """
        if self._writing is not None:
            with contextlib.suppress(Exception):  # said again below, by the write that matters
                self._writing.result()
            self._writing = None
        if self._saved < len(self._content):
            self._save(self._content)

    def close(self) -> None:
        """Writes what is left and ends the thread."""
        try:
            self.flush()
        finally:
            self._writer.shutdown(wait=False)

    def _save(self, content: str) -> None:
        write_text(self._path, content)
        self._saved = len(content)
