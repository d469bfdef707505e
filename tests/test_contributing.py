"""Each example of .github/CONTRIBUTING.md is applied to a copy of the package and run."""

import re
import shutil
import subprocess
import sys

import pytest

START = """
import pathlib, sys
import numpy as np
from experiments import tiny_config
from jaxseg.train import train
config = tiny_config()
config.train.steps = 1
config.train.evaluate_every = 0
"""
RUN = """
scores = train(config, pathlib.Path("run"))["val"]
"""
EXAMPLES = {
    "model": START
    + "config.model = {'name': 'segnet', 'features': 4, 'depth': 2}"
    + RUN
    + "assert scores['mean_iou'] >= 0",
    "data set": START
    + """
for split in ("train", "val"):
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    np.savez(f"{split}.npz", images=images, labels=(images[..., 0] > 127).astype(np.uint8))
config.data.name, config.data.source_dir = "arrays", "."
"""
    + RUN
    + "assert len(scores['iou']) == 2",
    "loss": START + "config.loss.cross_entropy, config.loss.tversky = 0.0, 1.0" + RUN + "assert 0 < scores['loss'] < 1",
    "augmentation": """
import numpy as np
from experiments import tiny_config
from jaxseg.data.augment import read_pipeline
from jaxseg.types import Example
config = tiny_config()
config.data.augment.gray = 1.0
red = Example(np.full((64, 64, 3), (100, 0, 0), np.uint8), np.zeros((64, 64), np.uint8))
gray = read_pipeline(config.data, "semantic").augment(np.random.default_rng(0), red)
assert (gray.image == 30).all() and not gray.label.any()
""",
    "metric": """
import numpy as np
from jaxseg.metrics import semantic
scores = semantic.result(np.array([[3, 1], [0, 4]]))
assert abs(scores["mean_dice"] - (6 / 7 + 8 / 9) / 2) < 1e-9, scores
assert "mean_dice" in semantic.SCORES
""",
}


def example_of(root, title):
    """Returns the diff of a section of the page."""
    page = (root / ".github" / "CONTRIBUTING.md").read_text()
    section = re.split(r"^## ", page, flags=re.MULTILINE)
    (text,) = [part for part in section if re.match(rf"Add an? {title}\n", part)]
    return re.search(r"```diff\n(.*?)```", text, re.DOTALL)[1]


@pytest.mark.slow
@pytest.mark.parametrize("title", EXAMPLES)
def test_each_example_can_be_applied_and_runs(root, tmp_path, title):
    copy = tmp_path / "copy"
    for folder in ("jaxseg", "configs", "tests"):
        shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    if not shutil.which("patch"):
        pytest.skip("the examples are applied by the program patch, which is not installed")
    subprocess.run(
        ["patch", "--strip=1", "--silent", "--fuzz=0"], cwd=copy, input=example_of(root, title), text=True, check=True
    )
    script = copy / "example.py"
    script.write_text(EXAMPLES[title])
    path = f"{copy}:{copy / 'tests'}"
    done = subprocess.run(
        [sys.executable, script],
        cwd=copy,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": path, "JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
