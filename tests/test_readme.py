"""The commands and the Python of README.md run as they are printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from xla_flags import XLA_FLAGS

from jaxseg.config import pages
from jaxseg.inference import pretrained
from jaxseg.models.table import INSTANCES, make_model
from jaxseg.weights.files import DOWNLOADS
from jaxseg.weights.pth_writing import write_pth
from jaxseg.weights.torchvision import to_state_dict


def blocks(root, section, language):
    """The code blocks of a language in a section of the README."""
    text = (root / "README.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder with a photograph."""
    folder = tmp_path_factory.mktemp("newcomer")
    save(folder / "photo.jpg", noise(0, (480, 640, 3)))
    return folder


@pytest.fixture(scope="module")
def run(root, folder):
    """Runs a program in that folder and returns what it printed."""

    def call(*arguments):
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment |= {"XLA_FLAGS": XLA_FLAGS, "PYTHONPATH": str(root), "HOME": str(folder)}
        done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def noise(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.mark.slow
def test_the_first_five_minutes(root, folder, run):
    """The training takes 60 steps instead of 1700, by a flag that is added to what is printed."""
    (commands,), (program,) = blocks(root, "Five minutes", "bash"), blocks(root, "Five minutes", "python")
    (printed,) = blocks(root, "Five minutes", "text")
    train, *others = commands.splitlines()
    assert train == "jaxseg train unet_shapes"
    run("bash", "-euc", "\n".join([f"{train} --config.train.steps=60", *others]))
    assert run(sys.executable, "-c", program) == printed
    for name in ("runs/unet_shapes/report.html", "shapes.jaxseg", "out/photo_mask.png", "out/photo_overlay.png"):
        assert (folder / name).is_file(), name


@pytest.mark.slow
def test_your_own_images(root, folder, run):
    """Trainings take two steps of narrow models, by flags that are added to what is printed."""
    few = " --config.train.steps=2"
    narrow = " --config.model.width=8 --config.model.channels=16 --config.model.hidden=32"
    added = {"unet_folder": few + " --config.model.features=4", "mask_rcnn_folder_small": few + narrow}
    for number in range(1, 9):
        mask = np.zeros((48, 64), np.uint16)
        for animal in range(number % 3 + 1):  # one number per animal, up to three
            mask[8:40, 4 + 20 * animal : 18 + 20 * animal] = animal + 1
        save(folder / f"FOLDER/masks/cat {number}.png", mask)
        image = np.where(mask[..., None] > 0, 200, noise(number, (48, 64, 3)) // 2).astype(np.uint8)
        save(folder / f"FOLDER/images/cat {number}.jpg", image)
    (commands,) = blocks(root, "Your own images", "bash")
    for command in commands.splitlines():
        run("bash", "-euc", command + added.get(command.split()[2], ""))
    for name in ("unet_folder/report.html", "mask_rcnn_folder_small/report.html"):
        assert (folder / "runs" / name).is_file(), name


@pytest.mark.slow
def test_weights_of_torchvision(root, folder, run):
    """A file of torchvision's names and shapes, with random numbers, lies where the download would be."""
    (command,) = blocks(root, "Models", "bash")
    name = re.search(r"--weights (\S+)", command)[1]
    shapes = pretrained.abstract_variables(make_model(INSTANCES, pages.load("mask_rcnn_coco"), 91))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: (rng.standard_normal(leaf.shape) / 100).astype(np.float32), shapes)
    cached = folder / ".cache/jaxseg" / DOWNLOADS[name]
    cached.parent.mkdir(parents=True)
    write_pth(cached, to_state_dict(variables, pretrained.MAPPINGS[1]))
    run("bash", "-euc", command)
    assert list(folder.glob("**/photo_overlay.png"))
