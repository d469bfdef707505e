"""Photographs of every kind in, masks, overlays and numbers of their own size out."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from PIL import Image

from jaxseg import predict
from jaxseg.data.images import read_image
from jaxseg.inference.predict_files import output_names


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of image files of many modes and sizes, one of them broken."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)

    def noise(*shape):
        return Image.fromarray(rng.integers(0, 256, shape, np.uint8))

    noise(40, 70, 3).save(folder / "color.jpg")
    noise(33, 21).save(folder / "gray.png")
    noise(50, 50, 4).save(folder / "alpha.png")
    noise(30, 45, 3).quantize(16).save(folder / "palette.gif")
    Image.fromarray(rng.integers(0, 65536, (20, 30)).astype(np.uint16)).save(folder / "deep.png")
    turned = noise(24, 60, 3)
    turned.getexif()[0x0112] = 6  # to be turned by a quarter
    turned.save(folder / "turned.jpg", exif=turned.getexif())
    (folder / "color.png").write_bytes(b"not an image")
    return folder


def test_each_image_gets_its_mask_overlay_and_areas_and_a_broken_one_is_reported(trained, photos, tmp_path, capsys):
    assert predict.predict(partial(predict.of_run, trained[0], "latest"), [str(photos)], tmp_path) == 1
    assert "color.png cannot be read" in capsys.readouterr().err
    results = json.loads((tmp_path / "predictions.json").read_text())
    sizes = {result["file_name"].split("/")[-1]: (result["height"], result["width"]) for result in results}
    assert sizes == {
        "alpha.png": (50, 50), "color.jpg": (40, 70), "deep.png": (20, 30),
        "gray.png": (33, 21), "palette.gif": (30, 45), "turned.jpg": (60, 24),
    }  # fmt: skip
    for result in results:
        stem = result["file_name"].split("/")[-1].split(".")[0]
        assert result["mask_file"] == f"{stem}_mask.png"
        with Image.open(tmp_path / result["mask_file"]) as mask:
            assert mask.mode == "P"
            label = np.asarray(mask)
        assert label.shape == (result["height"], result["width"])
        overlay = read_image(tmp_path / f"{stem}_overlay.png")
        assert overlay.shape[1:] == (label.shape[1], 3)
        assert overlay.shape[0] > label.shape[0], "a legend is below the photograph"
        for one in result["classes"]:
            assert one["area"] == (label == one["id"]).sum()
        assert sum(one["share"] for one in result["classes"]) == pytest.approx(1)
    assert [one["name"] for one in results[0]["classes"]] == ["background", "disc", "square", "triangle"]


def test_the_command_does_what_it_can_and_its_status_says_what_it_could_not(trained, photos, tmp_path, root):
    def status(*arguments):
        command = [sys.executable, "-m", "jaxseg.predict", "--workdir", str(trained[0]), "--output", str(tmp_path)]
        done = subprocess.run([*command, *map(str, arguments)], cwd=root, capture_output=True, text=True)
        return done.returncode, done.stderr

    assert status("--input", photos / "gray.png", photos / "alpha.png")[0] == 0
    assert len(json.loads((tmp_path / "predictions.json").read_text())) == 2
    code, said = status("--input", photos / "color.png", photos / "gray.png")
    assert code == 1
    assert "color.png cannot be read" in said
    code, said = status("--input", photos / "missing.png")
    assert code == 2
    assert said.strip() == f"jaxseg: --input {photos / 'missing.png'} does not exist"


def test_a_folder_that_is_no_run_is_refused(photos, tmp_path):
    with pytest.raises(ValueError, match=r"is not the folder of a run: config.json"):
        predict.predict(partial(predict.of_run, tmp_path, "latest"), [str(photos)], tmp_path)


def test_what_people_see_is_what_is_read(photos):
    def pixels(name):
        with Image.open(photos / name) as image:
            return np.asarray(image)

    np.testing.assert_array_equal(read_image(photos / "turned.jpg"), np.rot90(pixels("turned.jpg"), -1))
    deep = pixels("deep.png").astype(int)
    np.testing.assert_array_equal(read_image(photos / "deep.png")[..., 0], np.rint(deep / 257))
    alpha = pixels("alpha.png").astype(int)
    white = np.rint((alpha[..., :3] * alpha[..., 3:] + 255 * (255 - alpha[..., 3:])) / 255)
    assert np.abs(read_image(photos / "alpha.png") - white).max() <= 1


def test_results_of_files_of_one_name_do_not_overwrite_each_other(tmp_path):
    paths = [tmp_path / name for name in ("a/cat.jpg", "b/cat.png", "cat_2.jpg", "dog.png")]
    names = output_names(paths)
    assert len(set(names)) == 4
    assert names[0] == "cat"
