"""Detections score the same by our evaluator and by torchvision's own evaluation of its detectors.

That one is ``references/detection/coco_eval.py``: boxes as x, y, width and height, torchvision's pasted masks above one
half as run-length codes, pycocotools' evaluator against the annotation file itself. Ours is given the masks before they
are pasted, and the annotations as our source reads them.
"""

import contextlib
import io

import cv2
import numpy as np
import pytest
from detector_oracle import SMALL, detector, lively_pair, to_torch_image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision_oracle import load_torchvision

from configs import base
from jaxseg.data.coco.rle import decode
from jaxseg.data.selection import select_images
from jaxseg.data.sources import open_source
from jaxseg.metrics import coco_evaluation as metrics
from jaxseg.metrics.average_precision import NUMBERS, SCORES
from jaxseg.metrics.detections import to_coco_results
from jaxseg.models.mask_rcnn.detections import Instances


@pytest.fixture(scope="module")
def annotations(shared_data):
    return shared_data / "coco_tiny/annotations/instances_val2017.json"


@pytest.fixture(scope="module")
def source(shared_data):
    config = base.get_config().data
    config.update(name="coco", source_dir=str(shared_data / "coco_tiny"))
    return open_source(config, "val2017")


def test_imperfect_detections_score_as_by_torchvision(source, annotations):
    """All objects a little off, some of them of another class, some missed; and some that nobody annotated."""
    torchvision = load_torchvision()
    source = select_images(source, range(40))
    rng = np.random.default_rng(0)
    found = [imperfect(rng, record.objects) for record in source.records]
    theirs = [
        {
            "boxes": one.boxes,
            "labels": one.classes,
            "scores": one.scores,
            "masks": pasted_by_torchvision(torchvision, one.masks, one.boxes, record.image.shape[:2]),
        }
        for one, record in zip(found, source.records, strict=True)
    ]
    assert any(record.objects.crowd.any() for record in source.records)
    scores = assert_same_scores(source, annotations, found, theirs)
    assert 0.2 < scores["bbox_AP"] < scores["bbox_AP50"] < 0.9
    assert 0.2 < scores["segm_AP"] < scores["segm_AP50"] < 0.9
    assert len({scores[name] for name in SCORES}) > 20


@pytest.mark.slow
def test_torchvisions_detections_score_as_by_torchvision(source, annotations):
    """Of a narrow Mask R-CNN of torchvision's with random weights, of which hardly a detection is right."""
    torchvision = load_torchvision()
    source = select_images(source, [0, 3, 10, 20])
    images = [record.image for record in source.records]
    model, shapes = detector(1, **SMALL)
    network, _ = lively_pair(torchvision, model, shapes, images[0], 192, 256)
    found, theirs = detections(torchvision, network, images)
    assert all(len(one.scores) > 20 for one in found)
    assert_same_scores(source, annotations, found, theirs)


def detections(torchvision, network, images):
    """Torchvision's detections: as ``Instances`` with the masks as its head gives them, and as it returns them."""
    postprocess, before = network.transform.postprocess, []

    def noted(results, *sizes):
        before.extend(result["masks"][:, 0].numpy() for result in results)
        return postprocess(results, *sizes)

    network.transform.postprocess = noted
    with torchvision.torch.no_grad():
        theirs = [network([to_torch_image(image)])[0] for image in images]
    theirs = [{name: value.numpy() for name, value in result.items()} for result in theirs]
    found = [
        Instances(result["boxes"], result["scores"], result["labels"], np.ones(len(masks), bool), masks)
        for result, masks in zip(theirs, before, strict=True)
    ]
    return found, theirs


def imperfect(rng, objects):
    """Detections made of the objects of an image, and of regions of many objects, where they are no mistakes."""
    boxes = objects.boxes + rng.normal(0, 0.06, (len(objects.boxes), 4)) * np.tile(sides(objects.boxes), 2)
    boxes = np.concatenate([boxes, objects.boxes[:1] * 0.7])
    classes = np.append(objects.classes, objects.classes[:1])
    masks = np.concatenate([objects.masks, objects.masks[:1]])
    whole = (sides(boxes) > 2).all(axis=1) & (rng.random(len(boxes)) < 0.9)
    classes = np.where(rng.random(len(classes)) < 0.1, classes % 90 + 1, classes)
    boxes = np.clip(boxes, 0, np.tile(masks.shape[:0:-1], 2)).astype(np.float32)
    soft = [softly(rng, mask, box) for mask, box in zip(masks[whole], boxes[whole], strict=True)]
    count = np.count_nonzero(whole)
    return Instances(
        boxes[whole],
        rng.random(count).astype(np.float32),
        classes[whole],
        np.ones(count, bool),
        np.array(soft, np.float32).reshape(-1, 28, 28),
    )


