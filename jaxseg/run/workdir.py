"""The folder of a run: which config made it, and for which classes."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from jaxseg.models.fields import all_fields

# A run that changed one of these would no longer be the same run; anything else may be changed on resuming.
IDENTITY = ("task", "model", "data.name", "data.splits", "seed")

# What older runs, made before these fields were, did without.
SINCE = {"remat": False}


def prepare(
    workdir: pathlib.Path,
    config: Any,
    class_names: tuple[str, ...],
    palette: np.ndarray,
    category_ids: Sequence[int] = (),
    writes: bool = True,
) -> list[str]:
    """Makes the folder and writes ``config.json`` and ``classes.json``, or sees that they fit.

    Args:
      workdir: the run's folder.
      config: the resolved config.
      class_names: one a class.
      palette: uint8 ``[k, 3]``.
      category_ids: the numbers under which the data set has the classes, where it numbers them itself.
      writes: whether this process writes; the others only look.

    Returns:
      What has changed since the folder was last used, a line a field.

    Raises:
      ValueError: the folder cannot be written, or belongs to another model, data set or seed.
    """
    classes = {"class_names": list(class_names), "palette": np.asarray(palette).tolist()}
    if list(category_ids) not in ([], list(range(len(class_names)))):
        classes["category_ids"] = [int(number) for number in category_ids]
    before = flatten(_saved(workdir)) if (workdir / "config.json").exists() else None
    now = flatten(json.loads(config.to_json()))
    changed = [] if before is None else [field for field in sorted(before | now) if before.get(field) != now.get(field)]
    other = [field for field in changed if any(field == own or field.startswith(own + ".") for own in IDENTITY)]
    if other:
        differences = "; ".join(f"{field} was {before.get(field)!r}, now {now.get(field)!r}" for field in other)
        raise ValueError(f"workdir {workdir} belongs to another run ({differences}): choose another --workdir")
    # A palette may change: it only colors pictures.
    if before is not None and read_json(workdir, "classes.json") | {"palette": classes["palette"]} != classes:
        raise ValueError(f"workdir {workdir} belongs to a run on other classes: choose another --workdir")
    try:
        if writes:
            (workdir / "pictures").mkdir(parents=True, exist_ok=True)
            write_json(workdir, "config.json", json.loads(config.to_json()))
            write_json(workdir, "classes.json", classes)
    except OSError as error:
        raise ValueError(f"workdir {workdir} cannot be written ({error}): choose another --workdir") from None
    return [f"{field}: {before.get(field)!r} -> {now.get(field)!r}" for field in changed]


def _saved(workdir: pathlib.Path) -> dict[str, Any]:
    """Reads the config of a run, with all fields of its model; older runs saved only those that their page named."""
    saved = read_json(workdir, "config.json")
    model = as_tuples(saved["model"])
    return saved | {"model": json.loads(json.dumps(all_fields(model)))}


def load(workdir: pathlib.Path) -> tuple[ml_collections.ConfigDict, tuple[str, ...], np.ndarray]:
    """The config, class names and palette of a run.

    Raises:
      ValueError: the folder is not a run's.
    """
    config = ml_collections.ConfigDict(SINCE | as_tuples(read_json(workdir, "config.json")))
    classes = read_json(workdir, "classes.json")
    return config, tuple(classes["class_names"]), np.asarray(classes["palette"], np.uint8)


def category_ids(workdir: pathlib.Path) -> list[int]:
    """The numbers under which results have the classes of a run.

    Raises:
      ValueError: the folder is not a run's.
    """
    classes = read_json(workdir, "classes.json")
    return classes.get("category_ids", list(range(len(classes["class_names"]))))


def read_json(workdir: pathlib.Path, name: str) -> Any:
    """The content of a JSON file of a workdir.

    Raises:
      ValueError: it is not there or not whole.
    """
    try:
        return json.loads((workdir / name).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{workdir} is not the folder of a run: {name} cannot be read ({error}); train one with "
            f"python -m jaxseg.main --config ... --workdir {workdir}"
        ) from None


def write_json(workdir: pathlib.Path, name: str, content: Any) -> None:
    """Writes a JSON file whole or not at all."""
    new = workdir / (name + ".tmp")
    new.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    new.replace(workdir / name)


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted names."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    parts = (flatten(value, f"{prefix}.{name}" if prefix else name) for name, value in tree.items())
    return {name: value for part in parts for name, value in part.items()}


def as_tuples(tree: Any) -> Any:
    """JSON's lists as the tuples that configs have."""
    if isinstance(tree, dict):
        return {name: as_tuples(value) for name, value in tree.items()}
    return tuple(as_tuples(value) for value in tree) if isinstance(tree, list) else tree
