"""Folders of objects as people have them train in one command, without renaming a file."""

import json
import os
import subprocess
import sys

import object_folders
import pytest
from xla_flags import XLA_FLAGS

import jaxseg
from jaxseg.reporting.log import computed_lines

SMALL = (
    *("depth=18", "width=4", "channels=8", "hidden=8", "norm=batch", "trainable_layers=5"),
    *("proposal.pre_nms_top_n=20", "proposal.post_nms_top_n=12", "detection.max_detections=5"),
    *("training_proposal.pre_nms_top_n=20", "training_proposal.post_nms_top_n=12"),
    *("rpn_sampling.batch_size_per_image=16", "box_sampling.batch_size_per_image=8"),
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", object_folders.WRITERS)
def test_a_folder_of_objects_trains_in_one_command(root, tmp_path, kind):
    object_folders.write(kind, tmp_path / "files")
    fields = [
        f"data.source_dir={tmp_path / 'files'}",
        *(f"data.dir={tmp_path / 'prepared'}", "data.min_size=64", "data.max_size=96", "data.workers=0"),
        *("init.weights=", "train.steps=2", "train.batch_size=2"),
        *(f"model.{field}" for field in SMALL),
    ]
    command = [sys.executable, "-m", "jaxseg.main", "--config", "configs/mask_rcnn_folder.py"]
    command += ["--workdir", str(tmp_path / "run"), *(f"--config.{field}" for field in fields)]
    environment = os.environ | {"PYTHONPATH": str(root), "XLA_FLAGS": XLA_FLAGS}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = computed_lines(tmp_path / "run/metrics.jsonl")
    assert lines[-1]["step"] == 2
    assert "segm_AP" in lines[-1]
    classes = json.loads((tmp_path / "run/classes.json").read_text())
    assert tuple(classes["class_names"]) == object_folders.CLASS_NAMES


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["coco (CVAT)", "yolo", "labelme", "cvat"])
def test_a_folder_of_objects_trains_a_semantic_model_in_one_command(tmp_path, kind):
    object_folders.write(kind, tmp_path / "files")
    scores = jaxseg.train(
        "unet_folder",
        tmp_path / "run",
        data={"source_dir": str(tmp_path / "files"), "dir": str(tmp_path / "data"), "image_size": 32, "workers": 0},
        model={"features": 2, "depth": 1},
        train={"steps": 2, "batch_size": 8},
    )
    assert len(scores["val"]["iou"]) == 3
    classes = json.loads((tmp_path / "run/classes.json").read_text())
    assert tuple(classes["class_names"]) == object_folders.CLASS_NAMES
