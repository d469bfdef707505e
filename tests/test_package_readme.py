"""The programs of jaxseg/README.md run as they are printed."""

import os
import re
import subprocess
import sys

import pytest


def blocks(root, section, language):
    """The code blocks of a language in a section of the page."""
    text = (root / "jaxseg" / "README.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run(root, folder, program):
    """Runs a program in an empty folder and returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(root), "XLA_FLAGS": ""}
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_an_own_training_loop_learns(root, tmp_path):
    (program,) = blocks(root, "Your own training loop", "python")
    lines = run(root, tmp_path, program).splitlines()
    steps, losses = zip(*(line.split() for line in lines), strict=True)
    assert steps == ("0", "10", "20", "30", "40")
    assert float(losses[-1]) < 0.7 * float(losses[0])


@pytest.mark.slow
def test_parts_of_a_detector_print_what_the_page_says(root, tmp_path):
    (program,), (printed,) = (blocks(root, "Parts of a detector", language) for language in ("python", "text"))
    assert run(root, tmp_path, program) == printed


def test_an_own_loop_is_short(root):
    (program,) = blocks(root, "Your own training loop", "python")
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) <= 35
    assert sum("jaxseg" in line for line in lines if line.startswith(("import", "from"))) <= 4


def test_every_module_is_in_the_table(root):
    (table,) = blocks_of_rows(root)
    modules = {path.name for path in (root / "jaxseg").iterdir() if (path / "__init__.py").is_file()}
    assert {name for name in modules if f"`{name}`" not in table} == set()


def blocks_of_rows(root):
    """The tables of the section on modules."""
    text = (root / "jaxseg" / "README.md").read_text().split("\n## Modules\n")[1].split("\n## ")[0]
    return re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
