"""Trains or evaluates a config: ``python -m jaxseg.main --config configs/unet_shapes.py``.

Only flags are handled here. The rest is imported when it is needed: ``--help`` answers at once, and the processes that
prepare batches, which import this module again, touch no device.
"""

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

    from jaxseg.evaluate import evaluate
    from jaxseg.train import Interrupted, train

    try:
        if MODE.value == "train":
            train(CONFIG.value, folder)
        else:
            print(json.dumps(evaluate(CONFIG.value, folder, CHECKPOINT.value), indent=2))
    except Interrupted as stop:
        fail(str(stop), stop.exit_status)
    except (ValueError, OSError, FloatingPointError) as error:
        fail(str(error))


def fail(message: str, status: int = 2) -> None:
    """Ends the process with one line on stderr, and the traceback if it was asked for."""
    if flags.FLAGS.is_parsed() and TRACEBACK.value:
        traceback.print_exc()
    print(f"jaxseg: {message}", file=sys.stderr)
    sys.exit(status)


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
