"""The commands of jaxseg: one file per command, with its flags and what it prints.

To add a command, add one line to ``COMMANDS`` and one file ``jaxseg/commands/NAME.py``:

    \"\"\"Counts the images of a config.

    jaxseg count unet_shapes
    jaxseg count unet_folder --config.data.source_dir=FOLDER
    jaxseg count my_config.py --split val
    \"\"\"

    from jaxseg.commands.arguments import Parser


    def main(arguments: list[str]) -> int | None:
        \"\"\"Counts the images of a split.\"\"\"
        parser = Parser("count", __doc__)
        parser.add_config()
        parser.add_argument("--split", default="train", help="Split to count, such as val. Default: train.")
        options = parser.parse(arguments)

        from jaxseg.data.sources import open_source  # heavy imports come after parsing: --help answers at once

        source = open_source(options.config.data, options.split)
        print(f"{len(source.records)} images in {options.config_name}")

- ``main`` gets the arguments behind the name of the command. It returns None or 0 for success, or an exit status.
- The docstring is the head of ``--help``: one line, then three commands to copy.
- ``options.config`` is the page with all changes of the command line (``--config.FIELD=VALUE``) applied and checked;
  ``options.config_name`` is its short name, such as "unet_shapes".
- Raise ValueError, OSError or FloatingPointError for mistakes of users. ``run`` prints one line and returns status 2;
  with ``--traceback``, which every command has, it prints the traceback too.
- The top of the file imports nothing heavy (no jax, numpy, cv2), since ``--help`` answers within a second.
"""

import difflib
import importlib
import sys
from typing import NoReturn

from jaxseg import ctrl_c
from jaxseg.commands import errors, process

# Name of a command, which is also its file, and what it does.
COMMANDS = {
    "train": "Train a config, then evaluate it.",
    "evaluate": "Score a checkpoint of a run.",
    "inspect": "Show what is in the data before training.",
    "predict": "Segment images with a run or with weights from elsewhere.",
    "export": "Write a run's model as one file that runs without jaxseg.",
    "serve": "Show a run's model on a local web page.",
    "benchmark": "Measure the speed of a config on this machine.",
    "plan": "Say what a config needs on a machine that you do not have.",
    "configs": "List the shipped configs.",
    "doctor": "Print versions, devices and memory, for bug reports.",
}
HELP = ("-h", "-help", "--help", "--helpfull", "help")


def start(*before: str) -> NoReturn:
    """Runs the command of the process's command line, and exits with its status.

    Args:
      *before: words that come before those of the command line, such as "train".
    """
    ctrl_c.end_on_ctrl_c()
    arguments = [*before, *sys.argv[1:]]
    if set(HELP).isdisjoint(arguments):
        process.restart_with_huge_pages()
    sys.exit(errors.end_output(run(arguments)))


def run(arguments: list[str]) -> int:
    """Runs the command that the arguments name and returns its exit status; errors end in one line.

    Status 0 means success. Status 1 is a failure of the program or of some inputs, 2 a mistake of the user. A signal
    that stops the command gives 128 plus its number.
    """
    try:
        return run_command(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        return errors.report(error, "--traceback" in arguments)


def run_command(arguments: list[str]) -> int:
    """Runs the command that the arguments name; its errors pass."""
    if not arguments or arguments[0] in HELP:
        print(overview(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    name, *rest = arguments
    if name == "--version":
        from jaxseg import __version__

        print(f"jaxseg {__version__}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Commands: {', '.join(COMMANDS)}."
        return errors.complain(f"there is no command {name!r}. {hint}")
    return importlib.import_module(f"jaxseg.commands.{name}").main(rest) or 0


def overview() -> str:
    """Returns the text of ``jaxseg --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "jaxseg train unet_shapes",
            "jaxseg evaluate unet_shapes --workdir runs/unet_shapes",
            "jaxseg predict --workdir runs/unet_shapes --input photo.jpg",
            "",
            "Commands:",
            *lines,
            "",
            "jaxseg COMMAND --help explains a command.",
        ]
    )
