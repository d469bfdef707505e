"""Reads the command line of a command: its flags, its config, and changes of fields of the config."""

import argparse
import difflib
import os
import pathlib
import re
import sys
from typing import NoReturn

from jaxseg.commands import settings
from jaxseg.commands.errors import UsageError
from jaxseg.commands.field_list import list_fields
from jaxseg.config import pages

CHANGE = re.compile(r"--(no)?config\.([\w.]+)(=(.*))?", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """The parser of one command. ``--help`` starts with the docstring of the command's file.

    Args:
      name: of the command.
      doc: the docstring: one line, then commands to copy.
    """

    def __init__(self, name: str, doc: str | None):
        super().__init__(prog=f"jaxseg {name}", add_help=False, allow_abbrev=False)
        self.doc = (doc or "").strip()
        self.takes_config = False
        self.requires_config = False
        self.config_is_of_run = False
        self.takes_folder = False
        self.add_argument("-h", "--help", action="store_true", help="Show this help. With a config, list its fields.")
        self.add_argument("--traceback", action="store_true", help="On an error, show where it came from.")

    def add_config(
        self, *, required: bool = True, positional: bool = True, of_run: bool = False, or_folder: bool = False
    ) -> None:
        """Adds the config: ``CONFIG`` or ``--config CONFIG``, and ``--config.FIELD=VALUE``.

        Args:
          required: the command is refused without a config.
          positional: accept the config as first argument, without ``--config``.
          of_run: without a config, accept changes of the config that a run has.
          or_folder: accept a folder of data as first argument in place of a config, see ``parse``.
        """
        self.takes_config, self.requires_config, self.config_is_of_run = True, required, of_run
        self.takes_folder = or_folder
        if positional:
            names, more = ("CONFIG|FOLDER", " Or a folder of data.") if or_folder else ("CONFIG", "")
            self.add_argument("page", nargs="?", metavar=names, help=f"The same as --config.{more}")
        self.add_argument(
            "--config",
            help="Name of a shipped config, such as unet_pets, or path of a file. `jaxseg configs` lists them. "
            "Change a field with --config.train.steps=100.",
        )

    def add_changes(self) -> None:
        """Accepts ``--config.FIELD=VALUE`` without ``--config``, as changes of the config that a run has."""
        self.config_is_of_run = True

    def parse(self, arguments: list[str]) -> argparse.Namespace:
        """Returns the flags, with ``config`` (a ConfigDict or None), ``config_name`` and ``changes``.

        ``changes`` has the names and values of ``--config.FIELD=VALUE`` that wait for the config of a run or of a
        folder. ``folder`` is the folder of data that was given in place of a config, "" for none.

        Raises:
          UsageError: a flag, config or field that does not exist, or a value that does not fit.
          SystemExit: ``--help`` was asked for and is printed.
        """
        rest, given = _split(arguments)
        options, unknown = self.parse_known_args([_with_underscores(argument) for argument in rest])
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._nearest(unknown[0])}")
        if not self.takes_config:
            if given and not self.config_is_of_run:
                self.error(f"unexpected argument --config.{given[0][0]}")
            options.config, options.changes = None, given
        else:
            options.folder = self._take_folder(options)
            name = options.config or getattr(options, "page", None)
            if options.config and getattr(options, "page", None):
                self.error(
                    f"unexpected argument {options.page!r}: fields of the config are set with --config.FIELD=VALUE"
                )
            options.config = settings.change(pages.load(name), given, as_text=True) if name else None
            options.config_given = name or ""
            options.config_name = pages.page_name(name) if name else ""
            options.changes = [] if name else given
            if not self.config_is_of_run and not options.folder:
                self.refuse_changes(options)
        if options.help:
            print(self.format_help())
            if options.config is not None:
                print(f"\n{list_fields(options.config)}")
            sys.exit(0)
        if self.requires_config and options.config is None and not (self.takes_config and options.folder):
            self.error(f"the config is missing. Give one of {', '.join(pages.page_names())}, or the path of a file.")
        return options

    def refuse_changes(
        self, options: argparse.Namespace, remedy: str = "Add --config CONFIG, or leave it out."
    ) -> None:
        """Raises ``UsageError`` if a field is changed and there is neither a config nor a run."""
        if options.changes:
            field = options.changes[0][0]
            self.error(f"--config.{field} changes a config, which is not given. {remedy}")

    def _take_folder(self, options: argparse.Namespace) -> str:
        """Removes the first argument from the options if it is a folder, and returns it; "" if it is none."""
        page = getattr(options, "page", None)
        if not self.takes_folder or not page:
            return ""
        path = pathlib.Path(page).expanduser()
        if not path.exists() and path.suffix != ".py" and (os.sep in page or not pages.similar_names(page)):
            self.error(
                f"the folder {page} does not exist; expected a folder of data. Correct the path, or give a config: "
                "`jaxseg configs` lists them"
            )
        if not path.is_dir():
            return ""
        options.page = None
        return page

    def _nearest(self, argument: str) -> str:
        """Returns a hint that names the flag that was probably meant."""
        near = difflib.get_close_matches(argument.split("=")[0], self._option_string_actions, n=1)
        return f". Did you mean {near[0]}?" if near else ""

    def format_help(self) -> str:
        """Returns what the command does, commands to copy, and its flags."""
        return f"{self.doc}\n\n{super().format_help()}".rstrip()

    def error(self, message: str) -> NoReturn:
        """Raises the message as an error of the user."""
        raise UsageError(f"{message} ({self.prog} --help shows all flags)")


def _split(arguments: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Separates ``--config.FIELD=VALUE`` from the other arguments.

    Without "=", the value is the next argument; "true" if that is a flag.
    """
    rest: list[str] = []
    given: list[tuple[str, str]] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        found = CHANGE.fullmatch(argument)
        if not found:
            rest.append(argument)
            continue
        negated, field, assigned, value = found.groups()
        if negated:
            value = "false"
        elif not assigned:
            value = waiting.pop(0) if waiting and not waiting[0].startswith("--") else "true"
        given.append((field, value))
    return rest, given


def _with_underscores(argument: str) -> str:
    """Returns a flag with underscores for dashes: ``--process-id=1`` is ``--process_id=1``."""
    if not argument.startswith("--"):
        return argument
    flag, *value = argument[2:].split("=", 1)
    return "=".join(["--" + flag.replace("-", "_"), *value])
