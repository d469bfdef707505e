"""Shows what is in the data before training: counts, classes, problems, annotated and augmented images.

jaxseg inspect FOLDER
jaxseg inspect unet_folder --config.data.source_dir=FOLDER --strict
jaxseg inspect mask_rcnn_coco --config.data.source_dir=FOLDER --output inspection
"""

import argparse
import pathlib
from typing import TYPE_CHECKING

import ml_collections

from jaxseg.commands.arguments import Parser
from jaxseg.commands.settings import change, with_changes

if TYPE_CHECKING:
    from jaxseg.run.inspection import Inspection

FOLDER_PAGES = ("mask_rcnn_folder", "unet_folder")


def main(arguments: list[str]) -> int:
    """Writes the page, prints what was read, and returns 1 under ``--strict`` if there is a problem."""
    parser = Parser("inspect", __doc__)
    parser.add_config(or_folder=True)
    parser.add_argument(
        "--output", default="inspection", help="Folder for index.html and data.json. Default: inspection."
    )
    parser.add_argument("--strict", action="store_true", help="Return status 1 if there is a problem. Default: 0.")
    options = parser.parse(arguments)

    from jaxseg.run.inspection import inspect_config

    output = pathlib.Path(options.output).expanduser()
    if options.folder and options.config is None:
        found = _inspect_folder(options, output)
    else:
        given = {"data": {"source_dir": options.folder}} if options.folder else {}
        found = inspect_config(with_changes(options.config, given), output)
    print("\n".join(found.lines))
    problems = f"kinds of problems: {found.problems}" if found.problems else "no problem found"
    print(f"{problems}; see {found.page}")
    return int(options.strict and found.problems > 0)


def _inspect_folder(options: argparse.Namespace, output: pathlib.Path) -> "Inspection":
    """Inspects a folder as data for detectors where it has objects, and else for semantic models."""
    from jaxseg.data.sources.auto import recognize
    from jaxseg.run.inspection import inspect_config

    configs = _folder_configs(options)
    errors = []
    # Masks may hold instance numbers, which only reading them tells.
    layout = recognize(configs[0].data) if configs[0].data.name == "auto" else None
    may_have_objects = layout is None or layout.has_objects or layout.name == "folder"
    for config in configs if may_have_objects else configs[-1:]:
        try:
            return inspect_config(config, output)
        except ValueError as error:
            errors.append(error)
    # Of masks, the detector's error may only say that they are label maps.
    raise errors[0 if layout is not None and layout.has_objects else -1]


def _folder_configs(options: argparse.Namespace) -> list[ml_collections.ConfigDict]:
    """Returns the configs for a folder that have the fields that the command line changes, for detectors first."""
    configs, refusals = [], []
    for page in FOLDER_PAGES:
        try:
            config = with_changes(page, {"data": {"source_dir": options.folder}})
            configs.append(change(config, options.changes, as_text=True))
        except ValueError as error:
            refusals.append(error)
    if not configs:
        raise refusals[-1]
    return configs
