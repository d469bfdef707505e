"""Changes fields of a config: from text of the command line, or from Python values."""

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ml_collections

from jaxseg.config.renamed import RENAMED

WORDS = {"train.accumulate": "auto"}  # Words that a field accepts in place of a whole number.
BOOLEANS = {"true": True, "t": True, "1": True, "yes": True, "false": False, "f": False, "0": False, "no": False}


def apply(config: ml_collections.ConfigDict, given: Iterable[tuple[str, Any]], *, as_text: bool) -> list[str]:
    """Sets fields in order; the last value of a field wins.

    Args:
      config: changed in place.
      given: dotted names of fields, and their values.
      as_text: the values are text of the command line, instead of Python values.

    Returns:
      A sentence about each change that follows from others.

    Raises:
      ValueError: there is no such field, or a value does not fit.
    """
    given = list(given)
    for field, value in given:
        (set_text if as_text else set_value)(config, field, value)
    length = [field for field, _ in given if field in ("train.steps", "train.epochs")]
    if length and length[-1] == "train.epochs" and config.train.steps is not None:
        replaced, config.train.steps = config.train.steps, None
        return [f"train.epochs={config.train.epochs:g} replaces train.steps={replaced} of the config"]
    return []


def set_text(config: ml_collections.ConfigDict, field: str, text: str) -> None:
    """Sets a field from text, such as "0.1" for ``"optimizer.learning_rate"``.

    Raises:
      ValueError: there is no such field, or the text does not fit it.
    """
    section, name = find_field(config, field)
    kind = section.get_type(name)
    if field in WORDS:
        set_value(config, field, text if text == WORDS[field] else parse(field, text, int))
        return
    section[name] = parse(field, text, tuple if kind is object else kind)


def set_value(config: ml_collections.ConfigDict, field: str, value: Any) -> None:
    """Sets a field from a Python value. A mapping changes the fields of a section; one number may be a size.

    Raises:
      ValueError: there is no such field, or the value does not fit it.
    """
    if isinstance(value, Mapping):
        for name, part in value.items():
            set_value(config, f"{field}.{name}", part)
        return
    section, name = find_field(config, field)
    if field in WORDS and value == WORDS[field]:
        with section.ignore_type():
            section[name] = value
        return
    if section.get_type(name) is tuple and type(value) in (int, float):
        value = (value,)
    try:
        section[name] = tuple(value) if isinstance(value, list) else value
    except TypeError:
        kind = getattr(section.get_type(name), "__name__", "a number or a word")
        raise ValueError(f"{field} is {value!r}; expected {kind}.") from None


def find_field(config: ml_collections.ConfigDict, field: str) -> tuple[ml_collections.ConfigDict, str]:
    """Returns the section that a field is in, and the field's name in it.

    Raises:
      ValueError: there is no such field. The message names the nearest.
    """
    *path, name = field.split(".")
    section = config
    for part in path:
        section = section.get(part) if isinstance(section, ml_collections.ConfigDict) else None
    if not isinstance(section, ml_collections.ConfigDict) or name not in section:
        if field in RENAMED:
            new = RENAMED[field]
            raise ValueError(f"the field {field} is called {new.field} now. Set, for example, --config.{new.example}.")
        raise ValueError(f"the config has no field {field}. {_nearest(config, field)}")
    if isinstance(section[name], ml_collections.ConfigDict):
        first = next(iter(section[name]), "FIELD")
        raise ValueError(f"{field} is a section of the config. Set one of its fields, such as {field}.{first}.")
    return section, name


def parse(field: str, text: str, kind: type) -> Any:
    """Returns the value that a text has as the value of a field.

    Raises:
      ValueError: the text is not of this kind.
    """
    try:
        if kind is bool:
            return BOOLEANS[text.lower()]
        if kind is tuple:
            return _tuple(text)
        if kind is type(None):
            return _literal(text)
        if kind is not str and text in ("None", "none"):
            return None
        return kind(text)
    except (KeyError, ValueError):
        expected = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, kind.__name__)
        raise ValueError(f"{field} is {text!r}; expected {expected}.") from None


def field_names(config: ml_collections.ConfigDict, prefix: str = "") -> Iterator[str]:
    """Yields the dotted names of all fields."""
    for name in config:
        if isinstance(config[name], ml_collections.ConfigDict):
            yield from field_names(config[name], f"{prefix}{name}.")
        else:
            yield prefix + name


def get_value(config: ml_collections.ConfigDict, field: str) -> Any:
    """Returns the value of a field, by its dotted name."""
    value: Any = config
    for part in field.split("."):
        value = value[part]
    return value


def _tuple(text: str) -> tuple:
    """Returns the tuple that a text such as "64,64" or "(64, 64)" stands for; one number is a tuple of one."""
    if not text.strip():
        return ()
    value = _literal(text)
    if isinstance(value, str):
        value = tuple(part.strip() for part in value.split(","))
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _literal(text: str) -> Any:
    """Returns the Python value of a text, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _nearest(config: ml_collections.ConfigDict, field: str) -> str:
    """Returns a hint that names the field that was probably meant, or the fields of its section."""
    names = list(field_names(config))
    section, _, last = field.rpartition(".")
    same_section = [name for name in names if name.rpartition(".")[0] == section]
    siblings = [name.rpartition(".")[2] for name in same_section]
    near = (
        [f"{section}.{name}" for name in difflib.get_close_matches(last, siblings, n=1)]
        or [name for name in names if name.rpartition(".")[2] == last]
        or (not same_section and difflib.get_close_matches(field, names, n=1, cutoff=0.8))
    )
    if near:
        return f"Did you mean {near[0]}?"
    return (
        f"Fields of {section}: {', '.join(same_section)}."
        if section and same_section
        else f"Sections: {', '.join(config)}."
    )
