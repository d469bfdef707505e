"""Measures the speed of a config on this machine; jaxseg/benchmarks/README.md explains how.

jaxseg benchmark unet_shapes
jaxseg benchmark unet_pets --what train --classes 3 --config.train.batch_size=16
jaxseg benchmark unet_shapes --what train --against torch --output rows.json

Training steps and predictions are measured on random images, the input pipeline on the data of the config.
"""

import os
import pathlib

from jaxseg.commands import process
from jaxseg.commands.arguments import Parser

WHAT = ["train", "predict", "input", "evaluate", "roi_align", "predict_files", "all"]


def main(arguments: list[str]) -> None:
    """Measures what the flags ask for and prints a table."""
    parser = Parser("benchmark", __doc__)
    parser.add_config()
    parser.add_argument(
        "--what",
        choices=WHAT,
        default="all",
        help="Training step, predictions, input pipeline alone and with the step, scoring, a detector's RoIAlign, or a "
        "folder of photographs. Default: all, without the folder.",
    )
    parser.add_argument("--against", choices=["torch"], help="Measure the same network in PyTorch too. Default: none.")
    parser.add_argument(
        "--modes",
        default="eager,channels_last,compiled",
        help="Ways in which PyTorch runs a network. Default: eager,channels_last,compiled.",
    )
    parser.add_argument("--output", help="File for the rows, such as rows.json. Default: none.")
    parser.add_argument("--rounds", type=int, default=7, help="Number of measurements; the median counts. Default: 7.")
    parser.add_argument("--seconds", type=float, default=1.0, help="Length of one measurement. Default: 1.0.")
    parser.add_argument("--classes", type=int, default=0, help="Number of classes; 0 reads the data. Default: 0.")
    options = parser.parse(arguments)
    if options.rounds < 1 or options.seconds < 0 or options.classes < 0:
        parser.error("--rounds must be at least 1, --seconds and --classes at least 0")
    if options.against:  # PyTorch needs memory of the same device.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    process.prepare(options.config.deterministic)

    from jaxseg.benchmarks.measurements import Options, measure_config
    from jaxseg.benchmarks.rows import print_table, write_rows

    modes = tuple(options.modes.split(","))
    what = Options(options.what, options.against is not None, modes, options.rounds, options.seconds, options.classes)
    rows = measure_config(options.config, options.config_name, what)
    print_table(rows)
    if options.output:
        write_rows(pathlib.Path(options.output).expanduser(), rows)
