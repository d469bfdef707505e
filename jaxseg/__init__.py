"""Image segmentation as pure functions in JAX: FCN, U-Net and Mask R-CNN."""

import importlib.util
import pathlib
import sys

__version__ = "0.1.0"


def _add_pages_of_checkout() -> None:
    """Makes the pages importable as ``jaxseg.configs`` in a checkout, where their folder is next to the package.

    An installed jaxseg has them in the package.
    """
    here = pathlib.Path(__file__).resolve().parent
    pages = here.parent / "configs"
    if (here / "configs").is_dir() or not (pages / "__init__.py").is_file():
        return
    spec = importlib.util.spec_from_file_location(
        "jaxseg.configs", pages / "__init__.py", submodule_search_locations=[str(pages)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["jaxseg.configs"] = module
    spec.loader.exec_module(module)


_add_pages_of_checkout()
