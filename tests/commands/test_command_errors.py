"""Errors of commands end in one line with a remedy."""

import errno
import os
import subprocess
import sys

import pytest

from jaxseg.commands import errors

FULL = (
    OSError(errno.ENOSPC, "No space left on device", "runs/a"),
    OSError("a checkpoint could not be written (No space left on device). Make room in runs/a."),
    ValueError("RESOURCE_EXHAUSTED: Failed to write to file 24: No space left on device [os_error_code=28]"),
    RuntimeError("Failed to write\n25049 bytes: No space left on device"),
)  # fmt: skip


@pytest.mark.parametrize("error", FULL, ids=range(len(FULL)))
def test_a_full_disk_asks_for_room_once_whatever_library_says_so(error, capsys):
    assert errors.report(error) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.lower().count("make room") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["configs"]], ids=" ".join)
def test_output_that_nobody_reads_ends_a_command_silently(root, arguments, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "jaxseg", *arguments]
    ended = subprocess.run(command, cwd=root, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")
