"""What the commands that train and evaluate share: flags of processes, and how such a command ends."""

import argparse
import pathlib
from collections.abc import Callable

import ml_collections

from jaxseg.commands import errors, process
from jaxseg.commands.arguments import Parser
from jaxseg.storage import as_path


def add_process_flags(parser: Parser) -> None:
    """Adds the flags of a run of several processes."""
    parser.add_argument("--coordinator", help="Address host:port of process 0 in a multi-process run. Default: none.")
    parser.add_argument("--num_processes", type=int, help="Number of processes of the run, such as 4. Default: 1.")
    parser.add_argument("--process_id", type=int, help="Number of this process, from 0. Needs --coordinator.")
    parser.add_argument(
        "--distributed",
        choices=["auto"],
        help="auto: find the other processes through Slurm, Open MPI, Kubernetes or TPU metadata. Default: none.",
    )


def folder_of(options: argparse.Namespace) -> pathlib.Path:
    """Returns the workdir: ``--workdir``, or runs/ and the name of the config."""
    return as_path(options.workdir or f"runs/{options.config_name}")


def run(options: argparse.Namespace, config: ml_collections.ConfigDict, work: Callable[[], None]) -> int:
    """Sets up the process, does the work and returns the exit status.

    Args:
      options: the flags of the command.
      config: the config of the run.
      work: what to do, in all processes.
    """
    process.prepare(config.deterministic)
    from jaxseg.parallel import processes
    from jaxseg.run.signals import Interrupted

    try:
        process.keep_compiled(config.compilation_cache)
        _join(options)
        work()
    except Interrupted as stop:  # all processes are here, and end in good order
        if processes.is_main_process():
            errors.complain(str(stop))
        return stop.exit_status
    except Exception as error:
        status = errors.report(error, options.traceback)
        # A thread that waits for a batch may never end, so the process does not wait for it after an internal error.
        processes.leave(status, stuck=not isinstance(error, errors.USER_ERRORS))
    return 0


def _join(options: argparse.Namespace) -> None:
    """Joins the other processes of the run, if there are any."""
    from jaxseg.parallel import processes

    if options.distributed:
        processes.join_cluster()
    elif options.coordinator:
        processes.join(options.coordinator, options.num_processes, options.process_id)
    elif options.num_processes is not None or options.process_id is not None:
        raise ValueError("--num_processes and --process_id are for runs with a --coordinator, which is not given")
