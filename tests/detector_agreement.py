"""How far our Mask R-CNN is from torchvision's, stage by stage, with the same weights on the same photographs.

The tests hold these figures to their bounds; run as a program it prints them as a table::

    PYTHONPATH=.:tests python tests/detector_agreement.py
"""

import copy

import jax
import jax.numpy as jnp
import numpy as np
from detector_oracle import detector, lively_pair, photographs, to_torch_image
from random_weights import relative_error
from torch_models import to_numpy

from jaxseg.data.resize import batch_images
from jaxseg.models.mask_rcnn import rpn
from jaxseg.models.mask_rcnn.detections import in_original_pixels, pasted_masks

MIN_SIZE, MAX_SIZE = 192, 256

CANVAS = (640, 640)  # holds every photograph of the tiny COCO

SETS = {"one image": [3], "another size": [0], "together": [3, 0]}


class Ours:
    """Our detector's stages, each compiled once a shape."""

    def __init__(self, model, variables):
        self.model, self.variables = model, variables
        stages = ("pyramid", "rpn_outputs", "anchors", "box_outputs", "mask_logits")
        self._stages = {stage: jax.jit(self._method(stage)) for stage in stages}
        self._propose = jax.jit(lambda *arguments: rpn.propose(*arguments, model.proposal))
        self.segment = jax.jit(self._segment)

    def _method(self, stage):
        return lambda variables, *arguments: self.model.apply(variables, *arguments, method=stage)

    def __call__(self, stage, *arguments):
        return self._stages[stage](self.variables, *arguments)

    def propose(self, *arguments):
        return self._propose(*arguments)

    def _segment(self, variables, image, sizes, originals):
        """The whole detector, from normalized images to masks in original pixels."""
        found = in_original_pixels(self.model.apply(variables, image, sizes), sizes, originals)
        return found, pasted_masks(found, CANVAS)


def stage_differences(torchvision, theirs, ours, images):
    """The largest relative differences of the stages; each of ours starts from theirs of the stage before."""
    batch = batch_images(images, MIN_SIZE, MAX_SIZE)
    with torchvision.torch.no_grad():
        prepared, _ = theirs.transform([to_torch_image(image) for image in images])
        features = theirs.backbone(prepared.tensors)
        logits, deltas = theirs.rpn.head(list(features.values()))
        proposals, _ = theirs.rpn(prepared, features)
        heads = theirs.roi_heads
        regions = heads.box_head(heads.box_roi_pool(features, proposals, prepared.image_sizes))
        class_logits, box_deltas = heads.box_predictor(regions)
        some = [boxes[:20] for boxes in proposals]
        regions = heads.mask_head(heads.mask_roi_pool(features, some, prepared.image_sizes))
        mask_logits = heads.mask_predictor(regions)

    pyramid = ours("pyramid", batch.image)
    their_pyramid = [jnp.asarray(to_numpy(level)) for level in features.values()]
    our_logits, our_deltas = ours("rpn_outputs", their_pyramid)
    anchors = ours("anchors", their_pyramid, batch.image)
    found = ours.propose(our_logits, our_deltas, *anchors, batch.sizes)
    boxes, valid = padded(proposals)
    our_class_logits, our_box_deltas = ours("box_outputs", their_pyramid, boxes, valid)
    our_mask_logits = ours("mask_logits", their_pyramid, boxes[:, :20], valid[:, :20])
    return {
        "image": relative_error(batch.image, to_numpy(prepared.tensors)),
        "features": max(map(relative_error, pyramid, their_pyramid)),
        "RPN logits": max(map(relative_error, our_logits, map(flat, logits))),
        "RPN deltas": max(
            relative_error(a.reshape(len(images), -1), flat(b)) for a, b in zip(our_deltas, deltas, strict=True)
        ),
        "proposals": proposal_difference(found, proposals) / max(batch.image.shape[1:3]),
        "class logits": relative_error(our_class_logits[valid], class_logits),
        "box deltas": relative_error(our_box_deltas[valid].reshape(len(box_deltas), -1), box_deltas),
        "mask logits": relative_error(our_mask_logits[valid[:, :20]], to_numpy(mask_logits)),
    }


def flat(tensor):
    """``[b, c, h, w]`` as ``[b, h * w * c]``."""
    array = to_numpy(tensor)
    return array.reshape(len(array), -1)


