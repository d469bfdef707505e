"""A tiny config from end to end, and what cannot be measured."""

import json
import subprocess
import sys

import numpy as np
import pytest
from experiments import tiny_config, tiny_detector

from jaxseg.benchmarks.measurements import Options, measure_config
from jaxseg.benchmarks.random_batches import random_batch
from jaxseg.benchmarks.rows import print_table, write_rows

FIELDS = {
    "config", "what", "framework", "mode", "batch_size", "image_size", "precision", "images_per_second", "seconds",
    "spread", "compile_seconds", "peak_bytes", "flops", "ratio", "device", "versions",
}  # fmt: skip

VALIDATED = 10
TINY = {"data__image_size": (16, 16), "model__features": 2, "data__select__first": VALIDATED}


@pytest.fixture(scope="module")
def rows():
    return measure_config(tiny_config(**TINY), "tiny", Options(rounds=1, seconds=0.0))


def test_everything_is_measured_and_written(rows, tmp_path):
    path = tmp_path / "new" / "rows.json"
    write_rows(path, rows)
    written = json.loads(path.read_text())
    assert all(set(row) >= FIELDS for row in written)
    measured = [(row["what"], row["mode"]) for row in written if row["what"] != "peak"]
    inputs = ["pipeline", "bare decoding", "step alone", "pipeline and step"]
    scoring = ["evaluation", "forward and copy"]
    assert measured == [
        ("train", "jit"),
        ("predict", "jit"),
        *(("input", mode) for mode in inputs),
        *(("evaluate", mode) for mode in scoring),
    ]
    assert sum(row["what"] == "peak" for row in written) == 4


def test_numbers_fit_one_another(rows):
    of_images = [row for row in rows if row["what"] != "peak"]
    for row in of_images:
        images = VALIDATED if row["what"] == "evaluate" else row["batch_size"]
        assert row["images_per_second"] == pytest.approx(images / row["seconds"])
    for row in rows:
        assert row["seconds"] > 0
        assert row["config"] == "tiny"
    train, predict = of_images[:2]
    assert min(train["compile_seconds"], predict["compile_seconds"]) > 0
    assert min(train["peak_bytes"], predict["peak_bytes"]) > 0
    assert 2.5 < train["flops"] / predict["flops"] <= 3
    pipeline, decoding = of_images[2:4]
    assert decoding["ratio"] == pytest.approx(pipeline["images_per_second"] / decoding["images_per_second"])
    evaluation, forward = of_images[-2:]
    assert forward["ratio"] == pytest.approx(forward["seconds"] / evaluation["seconds"])


@pytest.mark.slow
def test_an_evaluation_of_a_detector_is_measured_beside_its_predictions():
    config = tiny_detector(data__select__first=10, train__batch_size=8)
    rows = measure_config(config, "tiny", Options(what="evaluate", rounds=1, seconds=0.0))
    assert [row["mode"] for row in rows] == ["evaluation", "forward and copy"]
    for row in rows:
        assert row["images_per_second"] == pytest.approx(10 / row["seconds"])  # not 16, with filler


def test_where_nothing_is_scored_no_evaluation_is_measured():
    config = tiny_config(data__val="", data__test="")
    with pytest.raises(
        ValueError, match="--what is 'evaluate'; known for this config are train, predict, input, predict_files, all"
    ):
        measure_config(config, "tiny", Options(what="evaluate"))


def test_people_get_a_line_for_each(rows, capsys):
    print_table(rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 + len(rows)
    assert lines[0] == "tiny: batches of 8 x 16 x 16, float32"
    assert all("None" not in line for line in lines)


def test_random_batches_of_detectors_have_objects_within_their_images():
    config = tiny_detector(data__max_objects=3)
    batch = random_batch(config, classes=4, size=(64, 96))
    assert batch.image.shape == (4, 64, 96, 3)
    assert batch.image.min() > 0
    assert batch.usable.all()
    assert batch.usable.shape == (4, 3)
    assert (batch.boxes >= 0).all()
    assert (batch.boxes[..., 2:] > batch.boxes[..., :2]).all()
    assert (batch.boxes <= [96, 64, 96, 64]).all()
    assert set(np.unique(batch.classes)) <= {1, 2, 3}
    filled = np.unpackbits(batch.masks, axis=-1).sum(axis=(2, 3)) / np.prod(
        batch.boxes[..., 2:] - batch.boxes[..., :2], axis=-1
    )
    assert np.median(filled) == pytest.approx(np.pi / 4, abs=0.15)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            {"what": "training"},
            "--what is 'training'; known for this config are train, predict, input, evaluate, predict_files, all",
        ),
        ({"what": "roi_align"}, "--what is 'roi_align'"),
        ({"modes": ("fast",)}, "--modes has 'fast'; known are eager"),
        ({"what": "input", "classes": 3}, "--classes does without the data"),
    ],
)
def test_what_cannot_be_measured_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        measure_config(tiny_config(), "tiny", Options(**options))


@pytest.mark.parametrize("name", ["torch", "torchvision"])
def test_a_framework_that_is_missing_is_named_in_one_line(monkeypatch, name):
    from jaxseg.benchmarks import torch_import

    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=f"--against torch needs {name}, which cannot be imported") as caught:
        {"torch": torch_import.import_torch, "torchvision": torch_import.import_torchvision}[name]()
    assert "\n" not in str(caught.value)


def test_nothing_is_measured_where_pytorch_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match="--against torch needs torch"):
        measure_config(tiny_config(), "tiny", Options(against_torch=True))


def command(root, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "jaxseg.benchmark", *map(str, arguments)], cwd=root, capture_output=True, text=True
    )


def test_help_imports_nothing_heavy_and_an_unknown_what_is_named(root):
    code = (
        "import sys, runpy; sys.argv = ['benchmark', '--help']\n"
        "try: runpy.run_module('jaxseg.benchmark', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([name for name in ('jax', 'flax', 'grain', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert "--against" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == "[]"
    done = command(root, "--config=configs/unet_shapes.py", "--what=speed")
    assert done.returncode != 0
    assert all(f"'{what}'" in done.stderr for what in ("train", "predict", "input", "evaluate", "roi_align", "all"))


@pytest.mark.slow
def test_the_command_writes_what_it_measures(root, tmp_path):
    path = tmp_path / "rows.json"
    narrow = ["--config.model.features=2", "--config.model.depth=1", "--config.data.image_size=16"]
    quick = ["--rounds=1", "--seconds=0", f"--output={path}", "--what=predict"]
    done = command(root, "--config=configs/unet_shapes.py", *narrow, *quick)
    assert done.returncode == 0, done.stderr
    assert [row["what"] for row in json.loads(path.read_text())] == ["predict", "peak", "peak"]
    assert "unet_shapes: batches of 8 x 16 x 16" in done.stdout
