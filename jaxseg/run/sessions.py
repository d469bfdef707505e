"""The sessions of a run: when it was started, how long it worked, how fast and on what. They are in ``sessions.json``.

metrics.jsonl says little about the machine, so that equal runs write equal lines; this file has the rest.
"""

import contextlib
import datetime
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import jax

from jaxseg import __version__
from jaxseg.run.machine import device_name, library_versions
from jaxseg.storage import write_text

NAME = "sessions.json"


class Session:
    """One session of a run, from its start to its end or interruption.

    Args:
      folder: the workdir.
      first_step: the step from which it starts.
      writes: whether this process writes the file.
    """

    def __init__(self, folder: pathlib.Path, first_step: int, writes: bool):
        self._folder, self._writes = folder, writes
        self._earlier = read_sessions(folder)
        self._clock = time.monotonic()
        self._facts: dict[str, Any] = {
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "first_step": first_step,
            "last_step": first_step,
            "devices": device_name(jax.devices()),
            "processes": jax.process_count(),
            "versions": {"jaxseg": __version__, **library_versions(())},
        }

    def save(self, **facts: Any) -> None:
        """Writes the session with further facts and the seconds since its start."""
        self._facts |= facts
        self._facts["seconds"] = round(time.monotonic() - self._clock, 3)
        if self._writes:
            write_text(self._folder / NAME, json.dumps([*self._earlier, self._facts], indent=2) + "\n")


@contextlib.contextmanager
def open_session(folder: pathlib.Path, first_step: int, writes: bool) -> Iterator[Session]:
    """Opens a session and saves it at the end, however that comes."""
    session = Session(folder, first_step, writes)
    try:
        yield session
    finally:
        with contextlib.suppress(OSError):  # a full disk is reported by what the run itself writes
            session.save()


def read_sessions(folder: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the sessions of a run in order; [] where none is known."""
    try:
        return json.loads((folder / NAME).read_text())
    except (OSError, json.JSONDecodeError):
        return []
