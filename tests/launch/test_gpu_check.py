"""The check of a borrowed GPU: its steps and records with stand-ins, and all of it tiny on the CPU."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import jax
import numpy as np
import pytest
from PIL import Image
from tiny_datasets import SIZE, save, write_camvid, write_isbi, write_pets
from xla_flags import XLA_FLAGS

from jaxseg.benchmarks.jaxseg_steps import as_predict_takes
from jaxseg.benchmarks.random_batches import random_batch
from jaxseg.tasks import make_task

NAMES = [
    "correctness",
    "bench_unet_train",
    "bench_mask_rcnn_train",
    "bench_mask_rcnn_roi_align",
    "bench_mask_rcnn_predict",
    "bench_unet_predict",
    "train_pets",
    "train_mask_rcnn",
    "train_camvid",
    "train_isbi",
    "bench_unet512_train",
    "bench_input",
    "bench_evaluate",
    "bench_unet512_predict",
]
SMOKE_CASES = {"unet", "roi_align_einsum", "nms"}
# Stands in for Python: records are written, RoIAlign fails, one step waits, everything else has a result.
STAND_IN = """#!/usr/bin/env bash
[[ $1 == launch/gpu_record.py ]] && exec {python} "$@"
[[ $* == *=roi_align* ]] && echo -e 'ValueError: no such form\\n--------' >&2 && exit 1
[[ $* == *unet_camvid* ]] && touch "$STARTED" && sleep 60
while (($#)); do
    [[ $1 == --output ]] && echo '[{{"images_per_second": 7}}]' >"$2"
    [[ $1 == --workdir ]] && mkdir -p "$2/pictures" && echo picture >"$2/pictures/test_2.png" &&
        echo '{{"step": 2, "split": "test", "mean_iou": 0.5}}' >"$2/metrics.jsonl"
    shift
done
echo 'training: 12 images/s'
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    path = tmp_path / "python"
    path.write_text(STAND_IN.format(python=sys.executable))
    path.chmod(0o755)
    monkeypatch.setenv("PYTHON", str(path))
    monkeypatch.setenv("STARTED", str(tmp_path / "started"))


@pytest.fixture(scope="module")
def compact(root, tmp_path_factory):
    """Compact copies of tiny data sets."""
    folder = tmp_path_factory.mktemp("data")
    source = folder / "source"
    write_pets(source / "oxford_iiit_pet", 4)
    for part, numbers in (("trainval", (1, 2)), ("test", (3, 4))):
        names = "".join(f"beagle_{number} 1 1 1\n" for number in numbers)
        (source / f"oxford_iiit_pet/annotations/{part}.txt").write_text("# a header\n" + names)
    write_camvid(source / "camvid", {"train": 3, "val": 2})
    write_isbi(source / "isbi2012", 8)
    write_coco(source / "coco_tiny")
    copy_data(root, source, folder / "compact", "--images=8")
    return source, folder / "compact"


def write_coco(folder):
    """Two validation images with an object each."""
    images, annotations = [], []
    for number in (1, 2):
        noise = np.random.default_rng(number).integers(0, 256, (*SIZE[::-1], 3), np.uint8)
        save(folder / f"val2017/{number}.jpg", noise)
        images.append({"id": number, "file_name": f"{number}.jpg", "width": SIZE[0], "height": SIZE[1]})
        corners = [4, 4, 20, 4, 20, 20, 4, 20]
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "bbox": [4, 4, 16, 16], "area": 256, "iscrowd": 0}
            | {"segmentation": [corners]}
        )
    (folder / "annotations").mkdir()
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations/instances_val2017.json").write_text(json.dumps(content))


def copy_data(root, source, target, *flags):
    command = [sys.executable, root / "launch/gpu_data.py", "--source", source, "--output", target, *flags]
    subprocess.run(command, check=True, capture_output=True)


