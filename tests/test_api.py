"""The Python API at the top: light to import, and functions that stay functions."""

import subprocess
import sys

import pytest

import jaxseg


def test_importing_jaxseg_imports_nothing_heavy(root):
    code = "import sys, jaxseg; print([m for m in ('jax', 'flax', 'numpy', 'ml_collections') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert jaxseg.__version__.count(".") == 2


def test_train_and_evaluate_are_functions_before_and_after_their_modules_are_imported(root):
    code = (
        "import jaxseg\nfirst = jaxseg.train\nimport jaxseg.train, jaxseg.evaluate\n"
        "from jaxseg.train import Interrupted\nassert callable(first) and callable(jaxseg.train)\n"
        "for call in (lambda: first('nix', 'w'), lambda: jaxseg.train('nix', 'w'), lambda: jaxseg.evaluate('/nix')):\n"
        "    try: call()\n"
        "    except ValueError as error: print(str(error)[:25])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["config nix does not exist"] * 2 + ["/nix is not the folder of"], done.stderr


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_a_module_that_is_no_command_says_so(root, name):
    """``python -m jaxseg.train`` would end with status 0 and do nothing."""
    done = subprocess.run([sys.executable, "-m", f"jaxseg.{name}", "x"], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"jaxseg: this module is no command; run python -m jaxseg {name}\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"step": 3}}, "Did you mean train.steps"),
        ({"model": {"dropuot": 0.1}}, "Did you mean model.dropout"),
        ({"train": {"steps": 0}}, "train.steps is 0; expected at least 1"),
        ({"seed": "x"}, "seed is 'x'; expected int"),
    ],
)
def test_changes_are_checked(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        jaxseg.train("unet_shapes", tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_is_trained_scored_and_loaded(tmp_path):
    data = {"dir": str(tmp_path / "data"), "select": {"first": 8}, "image_size": 32}
    small = {"features": 2, "depth": 1}
    train = {"steps": 2, "batch_size": 8}
    scores = jaxseg.train("unet_shapes", tmp_path / "run", data=data, model=small, train=train)
    assert jaxseg.evaluate(tmp_path / "run") == scores
    assert jaxseg.load(tmp_path / "run").class_names == ("background", "disc", "square", "triangle")
