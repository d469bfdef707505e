"""Scores a checkpoint of a run, each image once.

jaxseg evaluate --workdir runs/unet_shapes --checkpoint best --tile 512 --report
jaxseg evaluate unet_folder --workdir runs/mine --config.data.source_dir=FOLDER
jaxseg evaluate --model pets.jaxseg
"""

import argparse
import json

from jaxseg.commands import process, running, settings, view_flags
from jaxseg.commands.arguments import Parser


def main(arguments: list[str]) -> int:
    """Scores the checkpoint of the flags and prints the scores as JSON."""
    parser = Parser("evaluate", __doc__)
    parser.add_config(required=False, of_run=True)
    parser.add_argument("--workdir", help="Folder of the run. Default: runs/ and the name of the config.")
    parser.add_argument("--checkpoint", default="latest", help="Checkpoint: latest, best or a step. Default: latest.")
    parser.add_argument("--report", action="store_true", help="Write WORKDIR/report.html, with examples and errors.")
    parser.add_argument("--model", help="File of `jaxseg export`, instead of a run, such as pets.jaxseg.")
    view_flags.add_flags(parser)
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    parser.add_argument("--profile_steps", help=argparse.SUPPRESS)
    running.add_process_flags(parser)
    options = parser.parse(arguments)
    if options.model:
        if options.workdir or options.report or options.tile or options.flips or options.scales != "1":
            parser.error("--model is given with --workdir, --report, --tile, --flips or --scales; expected it alone")
        parser.refuse_changes(options)
        return evaluate_model(options)
    if options.config is None and not options.workdir:
        parser.error("--workdir is missing. Give the folder of a run, or a config.")
    views = view_flags.read_flags(options)
    folder = running.folder_of(options)
    if options.config is None:
        from jaxseg.run import workdir

        options.config = settings.change(workdir.load(folder)[0], options.changes, as_text=True)

    def work() -> None:
        """Scores the checkpoint, in all processes."""
        from jaxseg.evaluate import evaluate, warn_of_unused
        from jaxseg.inference.engine import read_options
        from jaxseg.parallel.processes import is_main_process

        if options.changes and is_main_process():
            warn_of_unused(options.config, folder)
        scores = evaluate(options.config, folder, options.checkpoint, options.report, read_options(views))
        if is_main_process():
            print(json.dumps(scores, indent=2))

    return running.run(options, options.config, work)


def evaluate_model(options: argparse.Namespace) -> int:
    """Scores an exported file on its own data, or on those of a config, and prints the scores as JSON."""
    process.prepare()

    from jaxseg.evaluate import evaluate_export
    from jaxseg.inference.exported import load_export

    data = None if options.config is None else options.config.data
    print(json.dumps(evaluate_export(load_export(options.model), data), indent=2))
    return 0