def check(root, output, *flags):
    """Runs the script; its exit status, what it printed, and the lines by name."""
    environment = os.environ | {"XLA_FLAGS": XLA_FLAGS}
    done = subprocess.run(
        ["bash", root / "launch/gpu_check.sh", "--smoke", "--output", output, *flags],
        env={"PYTHON": sys.executable} | environment, capture_output=True, text=True,
    )  # fmt: skip
    lines = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    return done, {line["name"]: line for line in lines}


def test_a_step_that_fails_is_recorded_and_the_next_ones_run(root, tmp_path, stand_in, compact):
    done, lines = check(root, tmp_path / "out/o.jsonl", f"--data={compact[1]}", "--only=bench,train_pets,train_isbi")
    assert done.returncode == 1, done.stderr
    assert list(lines) == [name for name in NAMES if name.startswith("bench") or name in ("train_pets", "train_isbi")]
    failed = lines.pop("bench_mask_rcnn_roi_align")
    assert (failed["status"], failed["exit_status"], failed["result"]) == ("failed", 1, None)
    assert failed["error"] == "ValueError: no such form"
    assert {line["status"] for line in lines.values()} == {"ok"}
    assert lines["bench_input"]["result"] == [{"images_per_second": 7}]
    assert lines["train_pets"]["result"]["last"]["test"]["mean_iou"] == 0.5
    assert lines["train_pets"]["result"]["speed"] == "training: 12 images/s"
    assert (tmp_path / "out/train_pets.png").read_text() == "picture\n"
    assert "no such form" in (tmp_path / "out/o.log").read_text()
    for line in lines.values():
        assert {"name", "command", "seconds", "result", "device", "versions", "time"} <= set(line)
        assert {"jax", "jaxlib"} <= set(line["versions"])


def test_steps_without_time_or_data_are_skipped(root, tmp_path, stand_in):
    done, lines = check(root, tmp_path / "o.jsonl", "--minutes=0", "--only=bench_unet,train_camvid")
    assert done.returncode == 0, done.stderr
    assert list(lines) == ["bench_unet_train", "bench_unet_predict", "train_camvid"]
    assert {line["status"] for line in lines.values()} == {"skipped"}
    assert lines["bench_unet_train"]["error"] == "no time left"
    assert lines["train_camvid"]["error"].startswith("no data in")


@pytest.mark.parametrize("flags", [["--only=unknown"], ["--minutes=1.5"], ["--unknown"], ["--data"], ["--wrong=1"]])
def test_wrong_arguments_are_refused(root, tmp_path, flags):
    done, lines = check(root, tmp_path / "o.jsonl", *flags)
    assert done.returncode == 2
    assert done.stderr
    assert not lines


def test_a_signal_ends_the_script_and_its_step(root, tmp_path, stand_in, compact):
    command = ["bash", root / "launch/gpu_check.sh", "--smoke", "--only=train_camvid", f"--data={compact[1]}"]
    run = subprocess.Popen([*command, "--output", tmp_path / "o.jsonl"], start_new_session=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=30) == 130
    time.sleep(0.5)
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert f"{tmp_path}/python" not in processes


def test_compact_data_has_the_pixels_and_values_of_the_original(root, tmp_path, compact):
    source, target = compact
    for path in ("oxford_iiit_pet/annotations/trimaps/beagle_1.png", "camvid/valannot/val_000001.png"):
        assert np.array_equal(np.asarray(Image.open(source / path)), np.asarray(Image.open(target / path)))
    assert (target / "oxford_iiit_pet/annotations/test.txt").read_text().split("\n")[0] == "beagle_3 1 1 1"
    assert len(list((target / "isbi2012/image").iterdir())) == 8
    with Image.open(target / "camvid/train/train_000000.jpg") as image:
        assert image.size == SIZE
    copy_data(root, source, tmp_path / "fewer", "--images=1")
    assert [path.name for path in (tmp_path / "fewer/camvid/train").iterdir()] == ["train_000000.jpg"]
    assert len(json.loads((tmp_path / "fewer/coco_tiny/annotations/instances_val2017.json").read_text())["images"]) == 1


