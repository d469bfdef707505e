"""Mask files hold the classes in the palette's colors, whole or not at all."""

import os

import numpy as np
import pytest
from PIL import Image

from jaxseg.inference import mask_files

PALETTE = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0]], np.uint8)
LABEL = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3


@pytest.mark.parametrize(("most", "name"), [(12, "mask.png"), (11, "mask.tif")])
def test_a_mask_file_holds_the_classes_and_shows_the_palette(tmp_path, monkeypatch, most, name):
    monkeypatch.setattr(mask_files, "MOST_PNG", most)
    assert mask_files.write_mask(tmp_path / "mask.png", LABEL, PALETTE) == tmp_path / name
    with Image.open(tmp_path / name) as mask:
        np.testing.assert_array_equal(np.asarray(mask), LABEL)
        np.testing.assert_array_equal(np.asarray(mask.convert("RGB")), PALETTE[LABEL])


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch):
    mask_files.write_mask(tmp_path / "mask.png", LABEL, PALETTE)
    before = (tmp_path / "mask.png").read_bytes()

    def write_half(self, path, *arguments, **options):
        path.write_bytes(before[: len(before) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", write_half)
    with pytest.raises(OSError, match="No space left"):
        mask_files.write_mask(tmp_path / "mask.png", 2 - LABEL, PALETTE)
    assert os.listdir(tmp_path) == ["mask.png"]
    assert (tmp_path / "mask.png").read_bytes() == before
