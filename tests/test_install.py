"""What ``pip install .`` installs: the package, its pages as jaxseg.configs, and the command."""

import os
import shutil
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def installed(root, tmp_path_factory):
    """A folder with jaxseg as pip installs it, without its dependencies."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    for name in ("jaxseg", "configs"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def call(installed, *arguments):
    """Runs Python in the root folder with the installed package; what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, *arguments], cwd="/", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_pages_and_types_are_installed(installed, root):
    pages = {path.name for path in (root / "configs").glob("*.py")}
    assert {path.name for path in (installed / "jaxseg" / "configs").glob("*.py")} == pages
    assert (installed / "jaxseg" / "py.typed").is_file()
    assert not (installed / "configs").exists()
    modules = {path.relative_to(root) for path in (root / "jaxseg").rglob("*.py")}
    assert all((installed / module).is_file() for module in modules)


@pytest.mark.slow
def test_the_command_works_from_any_folder(installed):
    assert "unet_shapes" in call(installed, "-m", "jaxseg", "configs")
    assert (installed / "bin" / "jaxseg").is_file()
    where = call(
        installed, "-c", "import jaxseg, jaxseg.configs.unet_pets as page; print(jaxseg.__file__, page.__file__)"
    )
    assert where.count(str(installed)) == 2
