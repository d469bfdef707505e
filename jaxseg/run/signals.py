"""Being asked to stop: a signal is noted, the step at hand is finished, and the run saves before it goes."""

import contextlib
import signal
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P


class Interruption:
    """Whether, and by which signal, the run was asked to stop.

    A signal may reach one process of several, which must not stop alone: they vote by a maximum over all devices, which
    goes the way of the steps. So that nobody waits for it, the votes of one poll are counted at the next.

    Attributes:
      received: the signal, of this or another process, or None as long as none came.
      agreed: whether all processes know.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.agreed = False
        self._several = jax.process_count() > 1
        self._votes = None

    def poll(self) -> bool:
        """Whether to stop now; all processes ask at the same places, and all get the same answer."""
        if not self._several:
            self.agreed = self.received is not None
        elif not self.agreed:
            votes, self._votes = self._votes, _highest(self.received or 0)
            if votes is not None and int(votes):
                self.received, self.agreed = signal.Signals(int(votes)), True
        return self.agreed


def _highest(number: int) -> jax.Array:
    """The highest of the numbers that the processes give, known to all when the devices come to it."""
    everyone = Mesh(np.array(jax.devices()), "devices")
    mine = np.full(jax.local_device_count(), number, np.int32)
    given = jax.make_array_from_process_local_data(NamedSharding(everyone, P("devices")), mine)
    return jax.jit(jnp.max, out_shardings=NamedSharding(everyone, P()))(given)


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
