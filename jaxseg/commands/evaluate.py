"""Scores a checkpoint of a run, each image once.

jaxseg evaluate --workdir runs/unet_shapes
jaxseg evaluate --workdir runs/unet_shapes --checkpoint best --flips --scales 0.75,1,1.25
jaxseg evaluate unet_folder --workdir runs/mine --config.data.source_dir=FOLDER
"""

import argparse
import json

from jaxseg.commands import running, view_flags
from jaxseg.commands.arguments import Parser


def main(arguments: list[str]) -> int:
    """Scores the checkpoint of the flags and prints the scores as JSON."""
    parser = Parser("evaluate", __doc__)
    parser.add_config(required=False)
    parser.add_argument("--workdir", help="Folder of the run. Default: runs/ and the name of the config.")
    parser.add_argument("--checkpoint", default="latest", help="Checkpoint: latest, best or a step. Default: latest.")
    parser.add_argument("--report", action="store_true", help="Write WORKDIR/report.html, with examples and errors.")
    view_flags.add_flags(parser)
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    parser.add_argument("--profile_steps", help=argparse.SUPPRESS)
    running.add_process_flags(parser)
    options = parser.parse(arguments)
    if options.config is None and not options.workdir:
        parser.error("--workdir is missing. Give the folder of a run, or a config.")
    views = view_flags.read_flags(options)
    folder = running.folder_of(options)
    if options.config is None:
        from jaxseg.run import workdir

        options.config = workdir.load(folder)[0]

    def work() -> None:
        from jaxseg.evaluate import evaluate
        from jaxseg.inference.engine import read_options
        from jaxseg.parallel.processes import is_main_process

        scores = evaluate(options.config, folder, options.checkpoint, options.report, read_options(views))
        if is_main_process():
            print(json.dumps(scores, indent=2))

    return running.run(options, options.config, work)
