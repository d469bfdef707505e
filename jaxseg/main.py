"""Trains or evaluates a config: ``python -m jaxseg.main --config configs/unet_shapes.py``.

Only flags are handled here. The rest is imported when it is needed: ``--help`` answers at once, and the processes that
prepare batches, which import this module again, touch no device.
"""

import errno
import json
import os
import pathlib
import sys
import traceback

from absl import app, flags, logging
from ml_collections import config_flags

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The experiment, a file of configs/; change a field with --config.train.steps=100."
)
WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder; runs/<name of the config> unless given.")
MODE = flags.DEFINE_enum("mode", "train", ["train", "evaluate"], "Train and score, or score what is there.")
CHECKPOINT = flags.DEFINE_string("checkpoint", "latest", "Which to evaluate: latest, best, or a step.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "Of a run of several processes: host:port of process 0.")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes share the run.")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")
DISTRIBUTED = flags.DEFINE_enum(
    "distributed", None, ["auto"], "auto: Slurm, Open MPI, Kubernetes or the TPU's metadata say who shares the run."
)
PROFILE_STEPS = flags.DEFINE_list(
    "profile_steps", None, "FIRST,LAST: trace these training steps into WORKDIR/profile, for TensorBoard and Perfetto."
)
TRACEBACK = flags.DEFINE_bool("traceback", False, "On an error, show where it came from.")
flags.mark_flag_as_required("config")


def main(arguments: list[str]) -> None:
    """Runs what the flags ask for; a user's mistake ends in one line and exit status 2."""
    if len(arguments) > 1:
        fail(f"unexpected argument {arguments[1]!r}: fields of the config are set with --config.FIELD=VALUE")
    logging.set_verbosity(logging.ERROR)  # what the libraries say of their inner life is not for the console
    name = pathlib.Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
    folder = pathlib.Path(WORKDIR.value or f"runs/{name}")

    if CONFIG.value.deterministic:  # read by XLA when it starts
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"

    from jaxseg.parallel.cpu_memory import keep_freed_memory

    keep_freed_memory()  # before jax has threads

    import jax

    from jaxseg.parallel import processes
    from jaxseg.train import Interrupted

    try:
        keep_compiled(CONFIG.value.compilation_cache)
        join_processes()
        run(folder)
    except Interrupted as stop:  # all processes are here, and part in good order
        if processes.is_main_process():
            complain(str(stop))
        sys.exit(stop.exit_status)
    except (ValueError, OSError, FloatingPointError) as error:
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        room = f": make room in {folder}, and the same command goes on from the newest checkpoint"
        complain(str(error) + (room if full else ""))
        processes.leave(2)
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        complain(f"a device or another process of the run has failed: {str(error).splitlines()[0]}")
        processes.leave(1)
    except Exception:
        traceback.print_exc()
        processes.leave(1, stuck=True)  # as where a batch never came


def keep_compiled(folder: str) -> None:
    """Has JAX keep its compiled programs in a folder, which nobody else may write to, since they are executed."""
    import jax

    if folder:
        path = pathlib.Path(folder).expanduser()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        jax.config.update("jax_compilation_cache_dir", str(path))


def join_processes() -> None:
    """Joins the other processes of the run, if there are any."""
    from jaxseg.parallel import processes

    if DISTRIBUTED.value:
        processes.join_cluster()
    elif COORDINATOR.value:
        processes.join(COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
    elif NUM_PROCESSES.value or PROCESS_ID.value:
        raise ValueError("--num_processes and --process_id are for runs with a --coordinator, which is not given")


def run(folder: pathlib.Path) -> None:
    """Trains or evaluates the config."""
    from jaxseg.evaluate import evaluate
    from jaxseg.parallel.processes import is_main_process
    from jaxseg.train import train

    if MODE.value == "train":
        train(CONFIG.value, folder, first_and_last(PROFILE_STEPS.value))
        return
    scores = evaluate(CONFIG.value, folder, CHECKPOINT.value)
    if is_main_process():
        print(json.dumps(scores, indent=2))


def first_and_last(steps: list[str] | None) -> tuple[int, int] | None:
    """The numbers of ``--profile_steps``."""
    if not steps:
        return None
    if len(steps) != 2 or not all(step.isdigit() for step in steps):
        raise ValueError(f"--profile_steps is {','.join(steps)}; expected two numbers, such as 10,20")
    return int(steps[0]), int(steps[1])


def fail(message: str, status: int = 2) -> None:
    """Ends the process with a complaint."""
    complain(message)
    sys.exit(status)


def complain(message: str) -> None:
    """Says in one line on stderr what went wrong, after the traceback if that was asked for."""
    if flags.FLAGS.is_parsed() and TRACEBACK.value:
        traceback.print_exc()
    print(f"jaxseg: {message}", file=sys.stderr)


def parse(arguments: list[str]) -> list[str]:
    """Reads the flags; a config that is not there, or has no such field, ends in one line and exit status 2."""
    try:
        rest = app.parse_flags_with_usage(arguments)
        CONFIG.value.lock()  # a config file that could not be loaded says so when it is first used
        return rest
    except (KeyError, AttributeError, TypeError) as error:
        reason = " ".join(str(error.args[0]).replace("\n", ". ").split())
        fail(f"a field of the config cannot be set as asked: {reason}")
    except OSError as error:
        fail(f"the config cannot be read: {' '.join(str(error.__cause__ or error).split())}")


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
