"""Runs of several processes: how they find each other, and which one writes.

Each process holds some of the devices and runs the same program. Only process 0, the main process, writes reports.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils


def join(coordinator: str, count: int, index: int) -> None:
    """Joins the processes that share a run. Call it before anything uses a device.

    Args:
      coordinator: the address ``host:port`` on which process 0 listens.
      count: the number of processes.
      index: the number of this process, from 0.

    Raises:
      ValueError: the address, count or index is not valid.
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
    """Joins the processes that Slurm, Open MPI, Kubernetes or TPU metadata names.

    Slurm's and Open MPI's tasks get one GPU each; elsewhere a process has all devices of its machine.

    Raises:
      ValueError: this process is in no such cluster.
    """
    try:
        _initialize()
    except ValueError as error:
        raise ValueError(
            f"--distributed=auto found no cluster of Slurm, Open MPI, Kubernetes or TPUs ({error}): "
            "give --coordinator, --num_processes and --process_id"
        ) from error


def _initialize(**arguments) -> None:
    # Its handler of SIGTERM would answer before that of run/signals.py, see switches.py.
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(**arguments)


def is_main_process() -> bool:
    """Returns whether this process is the one that writes and prints."""
    return jax.process_index() == 0


@contextlib.contextmanager
def main_process_first() -> Iterator[None]:
    """Makes the other processes enter this context when the main process has left it.

    Use it to prepare files on a disk that processes may share: the main process writes them, the others find them.
    """
    if jax.process_count() > 1 and not is_main_process():
        multihost_utils.sync_global_devices("the main process is done")
    yield
    if jax.process_count() > 1 and is_main_process():
        multihost_utils.sync_global_devices("the main process is done")


def leave(status: int, *, stuck: bool = False) -> None:
    """Ends this process without waiting for the others, which are told by the coordinator.

    Args:
      status: its exit status.
      stuck: some threads may never end; do not wait for them either.
    """
    if stuck or jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
