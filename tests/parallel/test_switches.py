"""Process-wide switches: each is set, and setting them twice changes nothing."""

import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from jaxseg.parallel import switches


@pytest.fixture
def set_switches(monkeypatch):
    """The function, with all that it changes undone afterwards."""
    for name in ("XLA_FLAGS", "JAX_ENABLE_PREEMPTION_SERVICE"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(sys, "warnoptions", list(sys.warnoptions))
    monkeypatch.setattr(switches.cpu_memory, "limit_heaps", lambda: None)
    logger, before = logging.getLogger("absl"), logging.getLogger("absl").level
    yield switches.set_switches
    logger.removeFilter(switches._is_not_of_orbax)
    logger.setLevel(before)


def test_deterministic_operations_are_asked_for_once(set_switches):
    set_switches(deterministic=True)
    set_switches(deterministic=True)
    assert os.environ["XLA_FLAGS"].count("--xla_gpu_deterministic_ops=true") == 1
    assert os.environ["JAX_ENABLE_PREEMPTION_SERVICE"] == "false"


def test_only_errors_of_closed_event_loops_are_hidden(set_switches, monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    set_switches()
    set_switches()
    hidden, shown = (SimpleNamespace(exc_value=RuntimeError(text)) for text in ("Event loop is closed", "other"))
    sys.unraisablehook(hidden)
    sys.unraisablehook(shown)
    assert seen == [shown]


def test_orbax_logs_nothing_and_others_do(set_switches):
    set_switches()
    records = [
        logging.LogRecord("absl", logging.ERROR, path, 1, "x", (), None)
        for path in ("site-packages/orbax/checkpoint/a.py", "site-packages/other/a.py")
    ]
    assert [bool(logging.getLogger("absl").filter(record)) for record in records] == [False, True]


LEAVES_MEMORY = """
import os
from multiprocessing import shared_memory
from jaxseg.parallel.switches import set_switches
set_switches()
memory = shared_memory.SharedMemory(create=True, size=8)
os._exit(1)
"""


def test_memory_that_a_killed_process_leaves_is_removed_without_a_word():
    ended = subprocess.run([sys.executable, "-c", LEAVES_MEMORY], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")