def sides(boxes):
    """Widths and heights, ``[m, 2]``."""
    return boxes[:, 2:] - boxes[:, :2]


def softly(rng, mask, box):
    """What of a mask is in a box, as a mask head would say it: 28 x 28 probabilities, none of them sure."""
    x1, y1, x2, y2 = np.rint(box).astype(int)
    part = mask[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)].astype(np.float32)
    part = cv2.resize(part, (28, 28), interpolation=cv2.INTER_AREA)
    return np.clip(0.1 + 0.8 * part + rng.normal(0, 0.15, part.shape), 0.01, 0.99)


def pasted_by_torchvision(torchvision, masks, boxes, size):
    """Probabilities in the image, ``[d, 1, h, w]``, as torchvision's detectors return them."""
    paste = torchvision.models.detection.roi_heads.paste_masks_in_image
    tensors = (torchvision.torch.from_numpy(array) for array in (masks[:, None], boxes))
    return paste(*tensors, size).numpy()


def assert_same_scores(source, annotations, found, theirs):
    """Scores detections both ways, and sees that all numbers are the same; returns our scores.

    The same to the last bit, though a pixel in a million of the pasted masks may differ, where a probability is within
    rounding of one half: that changes a number only where it carries an overlap across one of the ten thresholds.
    """
    image_ids, sizes = source.catalogue.image_ids, [tuple(size) for size in source.catalogue.sizes]
    with metrics.start(source, processes=2) as scoring:
        for index, one in enumerate(found):
            scoring = metrics.add(scoring, one, index, sizes[index])
        scores = metrics.scores(scoring, metrics.matches(scoring))
    results = [
        {"image_id": number} | entry
        for number, size, one in zip(image_ids, sizes, found, strict=True)
        for entry in to_coco_results(one, size, source.catalogue.category_ids)
    ]
    for kind, entries_of in (("bbox", box_entries), ("segm", mask_entries)):
        given = [entry for number, one in zip(image_ids, theirs, strict=True) for entry in entries_of(number, one)]
        if kind == "segm":
            assert share_of_pixels_that_differ(results, given) < 1e-5
        expected = by_torchvision(annotations, image_ids, given, kind)
        ours = [scores[f"{kind}_{name}"] for name in NUMBERS]
        np.testing.assert_array_equal([-1 if number is None else number for number in ours], expected)
    return scores


def share_of_pixels_that_differ(ours, theirs):
    """Of two lists of results in the same order, relative to the pixels of their masks."""
    differing = total = 0
    for one, other in zip(ours, theirs, strict=True):
        assert (one["image_id"], one["score"]) == (other["image_id"], other["score"])
        mask, their_mask = decode([one["segmentation"], other["segmentation"]], one["segmentation"]["size"])
        differing += np.count_nonzero(mask != their_mask)
        total += np.count_nonzero(their_mask)
    return differing / total


def box_entries(image_id, detections):
    """Entries of a results file of boxes."""
    x1, y1, x2, y2 = detections["boxes"].T
    return entries(image_id, detections, "bbox", np.stack([x1, y1, x2 - x1, y2 - y1], axis=1).tolist())


def mask_entries(image_id, detections):
    """Entries of a results file of masks."""
    codes = [coco_mask.encode(np.asfortranarray(mask[0] > 0.5, np.uint8)) for mask in detections["masks"]]
    return entries(image_id, detections, "segmentation", codes)


def entries(image_id, detections, field, values):
    """The entries of an image with one field more."""
    labels, scores = detections["labels"].tolist(), detections["scores"].tolist()
    return [
        {"image_id": image_id, "category_id": label, "score": score, field: value}
        for label, score, value in zip(labels, scores, values, strict=True)
    ]


def by_torchvision(annotations, image_ids, entries, kind):
    """The twelve numbers of some images of an annotation file."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(annotations)
        evaluator = COCOeval(truth, truth.loadRes(entries), kind)
        evaluator.params.imgIds = sorted(image_ids)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats
