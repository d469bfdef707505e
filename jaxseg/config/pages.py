"""Finds and loads the pages of ``configs/``, and pages of one's own."""

import difflib
import importlib
import importlib.util
import pathlib
import sys
import types

import ml_collections

NOT_PAGES = ("__init__", "base")


def page_names() -> list[str]:
    """Returns the names of the shipped pages, in alphabetical order."""
    return sorted(path.stem for path in _shipped().glob("*.py") if path.stem not in NOT_PAGES)


def load(name: str) -> ml_collections.ConfigDict:
    """Returns the config of a page.

    Args:
      name: a shipped page such as ``"unet_pets"``, or the path of a file that defines ``get_config()``.

    Raises:
      ValueError: there is no such page, or it does not define a config.
    """
    module = _import_page(name)
    if not callable(getattr(module, "get_config", None)):
        raise ValueError(f"config {name} has no function get_config(). Define one that returns a config.")
    config = module.get_config()
    if not isinstance(config, ml_collections.ConfigDict):
        raise ValueError(f"get_config() of {name} returns {type(config).__name__}; expected a ConfigDict")
    return config


def page_name(name: str) -> str:
    """Returns the short name of a page: "unet_pets" for ``"configs/unet_pets.py"``."""
    return pathlib.Path(name).stem


def similar_names(name: str) -> list[str]:
    """Returns the names of at most three shipped pages that a name is or was probably meant to be."""
    return difflib.get_close_matches(page_name(name), page_names(), n=3)


def description(name: str) -> str:
    """Returns the docstring of a page.

    Raises:
      ValueError: there is no such page.
    """
    return (_import_page(name).__doc__ or "").strip()


def _import_page(name: str) -> types.ModuleType:
    """Imports a page by its name or path."""
    path = pathlib.Path(name).expanduser()
    if name in page_names():
        return importlib.import_module(f"jaxseg.configs.{name}")
    if not path.is_file():
        raise ValueError(_not_found(name))
    if path.resolve().parent == _shipped().resolve():
        return importlib.import_module(f"jaxseg.configs.{path.stem}")
    return _run(path)


def _run(path: pathlib.Path) -> types.ModuleType:
    """Runs the file of a page, which may import shipped pages and files of its own folder."""
    if "configs" not in sys.modules and importlib.util.find_spec("configs") is None:
        sys.modules["configs"] = importlib.import_module("jaxseg.configs")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"config {path} is not a Python file. Give a config such as unet_pets, or a file NAME.py.")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.path.append(folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def _not_found(name: str) -> str:
    """Returns the error message for a page that does not exist, with the names that come near."""
    near = similar_names(name)
    remedy = f"Did you mean {' or '.join(near)}?" if near else f"Shipped configs: {', '.join(page_names())}."
    return f"config {name} does not exist; expected the name of a shipped config or the path of a file. {remedy}"


def _shipped() -> pathlib.Path:
    """Returns the folder of the shipped pages."""
    return pathlib.Path(importlib.import_module("jaxseg.configs").__path__[0])
