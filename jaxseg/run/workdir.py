"""The folder of a run: its config and its classes."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from jaxseg.models.fields import all_fields
from jaxseg.run.checkpoint_reader import saved_steps
from jaxseg.run.ensemble import members_of
from jaxseg.run.lock import cannot_write
from jaxseg.run.upgrade import flatten, upgrade
from jaxseg.storage import make_folder, write_text

# A run that resumes may change all fields but these.
IDENTITY = ("task", "model", "data.name", "data.split_seed", "seed")


class Classes(NamedTuple):
    """The classes of a run, as ``classes.json`` keeps them.

    Attributes:
      names: one name per class.
      palette: uint8 ``[k, 3]``, the colors.
      category_ids: the numbers of the classes in the data set's own files; () numbers them in order.
    """

    names: tuple[str, ...]
    palette: np.ndarray
    category_ids: Sequence[int] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns the content of ``classes.json``."""
        content = {"class_names": list(self.names), "palette": np.asarray(self.palette).tolist()}
        if list(self.category_ids) not in ([], list(range(len(self.names)))):
            content["category_ids"] = [int(number) for number in self.category_ids]
        return content


def compare(workdir: pathlib.Path, config: ml_collections.ConfigDict, classes: Classes) -> list[str]:
    """Compares a run with the one that a workdir belongs to, if there is one; writes nothing.

    Args:
      workdir: the folder of the run.
      config: the resolved config.
      classes: the classes of the training split.

    Returns:
      What has changed since the folder was last used, one line per field. A folder without checkpoints belongs to no
      run yet, so there is nothing to compare.

    Raises:
      ValueError: the folder belongs to another model, data set or seed, or cannot be read.
    """
    if not (workdir / "config.json").exists() or not saved_steps(workdir):
        return []
    before, now = flatten(as_json(load(workdir)[0])), flatten(as_json(config))
    changed = [field for field in sorted(now) if before.get(field) != now[field]]  # fields of older code do not count
    other = [field for field in changed if any(field == own or field.startswith(own + ".") for own in IDENTITY)]
    if "auto" in (before.get("data.name"), now.get("data.name")):  # the classes tell whether the data is the same
        other = [field for field in other if field != "data.name"]
    if other:
        differences = "; ".join(f"{field} was {before.get(field)!r}, now {now.get(field)!r}" for field in other)
        raise ValueError(f"workdir {workdir} belongs to another run ({differences}). Choose another --workdir.")
    own = classes.as_json()
    if read_json(workdir, "classes.json") | {"palette": own["palette"]} != own:  # the palette only colors pictures
        raise ValueError(f"workdir {workdir} belongs to a run on other classes. Choose another --workdir.")
    return [f"{field}: {before.get(field)!r} -> {now.get(field)!r}" for field in changed]


def write(workdir: pathlib.Path, config: ml_collections.ConfigDict, classes: Classes) -> None:
    """Writes ``config.json`` and ``classes.json``.

    Raises:
      ValueError: the folder cannot be written.
      OSError: its disk is full.
    """
    try:
        make_folder(workdir / "pictures")
        write_json(workdir, "config.json", as_json(config))
        write_json(workdir, "classes.json", classes.as_json())
    except OSError as error:
        raise cannot_write(workdir, error) from error


def load(workdir: pathlib.Path) -> tuple[ml_collections.ConfigDict, tuple[str, ...], np.ndarray]:
    """Returns the config, class names and palette of a run; older configs get the fields of today.

    Raises:
      ValueError: the folder is not the workdir of a run.
    """
    config = upgrade(as_tuples(read_json(workdir, "config.json")))
    config["model"] = all_fields(config["model"])
    classes = read_json(workdir, "classes.json")
    return ml_collections.ConfigDict(config), tuple(classes["class_names"]), np.asarray(classes["palette"], np.uint8)


def category_ids(workdir: pathlib.Path) -> list[int]:
    """Returns the numbers that results files use for the classes of a run.

    Raises:
      ValueError: the folder is not the workdir of a run.
    """
    classes = read_json(workdir, "classes.json")
    return classes.get("category_ids", list(range(len(classes["class_names"]))))


def read_json(workdir: pathlib.Path, name: str) -> Any:
    """Returns the content of a JSON file of a workdir.

    Raises:
      ValueError: the file is missing or damaged.
    """
    try:
        return json.loads((workdir / name).read_text())
    except (OSError, json.JSONDecodeError) as error:
        members = members_of(workdir)
        if members:
            raise ValueError(
                f"{workdir} has {len(members)} runs that were trained together; expected one. Choose one, such as "
                f"{members[0]}"
            ) from None
        raise ValueError(
            f"{workdir} is not the folder of a run: {name} cannot be read ({error}). Train one with "
            f"jaxseg train CONFIG --workdir {workdir}"
        ) from None


def write_json(workdir: pathlib.Path, name: str, content: Any) -> None:
    """Writes a JSON file completely or not at all."""
    write_text(workdir / name, json.dumps(content, indent=2, sort_keys=True) + "\n")


def as_json(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns a config as JSON has it, with lists for tuples."""
    return json.loads(config.to_json())


def as_tuples(tree: Any) -> Any:
    """Returns JSON's lists as the tuples that configs have."""
    if isinstance(tree, dict):
        return {name: as_tuples(value) for name, value in tree.items()}
    return tuple(as_tuples(value) for value in tree) if isinstance(tree, list) else tree
