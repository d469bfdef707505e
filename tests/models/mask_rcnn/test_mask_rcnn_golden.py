"""Mask R-CNN beside what torchvision said, once, with the weights that a seed draws; needs no PyTorch."""

from pathlib import Path

import jax
import numpy as np
import pytest
from detector_oracle import OUTPUT_LAYERS, SMALL, detector, patchwork
from random_weights import random_variables, relative_error

from jaxseg.data.resize import batch_images

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2])
def test_features_logits_and_detections_are_torchvisions_golden(version):
    golden = np.load(GOLDEN / f"mask_rcnn_v{version}.npz")
    model, shapes = detector(version, classes=11, **SMALL)
    variables = random_variables(shapes, seed=version)
    for part, layer in OUTPUT_LAYERS:
        module = variables["params"][part][layer]
        module["kernel"] = module["kernel"] * golden[f"{part}_{layer}_factor"].reshape(
            (1,) * (module["kernel"].ndim - 1) + (-1,)
        )
        module["bias"] = golden[f"{part}_{layer}_bias"]
    batch = batch_images([patchwork((120, 170), seed=version)], 128, 192)

    @jax.jit
    def run(variables, image, sizes):
        pyramid = model.apply(variables, image, method="pyramid")
        logits, _ = model.apply(variables, pyramid, method="rpn_outputs")
        return pyramid, logits, model.apply(variables, image, sizes)

    with jax.default_matmul_precision("highest"):
        pyramid, logits, found = run(variables, batch.image, batch.sizes)
    for i, level in enumerate(pyramid):
        assert relative_error(level[:, ::2, ::2, ::16], golden[f"p{i + 2}"]) < 1e-4
        level_logits = np.reshape(logits[i], (1, *level.shape[1:3], 3))
        assert relative_error(level_logits[:, ::2, ::2], golden[f"logits_{i + 2}"]) < 1e-4

    found = jax.tree.map(lambda x: np.asarray(x[0]), found)
    for box, score, label, mask in zip(*(golden[k] for k in ("boxes", "scores", "labels", "masks")), strict=True):
        nearest = np.where(found.classes == label, np.abs(found.boxes - box).max(axis=-1), np.inf).argmin()
        assert np.abs(found.boxes[nearest] - box).max() < 0.1
        assert abs(found.scores[nearest] - score) < 1e-4
        assert np.abs(found.masks[nearest] - mask[0]).max() < 1e-3
