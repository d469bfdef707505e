"""Errors of devices and workers become one line."""

import jax
import pytest

from jaxseg.run.errors import explain

OUT_OF_MEMORY = (
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 21474836480 bytes.\n"
    "BufferAssignment OOM Debugging.\nBufferAssignment stats:\n  parameter allocation: 1.00GiB"
)


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        (OUT_OF_MEMORY, "asked for 21474836480 bytes"),
        ("RESOURCE_EXHAUSTED: Failed to allocate 3.5GiB", ""),
        ("RESOURCE_EXHAUSTED", ""),
    ],
)
def test_a_device_without_memory_is_one_line_with_remedies(message, asked):
    line, status = explain(jax.errors.JaxRuntimeError(message))
    assert status == 2
    assert "\n" not in line
    assert "a device is out of memory" in line
    assert asked in line
    for remedy in ("train.batch_size", "train.accumulate", "remat", "precision", "Another process"):
        assert remedy in line


def test_a_dead_worker_is_one_line():
    line, status = explain(RuntimeError("Grain worker process 0 was\nterminated unexpectedly with exit code -9"))
    assert (line, status) == ("Grain worker process 0 was terminated unexpectedly with exit code -9", 1)


@pytest.mark.parametrize(
    "error", [KeyError("x"), RuntimeError("x"), jax.errors.JaxRuntimeError("INTERNAL: x")], ids=repr
)
def test_errors_of_the_code_itself_are_not_explained(error):
    assert explain(error) is None
