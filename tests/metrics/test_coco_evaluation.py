"""COCO's scores: known answers, pycocotools' own path from files, and shares of several processes."""

import contextlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys

import chex
import jax
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from configs import base
from jaxseg.data.coco import rle
from jaxseg.data.coco.format import ground_truth
from jaxseg.data.sources import open_source
from jaxseg.metrics import coco_evaluation as metrics
from jaxseg.metrics.average_precision import NUMBERS, SCORES, summarize
from jaxseg.metrics.coco_matching import KINDS, match
from jaxseg.metrics.detections import paste_mask, to_coco_results
from jaxseg.models.mask_rcnn.detections import Instances
from jaxseg.ops import masks as mask_ops

IDS = (0, 5, 7)  # of the background and two classes


def rectangle(x, y, width, height, size=(200, 200)):
    mask = np.zeros(size, np.uint8)
    mask[y : y + height, x : x + width] = 1
    return {"bbox": [x, y, width, height], "area": width * height, "segmentation": rle.encode(mask[None])[0]}


def truth_of(*objects, images=(3, 9)):
    """A data set in COCO's format; each object is (image, category, crowd, rectangle)."""
    return {
        "images": [{"id": number, "height": 200, "width": 200} for number in images],
        "categories": [{"id": number, "name": str(number)} for number in IDS[1:]],
        "annotations": [
            {"id": i, "image_id": image, "category_id": category, "iscrowd": crowd, **rectangle(*corners)}
            for i, (image, category, crowd, corners) in enumerate(objects, start=1)
        ],
    }


def average_precision(truth, found, category_ids):
    """The scores of a results list, each image matched by itself."""
    matches = [
        match(
            truth | {"images": [image], "annotations": of_image(image["id"], truth["annotations"])},
            of_image(image["id"], found),
        )
        for image in truth["images"]
    ]
    return summarize(matches, category_ids, [category["id"] for category in truth["categories"]])


def of_image(image_id, entries):
    return [entry for entry in entries if entry["image_id"] == image_id]


def found(image, category, score, corners):
    return {"image_id": image, "category_id": category, "score": score} | {
        field: value for field, value in rectangle(*corners).items() if field != "area"
    }


def test_what_is_right_scores_one_and_what_is_not_there_has_no_score():
    truth = truth_of((3, 5, 0, (10, 10, 60, 50)), (9, 5, 0, (0, 0, 100, 100)))
    scores = average_precision(truth, [found(3, 5, 0.9, (10, 10, 60, 50)), found(9, 5, 0.8, (0, 0, 100, 100))], IDS)
    assert set(scores) == {*SCORES, "bbox_AP_by_class", "segm_AP_by_class"}
    for kind in KINDS:
        numbers = {name: scores[f"{kind}_{name}"] for name in NUMBERS}
        assert numbers.pop("AP_small") is numbers.pop("AR_small") is None
        assert list(numbers.values()) == pytest.approx([1] * len(numbers))
        assert scores[f"{kind}_AP_by_class"] == [None, pytest.approx(1), None]


def test_overlap_by_hand():
    """A box that covers 0.72 of the object counts at the thresholds 0.50, 0.55, ..., 0.70: half of the ten."""
    truth = truth_of((3, 5, 0, (0, 0, 100, 100)))
    scores = average_precision(truth, [found(3, 5, 0.9, (0, 0, 100, 72))], IDS)
    for kind in KINDS:
        assert scores[f"{kind}_AP"] == pytest.approx(0.5)
        assert scores[f"{kind}_AP50"] == pytest.approx(1)
        assert scores[f"{kind}_AP75"] == 0


def test_what_lies_in_a_crowd_is_no_mistake():
    objects = (3, 5, 0, (0, 0, 50, 50)), (3, 5, 1, (100, 100, 100, 100))
    right, within = found(3, 5, 0.5, (0, 0, 50, 50)), found(3, 5, 0.9, (120, 120, 30, 30))
    scores = average_precision(truth_of(*objects), [within, right], IDS)
    assert scores["bbox_AP"] == scores["segm_AP"] == pytest.approx(1)
    scores = average_precision(truth_of(objects[0]), [within, right], IDS)
    assert scores["bbox_AP"] == scores["segm_AP"] == pytest.approx(0.5)


