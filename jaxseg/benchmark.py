"""Measures a config on this machine: ``python -m jaxseg.benchmark --config configs/unet_shapes.py``.

It takes random images for the training step and for predictions, and the config's own data for the input pipeline;
with ``--against torch`` it measures the same network in PyTorch too, in turns with ours. How, and what came of it,
is told in ``jaxseg/benchmarks/README.md``.

Only flags are handled here; the rest is imported when it is needed, so that ``--help`` answers at once.
"""

import os
import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The experiment, a file of configs/; change a field with --config.train.batch_size=4."
)
WHAT = flags.DEFINE_enum(
    "what",
    "all",
    ["train", "predict", "input", "evaluate", "roi_align", "all"],
    "The training step, predictions, the input pipeline alone and with the step, scoring, or a detector's RoIAlign.",
)
AGAINST = flags.DEFINE_enum("against", None, ["torch"], "Also measure the same network in PyTorch, in turns with ours.")
MODES = flags.DEFINE_list("modes", ["eager", "channels_last", "compiled"], "PyTorch's ways of running a network.")
OUTPUT = flags.DEFINE_string("output", None, "A .json file for the rows.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "How often each is measured; the median counts.", lower_bound=1)
SECONDS = flags.DEFINE_float("seconds", 1.0, "How long each is measured in a round, at least once.", lower_bound=0.0)
CLASSES = flags.DEFINE_integer(
    "classes", 0, "The number of classes, to do without the data; 0: what the data says.", lower_bound=0
)
flags.mark_flag_as_required("config")


def main(arguments: list[str]) -> None:
    """Measures what the flags ask for; a user's mistake ends in one line and exit status 2."""
    if len(arguments) > 1:
        fail(f"unexpected argument {arguments[1]!r}: fields of the config are set with --config.FIELD=VALUE")
    logging.set_verbosity(logging.ERROR)  # what the libraries say of their inner life is not for the console
    if CONFIG.value.deterministic:  # read by XLA when it starts, as the next one
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
    if AGAINST.value:  # PyTorch needs memory of the same device
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    from jaxseg.parallel.cpu_memory import keep_freed_memory

    keep_freed_memory()  # as training does; PyTorch, in the same process, gains from it too

    from jaxseg.benchmarks.measurements import Options, measure_config
    from jaxseg.benchmarks.rows import print_table, write_rows

    name = pathlib.Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
    options = Options(
        WHAT.value, AGAINST.value is not None, tuple(MODES.value), ROUNDS.value, SECONDS.value, CLASSES.value
    )
    try:
        rows = measure_config(CONFIG.value, name, options)
        print_table(rows)
        if OUTPUT.value:
            write_rows(pathlib.Path(OUTPUT.value), rows)
    except (ValueError, OSError) as error:
        fail(str(error))


def fail(message: str) -> None:
    """Ends the process with one line on stderr."""
    print(f"jaxseg: {message}", file=sys.stderr)
    sys.exit(2)


def parse(arguments: list[str]) -> list[str]:
    """Reads the flags; a config that is not there, or has no such field, ends in one line and exit status 2."""
    try:
        rest = app.parse_flags_with_usage(arguments)
        CONFIG.value.lock()
        return rest
    except (KeyError, AttributeError, TypeError) as error:
        fail(f"a field of the config cannot be set as asked: {' '.join(str(error.args[0]).split())}")
    except OSError as error:
        fail(f"the config cannot be read: {' '.join(str(error.__cause__ or error).split())}")


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
