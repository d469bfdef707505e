"""Files and folders: what is listed, what is written when, and what survives a fault."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from jaxseg.commands.prediction import predict
from jaxseg.data.images import printable
from jaxseg.inference import SemanticResult
from jaxseg.inference.engine import Engine, Prepared
from jaxseg.inference.image_files import list_images
from jaxseg.inference.images import to_image
from jaxseg.inference.json_files import JsonList
from jaxseg.inference.predict_files import predict_files

NAMES = ("background", "bright")
PALETTE = np.array([[0, 0, 0], [255, 0, 0]], np.uint8)


class Thresholder:
    """A predictor without a network: pixels above 127 are of class 1."""

    class_names = NAMES
    notes = ()

    class trained:
        category_ids = (0, 1)

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def read(self, path):
        return to_image(path)

    def engine(self, **options):
        def compute(prepared):
            time.sleep(self.seconds)
            return [one.image[..., 0] // 128 for one in prepared]

        def finish(prepared, mask):
            return SemanticResult(prepared.image, mask, NAMES, PALETTE)

        return Engine(lambda image: Prepared(image, (), image.shape), compute, finish)


def write(path, value=200, size=(6, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)
    return path


def test_a_folder_is_listed_without_hidden_files_outputs_and_folders(tmp_path):
    for name in ("b.jpg", "a/deep.JPEG", "one.ppm", "two.jfif", "mask_of_mine_mask.png"):
        write(tmp_path / name.replace("jfif", "jpg").replace("JPEG", "jpg"))
    (tmp_path / "two.jpg").rename(tmp_path / "two.jfif")
    for name in (
        "._b.jpg",
        ".ipynb_checkpoints/b-checkpoint.jpg",
        "done/c_mask.png",
        "done/c_overlay.png",
        "done/c.png",
    ):
        write(tmp_path / name)
    (tmp_path / "done/predictions.json").write_text("[]")
    (tmp_path / "c.jpg").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "new.heic.x").write_text("x")
    listing = list_images([tmp_path])
    assert [str(path.relative_to(tmp_path)) for path in listing.paths] == [
        "a/deep.jpg", "b.jpg", "done/c.png", "mask_of_mine_mask.png", "one.ppm", "two.jfif",
    ]  # fmt: skip
    assert listing.skipped == {"hidden": 2, "earlier outputs": 3, ".txt": 1, ".x": 1}
    assert listing.note == "left out: 1 .txt, 1 .x, 3 earlier outputs, 2 hidden"
    assert list_images([tmp_path / "notes.txt"]).paths == [tmp_path / "notes.txt"]  # It is reported when it is read.
    with pytest.raises(ValueError, match="has no image in it"):
        list_images([tmp_path / "c.jpg"])


def test_predicting_a_folder_twice_does_not_predict_its_outputs(tmp_path):
    write(tmp_path / "a.png")
    for _ in range(2):
        summary = predict_files(Thresholder, [tmp_path], tmp_path)
        assert (summary.total, summary.done) == (1, 1)


def test_an_output_that_is_a_file_is_named(tmp_path):
    write(tmp_path / "a.png")
    (tmp_path / "out").write_text("notes")
    with pytest.raises(ValueError, match=r"--output is .*out, which is a file; expected a folder"):
        predict(Thresholder, [str(tmp_path / "a.png")], tmp_path / "out")
    assert (tmp_path / "out").read_text() == "notes"


def test_every_file_is_processed_or_reported(tmp_path):
    folder = tmp_path / "in"
    odd = Image.fromarray(np.full((4, 4, 3), 200, np.uint8))
    exif = odd.getexif()
    exif[0x011A] = "text where XResolution has a number"
    exif[0x0213] = 1.5
    write(folder / "good.png")
    try:
        odd.save(folder / "odd.jpg", exif=exif)
    except Exception:  # Some versions of Pillow refuse to write it.
        write(folder / "odd.jpg")
    (folder / "cut.jpg").write_bytes(write(tmp_path / "whole.jpg").read_bytes()[:300])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("not an image")
    os.replace(write(folder / "x.png"), os.fsencode(folder) + b"/caf\xe9.png")  # This name is not UTF-8.
    lines = []
    summary = predict_files(Thresholder, [folder], tmp_path / "out", say=lambda outcome: lines.append(outcome.value))
    assert (summary.total, summary.done, len(summary.failed)) == (6, 3, 3)
    for line, name in zip(summary.failed, ("cut.jpg", "empty.png", "text.jpg"), strict=True):
        assert name in line
        assert "\n" not in line
    entries = json.loads((tmp_path / "out/predictions.json").read_text())
    assert [entry["image_id"] for entry in entries] == [1, 4, 5]
    assert all((tmp_path / "out" / entry["mask_file"]).is_file() for entry in entries)
    assert printable(entries[0]["file_name"]).endswith("caf\\xe9.png")
    assert len(lines) == 6


def test_any_error_in_a_file_is_reported_with_its_name(tmp_path):
    class Fragile(Thresholder):
        def read(self, path):
            if path.name == "bad.png":
                raise TypeError("unexpected")
            return super().read(path)

    for name in ("a.png", "bad.png", "c.png"):
        write(tmp_path / name)
    summary = predict_files(Fragile, [tmp_path], tmp_path / "out")
    assert summary.done == 2
    assert summary.failed == [f"{tmp_path / 'bad.png'} cannot be segmented: TypeError: unexpected"]


def test_a_full_disk_ends_the_run_and_keeps_what_is_done(tmp_path, monkeypatch):
    for number in range(4):
        write(tmp_path / f"{number}.png")

    def save(self, folder, name, overlay):
        if name == "2":
            raise OSError(errno.ENOSPC, "No space left on device")
        return {}

    monkeypatch.setattr(SemanticResult, "save", save)
    with pytest.raises(OSError, match="No space left"):
        predict_files(Thresholder, [tmp_path], tmp_path / "out")
    assert len(json.loads((tmp_path / "out/predictions.json").read_text())) == 2


def test_a_json_list_is_valid_at_any_moment(tmp_path):
    path = tmp_path / "list.json"
    growing = JsonList(path)
    done = threading.Event()
    lengths = []

    def watch():
        while not done.is_set():
            lengths.append(len(json.loads(path.read_text())))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(300):
        growing.add([{"number": number}, {"text": "ä" * 50}])
    done.set()
    watcher.join()
    growing.write()
    assert lengths == sorted(lengths)
    assert len(json.loads(path.read_text())) == 600


def test_stopping_finishes_the_images_in_computation(tmp_path):
    for number in range(30):
        write(tmp_path / f"{number:02}.png")
    seen = []
    summary = predict_files(
        Thresholder,
        [tmp_path],
        tmp_path / "out",
        say=lambda outcome: seen.append(outcome),
        stopped=lambda: len(seen) > 2,
    )
    assert summary.interrupted
    assert 3 <= summary.done < 20
    assert len(json.loads((tmp_path / "out/predictions.json").read_text())) == summary.done


SLOW = """
import pathlib, sys
sys.path.insert(0, {tests!r})
from test_predict_files import Thresholder
from jaxseg.commands.prediction import predict
sys.exit(predict(lambda: Thresholder(0.05), [{folder!r}], pathlib.Path({output!r})))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_valid_file(tmp_path, root, number):
    folder, output = tmp_path / "in", tmp_path / "out"
    for i in range(200):
        write(folder / f"{i:03}.png")
    code = SLOW.format(tests=str(root / "tests/inference"), folder=str(folder), output=str(output))
    process = subprocess.Popen([sys.executable, "-c", code], cwd=root, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list(output.glob("*_mask.png"))) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    stderr = process.communicate(timeout=60)[1]
    entries = json.loads((output / "predictions.json").read_text())
    assert 1 <= len(entries) < 200
    assert all((output / entry["mask_file"]).stat().st_size for entry in entries)
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert len(entries) == len(list(output.glob("*_mask.png")))
        assert "Traceback" not in stderr
        assert stderr.startswith("jaxseg: stopped by ")
