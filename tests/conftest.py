"""Strict switches for all tests: eight CPU devices, no silent broadcasting between ranks, no accelerator."""

import contextlib
import functools
import inspect
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from xla_flags import XLA_FLAGS

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8 {XLA_FLAGS}"
# What one test has compiled serves the others, those in processes of their own among them.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # workers have the folder of the process that starts them
    COMPILED = tempfile.TemporaryDirectory(prefix="jaxseg-compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

COMPARES_WITH_TORCH = re.compile(r"""importorskip\("torch|(import|from) (torch\b|torch_|torchvision|detector_oracle)""")

ROOT = pathlib.Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of modules that compare with PyTorch as live: they are run again where it is installed."""
    for item in items:
        if COMPARES_WITH_TORCH.search(inspect.getsource(item.module)):
            item.add_marker("live")


def seed_torch() -> None:
    """Makes PyTorch draw the same kernels in every run. With unlucky ones, rounding decides at a ReLU."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def _same_networks_of_a_module() -> None:
    seed_torch()


@pytest.fixture(autouse=True)
def _same_networks_of_a_test() -> None:
    seed_torch()


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    """The project's root."""
    return ROOT


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> tuple[pathlib.Path, dict]:
    """The workdir of an undisturbed run of the tiny config, and its scores; not to be written to."""
    from experiments import tiny_config

    from jaxseg.train import train

    folder = tmp_path_factory.mktemp("trained")
    return folder, train(tiny_config(), folder)


@pytest.fixture(scope="session")
def served_bucket() -> Iterator[Callable[[str], Any]]:
    """A function that serves one bucket of a kind for all tests: epath keeps its first connection to each kind."""
    from storage.buckets import serve_bucket

    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda kind: stack.enter_context(serve_bucket(kind)))


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """Real images in real layouts, which lie beside the project; the tests that need them skip without them."""
    folder = pathlib.Path(os.environ.get("JAXSEG_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real images are not at {folder}; set JAXSEG_SHARED_DATA to their folder")
    return folder
