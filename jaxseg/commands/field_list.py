"""Lists the fields of a config for ``jaxseg COMMAND CONFIG --help``: flag, value and description of each."""

import textwrap

import ml_collections

from jaxseg.config.changes import field_names, get_value
from jaxseg.config.descriptions import descriptions

WIDTH = 100


def list_fields(config: ml_collections.ConfigDict) -> str:
    """Returns a text with all fields of a config."""
    from jaxseg.models import fields

    config = config.copy_and_resolve_references()
    fields.fill(config)
    known = descriptions(config.task) | {
        f"model.{name}": text for name, text in fields.descriptions(config.model.name).items()
    }
    lines = ["Fields of the config, with their values:"]
    for name in field_names(config):
        lines.append(f"  --config.{name}={_as_typed(get_value(config, name))}")
        if name in known:
            text = known[name][:1].upper() + known[name][1:]
            lines += textwrap.wrap(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def _as_typed(value: object) -> str:
    """Returns a value as one would type it on a command line."""
    if isinstance(value, tuple):
        text = ",".join(map(str, value))
        return f'"{text}"' if any(mark in text for mark in " ()'") else text
    return str(value)
