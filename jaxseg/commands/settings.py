"""Configs with changed fields, for the command line and for the Python API."""

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections

from jaxseg.commands import process
from jaxseg.config import changes, pages, ranges, resolution


def with_changes(
    config: str | os.PathLike[str] | ml_collections.ConfigDict, fields: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """Returns a config with fields changed to Python values.

    Args:
      config: the name of a shipped config, the path of a file, or a config.
      fields: values by name; a mapping changes the fields of a section.

    Raises:
      ValueError: there is no such config or field, or a value does not fit.
    """
    if isinstance(config, ml_collections.ConfigDict):
        config = config.copy_and_resolve_references()
    else:
        config = pages.load(os.fspath(config))
    return change(config, list(_flat(fields)), as_text=False)


def change(
    config: ml_collections.ConfigDict, given: list[tuple[str, Any]], *, as_text: bool
) -> ml_collections.ConfigDict:
    """Changes fields of a config, checks the ranges of all numbers, and returns the config.

    Args:
      config: changed in place.
      given: dotted names of fields and their values; the last one of a field wins.
      as_text: the values are text of the command line, instead of Python values.

    Raises:
      ValueError: there is no such field, or a value does not fit.
    """
    if any(field.startswith("model.") for field, _ in given):
        _fill_model(config, [value for field, value in given if field == "model.name"])
    for note in changes.apply(config, given, as_text=as_text):
        print(f"jaxseg: {note}", file=sys.stderr)
    with config.unlocked():
        resolution.expand_paths(config)
    ranges.check(config)
    config.lock()
    return config


def _fill_model(config: ml_collections.ConfigDict, names: list[str]) -> None:
    """Adds the fields of the model that the page leaves out, so that they can be set.

    Args:
      config: changed in place.
      names: models that the changes name; the last one wins.
    """
    process.prepare()  # before jax is imported
    from jaxseg.models import fields

    fields.fill(config, names[-1] if names else None)


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yields dotted names and values of nested mappings."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
