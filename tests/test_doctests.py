"""The examples in docstrings give the results that they show."""

import ast
import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import jaxseg

# Imports PyTorch, which takes seconds.
SLOW_TO_IMPORT = ("jaxseg.benchmarks.against_torch",)
# Their examples compile for seconds.
DETECTOR_PARTS = ("rpn", "roi_heads", "postprocessing", "targets")
# Parts of other operations, which nobody calls alone.
INTERNAL = ("bins", "convolution", "convolution_gradients", "winograd", "coco_evaluation")


def modules_with_examples():
    """Yields the name of each module that has an example."""
    names = [jaxseg.__name__, *(module.name for module in pkgutil.walk_packages(jaxseg.__path__, "jaxseg."))]
    for name in names:
        if name.endswith("__main__") or name in SLOW_TO_IMPORT:
            continue
        is_slow = name in [f"jaxseg.models.mask_rcnn.{part}" for part in DETECTOR_PARTS]
        path = Path(importlib.util.find_spec(name).origin)
        if ">>> " in path.read_text():
            yield pytest.param(name, marks=pytest.mark.slow) if is_slow else name


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_examples_are_right(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted
    assert result.failed == 0


@pytest.mark.parametrize(
    "files", ["ops/*.py", "losses/*.py", "metrics/*.py", *(f"models/mask_rcnn/{name}.py" for name in DETECTOR_PARTS)]
)
def test_public_functions_have_examples(root, files):
    without = []
    for path in sorted((root / "jaxseg").glob(files)):
        for node in ast.parse(path.read_text()).body:
            is_public = isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
            if is_public and path.stem not in INTERNAL and ">>> " not in (ast.get_docstring(node) or ""):
                without.append(f"{path.name}: {node.name}")
    assert not without
