"""Six folders with masks as people have them: read in full, and each trained by one command."""

import os
import subprocess
import sys

import numpy as np
import own_folders
import pytest
from xla_flags import XLA_FLAGS

from jaxseg.data.images import read_image
from jaxseg.data.sources import open_source


@pytest.fixture(params=own_folders.FOLDERS, ids=lambda write: write.__name__)
def written(request, shared_data, files):
    """The name of the folder's kind, and its label maps by name."""
    return request.param.__name__, dict(request.param(shared_data, files))


CLASSES = {
    "colors": ("ground", "pet", "edge"),
    # Colors by themselves are in the order of red, green and blue.
    "palettes": ("color 10 20 30", "color 230 120 50", "color 250 240 200"),
}
SAID = {
    "phone_photographs": "3 photographs are turned by EXIF and their masks fit both ways",
    "jpeg_masks": "gray values between black and white in",
    "microscope": "12 images use less than a tenth of their value range",
    "palettes": "4 of 12 images have no mask and are left out",
}


def test_a_folder_is_read(written, data):
    kind, labels = written
    data.name = "folder"
    source = open_source(data, "all")
    assert source.class_names == CLASSES.get(kind, ("background", "foreground"))
    records = {record.name: record for record in source.records}
    assert set(records) == set(labels)
    for name, label in labels.items():
        # JPEG moves a few edges; everything else is exact.
        wrong = np.mean(records[name].label != label)
        assert wrong <= (0.01 if kind == "jpeg_masks" else 0), name
        assert records[name].image.shape == (*label.shape, 3)
    assert len(open_source(data, "train").records) + len(open_source(data, "val").records) == len(labels)
    said = [str(notice) for notice in source.findings.notices if notice.is_problem]
    assert not said if kind not in SAID else any(SAID[kind] in one for one in said)


def test_the_microscope_is_not_black_with_its_value_range(shared_data, data, files):
    dict(own_folders.microscope(shared_data, files))
    data.update(name="folder", value_range="0,4095")
    source = open_source(data, "all")
    assert max(record.image.max() for record in source.records) > 200
    assert not any("value range" in str(notice) for notice in source.findings.notices)
    # 4 x 4 gray levels of 8 bits are one of 12 bits: the image is the one from which the files were made.
    assert np.array_equal(source.records[0].image, read_image(source.files[0], source.records.options))


@pytest.mark.slow
def test_a_folder_trains_in_one_command(written, files, tmp_path, root):
    command = [sys.executable, "-m", "jaxseg", "train", "unet_folder", "--workdir", str(tmp_path / "run")]
    fields = {
        "data.source_dir": files,
        "data.dir": tmp_path / "data",
        "data.image_size": "32,32",
        "data.workers": 0,
        "model.features": 4,
        "model.depth": 2,
        "train.batch_size": 8,
        "train.steps": 3,
        "optimizer.warmup_steps": 0,
    }
    done = subprocess.run(
        command + [f"--config.{field}={value}" for field, value in fields.items()],
        capture_output=True,
        text=True,
        cwd=root,
        env=os.environ | {"XLA_FLAGS": XLA_FLAGS},  # one device is enough
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "train: " in done.stdout + done.stderr
    assert (tmp_path / "run/data.json").exists()
