"""Completes the configs of workdirs that older code wrote; ``jaxseg.config.renamed`` has the renamed fields."""

from collections.abc import Mapping
from typing import Any

from jaxseg.config import defaults, renamed

# Fields that older configs lack, with what the code did before it had them. A new field of jaxseg.config.defaults
# needs a line here if its default changes what older runs compute. Others get their default of today.
BEFORE = {
    "remat": False,
    "trackers": ("tensorboard",),
}


def upgrade(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a saved config with the fields of today.

    Args:
      saved: the content of ``config.json``, lists as tuples.

    Raises:
      ValueError: the config is of an unknown task.
    """
    known = {"semantic": defaults.semantic, "instances": defaults.detector}
    task = saved.get("task", "instances" if saved.get("model", {}).get("name") == "mask_rcnn" else "semantic")
    if task not in known:
        raise ValueError(f"task is {task!r}; known are {', '.join(sorted(known))}.")
    fields = flatten(renamed.upgrade(dict(saved), task))
    today = flatten({name: value for name, value in known[task]().to_dict().items() if name != "model"})
    return nest(today | BEFORE | fields)


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Returns nested dictionaries as one, with dotted names."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    parts = (flatten(value, f"{prefix}.{name}" if prefix else name) for name, value in tree.items())
    return {name: value for part in parts for name, value in part.items()}


def nest(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns dotted names as nested dictionaries, the inverse of ``flatten``."""
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        *sections, last = name.split(".")
        section = tree
        for one in sections:
            section = section.setdefault(one, {})
        section[last] = value
    return tree
