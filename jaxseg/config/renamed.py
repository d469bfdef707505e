"""Fields of a config that have another name today: the one table for saved configs and for the command line."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple


class Renamed(NamedTuple):
    """A field's present name.

    Attributes:
      field: the dotted name.
      convert: turns an old value into the present one.
      example: what to write on the command line.
    """

    field: str
    convert: Callable[[Any], Any]
    example: str


RENAMED = {
    "data.splits": Renamed(
        "data.split_seed", lambda way: int(way[5:]) if way.startswith("seed_") else None, "data.split_seed=1337"
    ),
    "data.val_share": Renamed("data.val_fraction", float, "data.val_fraction=0.2"),
}


def upgrade(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a saved config, as nested dictionaries, with the present names of its fields.

    Example:
      >>> upgrade({"data": {"splits": "seed_1337", "val_share": 0.3}})
      {'data': {'split_seed': 1337, 'val_fraction': 0.3}}
    """
    config = copy.deepcopy(config)
    for old, new in RENAMED.items():
        section, name = _section(config, old)
        if name in section:
            value = new.convert(section.pop(name))
            target, new_name = _section(config, new.field)
            target.setdefault(new_name, value)
    return config


def _section(config: dict[str, Any], field: str) -> tuple[dict[str, Any], str]:
    *path, name = field.split(".")
    for part in path:
        config = config.setdefault(part, {})
    return config, name