def test_masks_are_not_scored_where_only_boxes_are_known():
    """The box of the second object counts; its mask is neither to be found nor a mistake."""
    truth = truth_of((3, 5, 0, (10, 10, 40, 40)), (3, 5, 0, (100, 100, 40, 40)))
    truth["annotations"][1]["box_only"] = True
    first, second = ((3, 5, 0.9, (10, 10, 40, 40)), (3, 5, 0.95, (100, 100, 40, 40)))
    for given, box, mask in (((first, second), 1.0, 1.0), ((first,), 51 / 101, 1.0)):
        found = [
            {"image_id": image, "category_id": category, "score": score, **rectangle(*corners)}
            for image, category, score, corners in given
        ]
        scores = average_precision(truth, found, IDS)
        assert scores["bbox_AP"] == pytest.approx(box)
        assert scores["segm_AP"] == pytest.approx(mask)


def test_nothing_found_scores_nothing():
    scores = average_precision(truth_of((3, 5, 0, (0, 0, 50, 50))), [], IDS)
    assert scores["bbox_AP"] == scores["segm_AR100"] == 0


def random_instances(rng, size, count=12, slots=15):
    """Instances of one image, some near each other, with masks that are smooth blobs."""
    corners = rng.uniform(-4, 0.7 * min(size), (slots, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(3, 0.5 * min(size), (slots, 2))], axis=1)
    steps = np.linspace(-1, 1, 28)
    blobs = 1 - np.abs(steps[:, None]) ** rng.uniform(1, 4) - np.abs(steps[None]) * rng.uniform(0.2, 1)
    masks = np.clip(blobs + rng.uniform(-0.2, 0.4, (slots, 1, 1)), 0, 1)
    return Instances(
        boxes.astype(np.float32),
        np.sort(rng.random(slots).astype(np.float32))[::-1],
        rng.integers(1, 3, slots).astype(np.int32),
        np.arange(slots) < count,
        masks.astype(np.float32),
    )


def test_masks_are_pasted_as_on_the_device():
    rng = np.random.default_rng(0)
    size = (60, 80)
    instances = random_instances(rng, size)
    with_device = jax.jit(mask_ops.paste_masks, static_argnums=2)(instances.masks, instances.boxes, size)
    on_host = [paste_mask(mask, box, size) for mask, box in zip(instances.masks, instances.boxes, strict=True)]
    chex.assert_trees_all_close(np.stack(on_host), with_device, atol=2e-5)


def test_an_evaluation_scores_as_pycocotools_does_from_files(tmp_path):
    """Also where two processes have half of the images each."""
    config = base.get_config().data
    config.name = "shapes"
    source = open_source(config, "val")
    source = source._replace(records=[source.records[i] for i in range(4)])
    catalogue = source.catalogue
    source = source._replace(
        catalogue=catalogue._replace(
            sizes=catalogue.sizes[:4], counts=catalogue.counts[:4], image_ids=(11, 2, 30, 4), category_ids=(0, 4, 2, 9)
        )
    )
    shares, together = [], []
    for part in ((0, 1), (2, 3)):
        with metrics.start(source, processes=1) as scoring:
            for index in part:
                found = near_misses(index, source.records[index])
                scoring = metrics.add(scoring, found, index, (160, 160))
                described = to_coco_results(found, (160, 160), source.catalogue.category_ids)
                together += [{"image_id": source.catalogue.image_ids[index]} | entry for entry in described]
            shares += pickle.loads(pickle.dumps(metrics.matches(scoring)))
            scores = metrics.scores(scoring, shares)  # at last of both
            assert scores == metrics.scores(scoring, shares[::-1])
    assert 0.1 < scores["segm_AP"] < 0.95

    (tmp_path / "truth.json").write_text(json.dumps(ground_truth(source)))
    for kind, fields in (("bbox", ("bbox",)), ("segm", ("segmentation",))):
        entries = [{name: one[name] for name in ("image_id", "category_id", "score", *fields)} for one in together]
        (tmp_path / "results.json").write_text(json.dumps(entries))
        stats = official(tmp_path / "truth.json", tmp_path / "results.json", kind)
        ours = [scores[f"{kind}_{name}"] for name in NUMBERS]
        assert [-1 if value is None else value for value in ours] == stats