def padded(boxes_of_images, slots=1000):
    """Lists of boxes as ``[b, slots, 4]``, and which slots hold one."""
    boxes = np.zeros((len(boxes_of_images), slots, 4), np.float32)
    for row, image_boxes in zip(boxes, boxes_of_images, strict=True):
        row[: len(image_boxes)] = image_boxes.numpy()
    return boxes, np.array([np.arange(slots) < len(image_boxes) for image_boxes in boxes_of_images])


def proposal_difference(found, proposals):
    """In pixels, how far the proposal farthest from all of the other side's is from the nearest."""
    worst = 0.0
    for boxes, valid, theirs in zip(found.boxes, found.valid, proposals, strict=True):
        ours, theirs = np.asarray(boxes[valid]), theirs.numpy()
        assert len(ours) == len(theirs)
        distances = np.abs(ours[:, None] - theirs[None]).max(axis=-1)
        worst = max(worst, distances.min(axis=0).max(), distances.min(axis=1).max())
    return worst


def final_differences(torchvision, theirs, ours, images):
    """The largest differences of the detections, matched one to one, from image to pasted masks."""
    with torchvision.torch.no_grad():
        results = theirs(copy.copy([to_torch_image(image) for image in images]))
    batch = batch_images(images, MIN_SIZE, MAX_SIZE)
    found, masks = ours.segment(ours.variables, batch.image, batch.sizes, batch.original_sizes)
    differences = {"detections": 0, "classes": 0, "box, pixels": 0.0, "score": 0.0, "mask, pixels of all": 0.0}
    for i, (image, result) in enumerate(zip(images, results, strict=True)):
        result = {name: value.numpy() for name, value in result.items()}
        pairs = matched(found, i, result)
        height, width = image.shape[:2]
        wrong = sum(
            (np.asarray(masks[i, a, :height, :width]) != (result["masks"][b, 0] >= 0.5)).sum() for a, b in pairs
        )
        a, b = np.array(pairs).T
        worst = {
            "box, pixels": np.abs(np.asarray(found.boxes[i])[a] - result["boxes"][b]).max(),
            "score": np.abs(np.asarray(found.scores[i])[a] - result["scores"][b]).max(),
            "mask, pixels of all": wrong / (len(pairs) * height * width),
        }
        differences["detections"] += len(pairs)
        differences["classes"] = max(differences["classes"], len(set(result["labels"])))
        differences |= {name: max(differences[name], value) for name, value in worst.items()}
    return differences


def matched(found, i, result):
    """Pairs (ours, theirs) of the same class, nearest boxes first; every detection is in exactly one."""
    slots = np.flatnonzero(found.valid[i])
    assert len(slots) == len(result["labels"])
    boxes, classes = np.asarray(found.boxes[i])[slots], np.asarray(found.classes[i])[slots]
    distances = np.abs(boxes[:, None] - result["boxes"][None]).max(axis=-1)
    distances[classes[:, None] != result["labels"][None]] = np.inf
    pairs = []
    for _ in slots:
        a, b = np.unravel_index(distances.argmin(), distances.shape)
        assert np.isfinite(distances[a, b]), "a detection has no partner of its class"
        pairs.append((slots[a], b))
        distances[a, :] = distances[:, b] = np.inf
    return pairs


def agreement(torchvision, version, sets=SETS, **fields):
    """Returns all differences, the largest over these sets of photographs."""
    model, shapes = detector(version, **fields)
    theirs, variables = lively_pair(torchvision, model, shapes, photographs(1, skip=10)[0], MIN_SIZE, MAX_SIZE)
    ours = Ours(model, jax.tree.map(jnp.asarray, variables))
    every = {i: photographs(1, skip=i)[0] for i in {i for name in sets for i in SETS[name]}}
    worst = {}
    for chosen in (SETS[name] for name in sets):
        images = [every[i] for i in chosen]
        differences = stage_differences(torchvision, theirs, ours, images)
        differences |= final_differences(torchvision, theirs, ours, images)
        worst = {name: max(value, worst.get(name, 0)) for name, value in differences.items()}
    return worst


def main():
    """Prints the table for both versions on a ResNet-50."""
    from torchvision_oracle import load_torchvision

    jax.config.update("jax_default_matmul_precision", "highest")
    columns = [agreement(load_torchvision(), version) for version in (1, 2)]
    print("| largest difference | v1 | v2 |\n|---|---|---|")
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(f"{column[name]:.3g}" for column in columns) + " |")


if __name__ == "__main__":
    main()
