"""The front door: commands by name, one line per error, exit statuses, and help at once."""

import errno
import importlib
import pathlib
import signal
import subprocess
import sys

import pytest

from jaxseg import commands
from jaxseg.commands import errors
from jaxseg.commands.process import show_warning
from jaxseg.commands.train import next_commands


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_help_imports_nothing_heavy_and_starts_with_three_commands(root, name):
    code = (
        "import sys\nfrom jaxseg.commands import run\n"
        f"status = run(['{name}', '--help'])\n"
        "print(status, [name for name in ('jax', 'flax', 'grain', 'cv2', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    assert lines[-1] == "0 []", done.stderr
    assert sum(line.startswith("jaxseg ") for line in lines[:6]) == 3
    assert "--traceback" in done.stdout


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_flag_says_its_default_or_is_a_switch(name, capsys):
    assert commands.run([name, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "None" not in said.replace("None derives", "").replace("None keeps", "")


def test_the_overview_names_every_command(capsys):
    assert commands.run(["--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("jaxseg train unet_shapes\n")
    assert all(f"  {name}" in said for name in commands.COMMANDS)
    assert commands.run([]) == 2


def test_a_misspelt_command_is_named(capsys):
    assert commands.run(["trian"]) == 2
    assert capsys.readouterr().err == "jaxseg: there is no command 'trian'. Did you mean train?\n"


def test_main_predict_and_benchmark_can_be_imported_together():
    for name in ("main", "predict", "benchmark"):
        importlib.import_module(f"jaxseg.{name}")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ValueError("train.steps is 0;\n expected more"), 2, "train.steps is 0; expected more"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x.json"), 2, "[Errno 2] No such file: 'x.json'"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "Make room on this disk"),
        (KeyboardInterrupt(), 128 + signal.SIGINT, "stopped by Ctrl-C"),
        (TypeError("a bug"), 1, "internal error: TypeError: a bug. Run the command again with --traceback"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_one_line_and_a_status(error, status, said, monkeypatch, capsys):
    def fail(arguments):
        raise error

    monkeypatch.setattr("jaxseg.commands.train.main", fail)
    assert commands.run(["train"]) == status
    out = capsys.readouterr()
    assert out.out == ""
    assert said in out.err
    assert out.err.count("\n") == 1
    assert commands.run(["train", "--traceback"]) == status
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_message_has_one_line(capsys):
    assert errors.complain("one\n  two") == 2
    assert capsys.readouterr().err == "jaxseg: one two\n"


def test_the_next_commands_are_quoted():
    lines = next_commands(["my configs/mine.py"], pathlib.Path("runs/a b"))
    assert lines[0] == "Next:"
    assert lines[1] == "  jaxseg predict --workdir 'runs/a b' --input photo.jpg"
    assert lines[3].startswith("  jaxseg train 'my configs/mine.py' --workdir 'runs/a b'  #")


def test_the_next_command_that_resumes_has_all_flags():
    """Without the folder of the data, a config such as unet_folder would be refused."""
    given = ["unet_folder", "--config.data.source_dir=my photos", "--workdir=runs/b"]
    lines = next_commands(given, pathlib.Path("runs/b"))
    assert lines[3].startswith("  jaxseg train unet_folder '--config.data.source_dir=my photos' --workdir=runs/b  #")


def test_a_warning_for_users_has_no_source_line(capsys):
    show_warning(UserWarning("two objects are\nleft out"), UserWarning, "file.py", 3)
    assert capsys.readouterr().err == "jaxseg: warning: two objects are left out\n"
    show_warning(DeprecationWarning("old"), DeprecationWarning, "file.py", 3)
    assert "file.py:3: DeprecationWarning: old" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("predict --workdir runs/a --class_names names.txt --input a.jpg", "--class_names is given without --weights"),
        ("predict --model a.jaxseg --checkpoint best --input a.jpg", "--checkpoint is given without --workdir"),
        (
            "predict --model a.jaxseg --config.data.resize=none --input a.jpg",
            "an exported file keeps the config of its",
        ),
        ("serve --model a.jaxseg --config.data.resize=none", "an exported file keeps the config of its run"),
        ("train unet_shapes --seeds 2 --profile_steps 1,2", "--profile_steps is given with --seeds or --folds"),
    ],
)
def test_flags_that_would_change_nothing_are_refused(arguments, said, capsys):
    assert commands.run(arguments.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
