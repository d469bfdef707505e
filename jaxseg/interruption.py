"""Being asked to stop: a signal is noted, the step at hand is finished, and the run saves before it goes."""

import contextlib
import signal
from collections.abc import Iterator


class Interruption:
    """Whether, and by which signal, the process was asked to stop.

    Attributes:
      received: the signal, or None as long as none came.
    """

    received: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.received is not None


@contextlib.contextmanager
def watched() -> Iterator[Interruption]:
    """Within this context SIGTERM and the first Ctrl-C are only noted; a second Ctrl-C stops the process at once."""
    noted = Interruption()

    def note(number, frame):
        noted.received = signal.Signals(number)
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
