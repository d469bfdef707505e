"""Fields of ``config.model``: what can be set of each model, with defaults and descriptions from its class."""

import dataclasses
import difflib
import re
from collections import ChainMap
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import ml_collections

from jaxseg.models.table import INSTANCES, SEMANTIC

MODELS: Mapping[str, type[nn.Module]] = ChainMap(SEMANTIC, INSTANCES)
# Fields that follow from the data, from other fields of the config or from the devices.
SET_ELSEWHERE = ("classes", "train", "remat", "dtype", "axis_name", "cpu_kernels", "parent", "name")


def default_fields(name: str) -> dict[str, Any]:
    """Returns the fields that can be set of a model, with their defaults; sections are dictionaries.

    Args:
      name: a key of ``MODELS``.
    """
    fields = {}
    for field in dataclasses.fields(MODELS[name]):
        if field.name not in SET_ELSEWHERE:
            is_section = hasattr(field.default, "_asdict")
            fields[field.name] = field.default._asdict() if is_section else field.default
    return fields


def all_fields(model: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a model section with the fields that it leaves out.

    Args:
      model: ``config.model`` as dictionaries: the name, and the fields that differ from the defaults.

    Raises:
      ValueError: an unknown model or field.
    """
    name = model["name"]
    if name not in MODELS:
        raise ValueError(f"model.name is {name!r}; known are {', '.join(sorted(MODELS))}")
    given = {field: value for field, value in model.items() if field != "name"}
    return {"name": name} | _merge(default_fields(name), given, "model")


def fill(config: ml_collections.ConfigDict, name: str | None = None) -> None:
    """Adds the fields that ``config.model`` leaves out, so that each can be set.

    Args:
      config: changed in place.
      name: another model, which starts from its own defaults. None keeps the model.

    Raises:
      ValueError: an unknown model or field.
    """
    model = config.model.to_dict() if name in (None, config.model.name) else {"name": name}
    with config.unlocked():
        config.model = all_fields(model)


def descriptions(name: str) -> dict[str, str]:
    """Returns what the docstrings of a model and of its sections say of each field, by dotted name."""
    model = MODELS[name]
    found = _attributes(model.__doc__)
    for field in dataclasses.fields(model):
        if hasattr(field.default, "_asdict"):
            inner = _attributes(type(field.default).__doc__)
            found |= {f"{field.name}.{part}": text for part, text in inner.items()}
    return found


def _merge(defaults: dict[str, Any], given: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Returns the defaults with the given fields in their place."""
    merged = dict(defaults)
    for field, value in given.items():
        if field not in defaults:
            near = difflib.get_close_matches(field, defaults, n=1)
            hint = f"Did you mean {prefix}.{near[0]}?" if near else f"Its fields are {', '.join(defaults)}."
            raise ValueError(f"the model has no field {prefix}.{field}. {hint}")
        is_section = isinstance(defaults[field], Mapping) and isinstance(value, Mapping)
        merged[field] = _merge(defaults[field], value, f"{prefix}.{field}") if is_section else value
    return merged


def _attributes(doc: str | None) -> dict[str, str]:
    """Returns the section "Attributes" of a docstring, by name."""
    section = re.search(r"\n( *)Attributes:\n(.*?)(?=\n\s*\n|\Z)", doc or "", re.DOTALL)
    if not section:
        return {}
    entries = re.findall(
        rf"^{section[1]}  (\w+): (.*?)(?=^{section[1]}  \w+: |\Z)", section[2], re.DOTALL | re.MULTILINE
    )
    return {name: " ".join(text.split()) for name, text in entries}
