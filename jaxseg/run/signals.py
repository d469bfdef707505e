"""Stops a run on SIGTERM and Ctrl-C: the current step is finished and saved before the process ends."""

import contextlib
import signal
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxseg.ctrl_c import first_noted


class Interrupted(Exception):
    """A signal stopped the run after it had saved."""

    def __init__(self, signum: signal.Signals, step: int):
        super().__init__(f"stopped by {signum.name} after step {step}, which is saved; run the same command to resume")
        self.exit_status = 128 + signum


class Interruption:
    """The signal that asked the run to stop, if any.

    A signal may reach one process of several, which must not stop alone. The processes take the maximum of their signal
    numbers over all devices, like a step. The result of one poll is read at the next, so that no process waits for it.

    Attributes:
      received: the signal, of this or another process, or None.
      agreed: whether all processes know of it.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.agreed = False
        self._several = jax.process_count() > 1
        self._votes = None

    def poll(self) -> bool:
        """Returns whether to stop now. All processes call it at the same places and get the same answer."""
        if not self._several:
            self.agreed = self.received is not None
        elif not self.agreed:
            votes, self._votes = self._votes, _highest(self.received or 0)
            if votes is not None and int(votes):
                self.received, self.agreed = signal.Signals(int(votes)), True
        return self.agreed


def _highest(number: int) -> jax.Array:
    """Computes the highest of the numbers of all processes, on the devices."""
    everyone = Mesh(np.array(jax.devices()), "devices")
    mine = np.full(jax.local_device_count(), number, np.int32)
    given = jax.make_array_from_process_local_data(NamedSharding(everyone, P("devices")), mine)
    return jax.jit(jnp.max, out_shardings=NamedSharding(everyone, P()))(given)


@contextlib.contextmanager
def watched(noted: Interruption | None = None) -> Iterator[Interruption]:
    """Notes SIGTERM and the first Ctrl-C within this context; a second Ctrl-C stops the process at once.

    Args:
      noted: where the signal is noted; None makes one.
    """
    noted = Interruption() if noted is None else noted

    def note(received: signal.Signals) -> None:
        noted.received = received

    with first_noted(note):
        yield noted
