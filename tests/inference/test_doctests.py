"""The examples in docstrings of predictions and weights give what they show."""

import doctest
import importlib
import pkgutil

import pytest

import jaxseg.inference
import jaxseg.weights

MODULES = [
    module.name
    for package in (jaxseg.inference, jaxseg.weights)
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + ".")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_right(name):
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) >= 10