@pytest.fixture(scope="module")
def correctness(root):
    spec = importlib.util.spec_from_file_location("gpu_correctness", root / "launch" / "gpu_correctness.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_differences_are_relative(correctness):
    assert correctness.relative([1.0, 4.4], [1.0, 4.0]) == pytest.approx(0.1)
    assert correctness.norm_difference({"a": [3.0], "b": [4.0]}, {"a": [3.0], "b": [4.5]}) == pytest.approx(
        0.5 / np.hypot(3, 4.5)
    )
    assert correctness.count_not_finite({"a": np.array([1.0, np.nan]), "b": np.inf}) == 2


def test_a_case_that_differs_or_raises_has_not_passed(correctness):
    assert correctness.timed(lambda *_: {"outputs": 1e-4, "not_finite": 0}, None, None)["passed"]
    assert not correctness.timed(lambda *_: {"outputs": 1e-2}, None, None)["passed"]
    assert not correctness.timed(lambda *_: {"outputs": float("nan")}, None, None)["passed"]
    assert not correctness.timed(lambda *_: {"bfloat16_loss": 0.5}, None, None)["passed"]
    assert not correctness.timed(lambda *_: {}, None, None)["passed"]


@pytest.mark.slow
def test_everything_runs_tiny_on_the_cpu(root, tmp_path, compact):
    done, lines = check(root, tmp_path / "o.jsonl", f"--data={compact[1]}", "--minutes=30")
    assert done.returncode == 0, (tmp_path / "o.log").read_text()
    assert list(lines) == NAMES
    assert {line["status"] for line in lines.values()} == {"ok"}
    assert {case["case"] for case in lines["correctness"]["result"]} == SMOKE_CASES
    assert lines["train_pets"]["result"]["last"]["test"]["step"] == 2
    assert lines["bench_unet_train"]["result"][0]["images_per_second"] > 0
    assert {path.name for path in tmp_path.glob("*.png")} == {
        f"train_{name}.png" for name in ("pets", "camvid", "isbi", "mask_rcnn")
    }


@pytest.mark.slow
def test_the_cpu_agrees_with_itself(root, tmp_path, correctness):
    """In the cases that the tiny check leaves out."""
    others = [name for name in correctness.CASES if name not in SMOKE_CASES]
    assert len(others) == 5
    output = tmp_path / "cases.json"
    flags = ["--threads=2", f"--output={output}", f"--only={','.join(others)}"]
    done = subprocess.run(
        [sys.executable, root / "launch/gpu_correctness.py", *flags],
        env=os.environ | {"XLA_FLAGS": XLA_FLAGS}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads(output.read_text())
    assert {row["case"] for row in rows} == set(others)
    assert all(row["passed"] for row in rows)


@pytest.mark.slow
def test_rounding_changes_the_gradients_of_a_case_far_less_than_its_limit(correctness):
    """A change of each parameter by about one millionth stands for rounding in another order."""
    model = {"name": "fcn_resnet", **correctness.SEMANTIC["fcn_resnet"]}
    config = correctness.model_config("semantic", model, "float32")
    task = make_task(config, tuple("abcd"), np.zeros((4, 3), np.uint8))
    variables = correctness.make_comparable(jax.device_get(jax.jit(task.model.init)(jax.random.key(0))))
    rng = np.random.default_rng(1)
    changed = jax.tree.map(
        lambda leaf: np.float32(leaf * (1 + 1e-6 * rng.standard_normal(leaf.shape))), variables["params"]
    )
    batch = random_batch(config, 4, (64, 64))
    learn = jax.jit(partial(correctness.predict_and_learn, task))
    expected, found = (
        learn({**variables, "params": params}, batch, as_predict_takes(config, batch))["gradients"]
        for params in (variables["params"], changed)
    )
    assert correctness.norm_difference(found, expected) < 0.1 * correctness.LIMITS["gradients"]