def near_misses(seed, record):
    """Found objects of a record that are a little off, some of another class, some of no object."""
    rng = np.random.default_rng(seed)
    objects = record.objects
    boxes = objects.boxes + rng.normal(0, 2, objects.boxes.shape)
    boxes = np.concatenate([boxes, boxes[:1] + 30]).astype(np.float32)
    classes = np.append(np.where(rng.random(len(objects.classes)) < 0.8, objects.classes, 1), 2)
    count = len(boxes)
    masks = np.clip(rng.random((count, 28, 28)) + 0.4, 0, 1).astype(np.float32)
    return Instances(boxes, rng.random(count).astype(np.float32), classes, np.ones(count, bool), masks)


def official(truth, results, kind):
    """The twelve numbers by pycocotools alone, as its demo computes them."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(truth))
        evaluator = COCOeval(truth, truth.loadRes(str(results)), kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return list(evaluator.stats)


def test_the_truth_scores_one_on_real_images(shared_data):
    """Crowds are in the truth and not among what was found; boxes are given to float32's precision."""
    config = base.get_config().data
    config.update(name="coco", source_dir=str(shared_data / "coco_tiny"))
    source = open_source(config, "val2017")
    truth = ground_truth(source)
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    results = [
        {
            "image_id": one["image_id"],
            "category_id": one["category_id"],
            "score": 1.0,
            "bbox": [float(np.float32(side)) for side in one["bbox"]],
            "segmentation": encoded(one["segmentation"], sizes[one["image_id"]]),
        }
        for one in truth["annotations"]
        if not one["iscrowd"]
    ]
    scores = average_precision(truth, results, source.catalogue.category_ids)
    for name in ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"):
        assert scores[f"bbox_{name}"] == pytest.approx(1, abs=1e-3)
        assert scores[f"segm_{name}"] == pytest.approx(1, abs=1e-3)
    assert len(scores["segm_AP_by_class"]) == 91


def encoded(polygons, size):
    from pycocotools import mask as coco_mask

    return coco_mask.merge(coco_mask.frPyObjects(polygons, *size))


def test_a_split_without_objects_is_refused():
    with pytest.raises(ValueError, match="no object to score"):
        average_precision(truth_of(), [], IDS)


def test_a_worker_that_dies_is_reported():
    config = base.get_config().data
    config.name = "shapes"
    source = open_source(config, "val")
    with metrics.start(source, processes=1) as scoring:
        scoring = metrics.add(scoring, near_misses(0, source.records[0]), 0, (160, 160))
        (pid,) = scoring.pool._processes
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match=r"has died.* There are config\.data\.workers"):
            metrics.matches(scoring)


def test_ctrl_c_spares_workers_that_are_starting():
    config = base.get_config().data
    config.name = "shapes"
    with metrics.start(open_source(config, "val"), processes=2) as scoring:
        assert len(scoring.pool._processes) == 2
        for pid in scoring.pool._processes:
            os.kill(pid, signal.SIGINT)
        assert scoring.pool.submit(int).result() == 0


def test_no_worker_is_left_when_scoring_is_broken_off():
    config = base.get_config().data
    config.name = "shapes"
    source = open_source(config, "val")
    with metrics.start(source, processes=2) as scoring:
        for index in range(20):
            scoring = metrics.add(scoring, near_misses(index, source.records[index]), index, (160, 160))
        workers = list(scoring.pool._processes.values())
        assert len(workers) == 2
    assert not any(worker.is_alive() for worker in workers)


def test_workers_do_without_jax(root):
    """Which takes seconds to import, and would claim an accelerator."""
    code = (
        "import sys, jaxseg.metrics.coco_evaluation, jaxseg.data.sources\n"
        "print([name for name in ('jax', 'flax', 'grain') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
