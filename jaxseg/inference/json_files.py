"""JSON files that are valid at any moment while they grow, also after ``kill -9``."""

import json
import pathlib
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from jaxseg.storage import write_text

WRITING_SHARE = 0.1  # Of the time, at most this share is spent on writing the file again.


class JsonList:
    """A JSON file of one list, or of an object with several lists.

    The file is replaced as a whole, after each addition. At most a tenth of the time is spent on that, so that large
    folders do not slow down. Threads may share it.

    Args:
      path: the file.
      head: entries of the object besides the lists; None makes the file one list.
      lists: the names of the lists of the object.
    """

    def __init__(self, path: pathlib.Path, head: Mapping[str, Any] | None = None, lists: Sequence[str] = ("",)):
        self._path, self._head = path, head
        self._lists: dict[str, list[str]] = {name: [] for name in lists}
        self._wait_until = 0.0
        self._lock = threading.Lock()
        self.write()

    def add(self, entries: Sequence[Any] = (), **named: Sequence[Any]) -> None:
        """Adds entries to the list, or to the lists with these names."""
        with self._lock:
            for name, added in {**({"": entries} if entries else {}), **named}.items():
                self._lists[name] += [json.dumps(entry) for entry in added]
            waits = time.monotonic() < self._wait_until
        if not waits:
            self.write()

    def write(self) -> None:
        """Replaces the file by all entries so far.

        Raises:
          OSError: it cannot be written.
        """
        with self._lock:
            start = time.monotonic()
            write_text(self._path, self._text())
            end = time.monotonic()
            self._wait_until = end + (end - start) / WRITING_SHARE

    def _text(self) -> str:
        joined = {
            name: "[\n" + ",\n".join(entries) + "\n]" if entries else "[]" for name, entries in self._lists.items()
        }
        if self._head is None:
            return joined[""] + "\n"
        fields = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in self._head.items()]
        return "{\n" + ",\n".join(fields + [f"{json.dumps(name)}: {text}" for name, text in joined.items()]) + "\n}\n"
