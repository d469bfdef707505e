"""A run of several processes: how they find each other, and who goes first.

Each process holds some of the devices and runs the same program; process 0 is the main process: it
alone writes what people read.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils


def join(coordinator: str, count: int, index: int) -> None:
    """Joins the processes that share a run; to be called before anything touches a device.

    Args:
      coordinator: ``host:port`` of process 0, which listens there.
      count: how many processes there are.
      index: which of them this is.

    Raises:
      ValueError: an address, number or index that cannot be.
    """
    if ":" not in coordinator or not coordinator.rsplit(":", 1)[1].isdigit():
        raise ValueError(f"--coordinator is {coordinator!r}; expected host:port, such as 10.0.0.1:8476, of process 0")
    if count is None or index is None or not 0 <= index < count:
        raise ValueError(
            f"--num_processes is {count} and --process_id {index}; with --coordinator both are needed, "
            "and process_id counts from 0 to num_processes - 1"
        )
    _initialize(
        coordinator_address=coordinator, num_processes=count, process_id=index, cluster_detection_method="deactivate"
    )


def join_cluster() -> None:
    """The same, where Slurm, Open MPI, Kubernetes or a TPU's metadata says who takes part.

    Slurm's and Open MPI's tasks get one GPU each; elsewhere a process has all devices of its machine.

    Raises:
      ValueError: there is no such cluster around this process.
    """
    try:
        _initialize()
    except ValueError as error:
        raise ValueError(
            f"--distributed=auto found no cluster of Slurm, Open MPI, Kubernetes or TPUs ({error}): "
            "give --coordinator, --num_processes and --process_id"
        ) from error


def _initialize(**arguments) -> None:
    # Its handler of SIGTERM would answer before ours, see interruption.py.
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(**arguments)


def is_main_process() -> bool:
    """Whether this process is the one that writes and speaks."""
    return jax.process_index() == 0


@contextlib.contextmanager
def main_process_first() -> Iterator[None]:
    """Within this context the leader goes first, and the others once it is done.

    For what is prepared on a disk that processes may share: the first one does the work, the others find it done.
    """
    if jax.process_count() > 1 and not is_main_process():
        multihost_utils.sync_global_devices("the leader is done")
    yield
    if jax.process_count() > 1 and is_main_process():
        multihost_utils.sync_global_devices("the leader is done")


def leave(status: int, *, stuck: bool = False) -> None:
    """Ends this process for a reason of its own, without waiting for the others, which learn that it is gone.

    Args:
      status: its exit status.
      stuck: whether some of its threads may never end, so that it must not wait for them either.
    """
    if stuck or jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
