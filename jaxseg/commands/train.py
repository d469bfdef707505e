"""Trains a config, then evaluates it. The same command again continues an interrupted run.

jaxseg train unet_shapes
jaxseg train unet_folder --config.data.source_dir=FOLDER --workdir runs/mine
jaxseg train my_config.py --config.train.batch_size=64 --config.optimizer.learning_rate=1e-3
"""

import argparse
import pathlib
import shlex

from jaxseg.commands import running
from jaxseg.commands.arguments import Parser


def main(arguments: list[str]) -> int:
    """Trains the config of the flags, or evaluates it with ``--mode evaluate``."""
    if _mode(arguments) == "evaluate":
        from jaxseg.commands import evaluate

        return evaluate.main(arguments)
    parser = Parser("train", __doc__)
    parser.add_config()
    parser.add_argument(
        "--workdir", help="Folder of the run, such as runs/mine. Default: runs/ and the name of the config."
    )
    parser.add_argument(
        "--profile_steps",
        help="FIRST,LAST: trace these training steps, such as 10,20, into WORKDIR/profile. Default: none.",
    )
    parser.add_argument(
        "--seeds", type=int, default=0, help="Train this many runs with other seeds as one program. Default: one run."
    )
    parser.add_argument(
        "--folds",
        type=int,
        default=0,
        help="Train this many runs as one program, each validated on another part of data.train. Default: one run.",
    )
    parser.add_argument("--quiet", action="store_true", help="Print nothing but errors. Default: progress and scores.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object per line, for programs.")
    parser.add_argument("--mode", choices=["train", "evaluate"], default="train", help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", help=argparse.SUPPRESS)
    running.add_process_flags(parser)
    options = parser.parse(arguments)
    steps = first_and_last(options.profile_steps)
    if steps and (options.seeds or options.folds):
        parser.error("--profile_steps is given with --seeds or --folds; expected one run, which it traces")
    folder = running.folder_of(options)

    def work() -> None:
        """Trains one run, or several together."""
        from jaxseg.parallel.processes import is_main_process
        from jaxseg.train import train

        console = "json" if options.json else "quiet" if options.quiet else "auto"
        if options.seeds or options.folds:
            from jaxseg.train_together import train_together

            train_together(options.config, folder, seeds=options.seeds, folds=options.folds, console=console)
            return
        train(options.config, folder, steps, console)
        if console == "auto" and is_main_process():
            print("\n".join(next_commands(arguments, folder)))

    return running.run(options, options.config, work)


def next_commands(arguments: list[str], folder: pathlib.Path) -> list[str]:
    """Returns the commands that people want after training.

    Args:
      arguments: those of this command, which resumes the run when it is repeated.
      folder: the workdir.
    """
    workdir = shlex.quote(str(folder))
    given = any(one == "--workdir" or one.startswith("--workdir=") for one in arguments)
    again = shlex.join(arguments) + ("" if given else f" --workdir {workdir}")
    return [
        "Next:",
        f"  jaxseg predict --workdir {workdir} --input photo.jpg",
        f"  jaxseg evaluate --workdir {workdir} --checkpoint best",
        f"  jaxseg train {again}  # resumes; with more steps it trains longer",
    ]


def first_and_last(steps: str | None) -> tuple[int, int] | None:
    """Returns the two numbers of ``--profile_steps``.

    Raises:
      ValueError: these are not two numbers.
    """
    if not steps:
        return None
    numbers = steps.split(",")
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
        raise ValueError(f"--profile_steps is {steps}; expected two numbers, such as 10,20.")
    return int(numbers[0]), int(numbers[1])


def _mode(arguments: list[str]) -> str:
    """Returns the value of ``--mode``, a flag of ``python -m jaxseg.main`` from before there were commands."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--mode", default="train")
    try:
        return parser.parse_known_args(arguments)[0].mode
    except argparse.ArgumentError:
        return "train"
