"""Shows what is in the data before training: counts, classes, problems, annotated and augmented images.

jaxseg inspect FOLDER
jaxseg inspect unet_folder --config.data.source_dir=FOLDER --strict
jaxseg inspect mask_rcnn_coco --config.data.source_dir=FOLDER --output inspection
"""

import pathlib

from jaxseg.commands.arguments import Parser
from jaxseg.commands.settings import with_changes

FOLDER_PAGES = ("unet_folder", "mask_rcnn_folder")


def main(arguments: list[str]) -> int:
    """Writes the page, prints what was read, and returns 1 under ``--strict`` if there is a problem."""
    parser = Parser("inspect", __doc__)
    parser.add_config()
    parser.add_argument(
        "--output", default="inspection", help="Folder for index.html and data.json. Default: inspection."
    )
    parser.add_argument("--strict", action="store_true", help="Return status 1 if there is a problem. Default: 0.")
    folder, rest = _folder_of(arguments)
    options = parser.parse(["--config", FOLDER_PAGES[0], *rest] if folder else arguments)

    from jaxseg.run.inspection import inspect_config

    output = pathlib.Path(options.output).expanduser()
    found = _inspect_folder(folder, output) if folder else inspect_config(options.config, output)
    print("\n".join(found.lines))
    problems = f"{found.problems} kinds of problems" if found.problems else "no problem found"
    print(f"{problems}; see {found.page}")
    return int(options.strict and found.problems > 0)


def _folder_of(arguments: list[str]) -> tuple[str, list[str]]:
    """Returns a folder of data given in place of a config, and the other arguments."""
    if arguments and not arguments[0].startswith("-") and pathlib.Path(arguments[0]).expanduser().is_dir():
        return arguments[0], arguments[1:]
    return "", arguments


def _inspect_folder(folder: str, output: pathlib.Path):
    """Inspects a folder as data for detectors where it has objects, and else for semantic models."""
    from jaxseg.data.sources.auto import recognize
    from jaxseg.run.inspection import inspect_config

    layout = recognize(with_changes(FOLDER_PAGES[1], {"data": {"source_dir": folder}}).data)
    errors = []
    # Masks may hold instance numbers, which only reading them tells.
    for page in reversed(FOLDER_PAGES) if layout.has_objects or layout.name == "folder" else FOLDER_PAGES[:1]:
        try:
            return inspect_config(with_changes(page, {"data": {"source_dir": folder}}), output)
        except ValueError as error:
            errors.append(f"{page}: {error}")
    raise ValueError(f"{folder} is read neither as label maps nor as objects. {' | '.join(errors)}")
