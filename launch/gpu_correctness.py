"""Compares the numbers of a GPU with those of the CPU: every model, RoIAlign and the suppression of boxes.

    JAX_PLATFORMS=cuda,cpu python launch/gpu_correctness.py --output correctness.json

Every model is small, random and in float32 with the matmul precision "highest". Both devices get the same variables
and the same batch. Each difference is relative: ``max |gpu - cpu| / max |cpu|`` of outputs, and
``|gpu - cpu| / |cpu|`` of the loss and of the vector of all gradients. The same loss in bfloat16 must be finite. Each
case is printed as one line of JSON when it is done. The exit status is 1 if a case fails.

With ``JAX_PLATFORMS=cpu`` the CPU is compared with itself, which tests this script.
"""

import argparse
import json
import pathlib
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from configs import base
from jaxseg.benchmarks.jaxseg_steps import as_predict_takes
from jaxseg.benchmarks.random_batches import random_batch, random_boxes
from jaxseg.ops.nms import nms
from jaxseg.ops.roi_align import pyramid_level, pyramid_roi_align
from jaxseg.tasks import make_task

CLASSES = 4
SEMANTIC = {
    "unet": {"features": 16, "depth": 3},
    "unet_resnet": {"depth": 18, "width": 8},
    "fcn_vgg": {"width": 8, "hidden": 32, "dropout": 0.0},
    "fcn_resnet": {"depth": 50, "width": 8, "dropout": 0.0},
}
# Every proposal survives and is learned from. Otherwise, rounding could swap two of nearly equal scores, and the two
# devices would learn from different regions.
PROPOSALS = 16 * 16 + 8 * 8 + 4 * 4 + 2 * 2 + 1
DETECTOR = {
    "version": 1,
    "depth": 18,
    "width": 8,
    "channels": 16,
    "hidden": 32,
    "norm": "batch",
    "anchor_sizes": ((8,), (16,), (24,), (32,), (48,)),
    "anchor_ratios": (1.0,),
    "proposal": {"pre_nms_top_n": 100, "post_nms_top_n": 50},
    "training_proposal": {"pre_nms_top_n": PROPOSALS, "post_nms_top_n": PROPOSALS, "nms_iou": 1.0},
    "rpn_sampling": {"batch_size_per_image": 64},
    "box_sampling": {"batch_size_per_image": PROPOSALS + 4, "positive_fraction": 1.0},
    "detection": {"max_detections": 20},
}
# Largest relative difference that a case may have. Sums in another order change float32 by about 1e-6 per layer; batch
# norms of a small batch and ReLUs near 0 amplify that in gradients.
LIMITS = {"outputs": 1e-3, "loss": 1e-4, "gradients": 1e-2, "pooled": 1e-4, "boxes_not_in_both": 0.0, "not_finite": 0}
LIMIT_BFLOAT16 = 0.1

Case = Callable[[jax.Device, jax.Device], dict[str, Any]]


def main() -> None:
    """Runs all cases in threads, which compile side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, help="A .json file for the list of cases.")
    parser.add_argument("--only", default="", help="Names of cases, such as unet,nms; the default runs all.")
    parser.add_argument("--threads", type=int, default=8, help="Number of cases that run at once, 8 by default.")
    flags = parser.parse_args()
    device, cpu = jax.devices()[0], jax.devices("cpu")[0]
    chosen = flags.only.split(",") if flags.only else list(CASES)
    done, lock = [], threading.Lock()

    def run(name: str) -> None:
        row = {"case": name, "device": device.device_kind, **timed(CASES[name], device, cpu)}
        with lock:
            done.append(row)
            print(json.dumps(row), flush=True)
            if flags.output:
                flags.output.write_text(json.dumps(done, indent=2) + "\n")

    with ThreadPoolExecutor(flags.threads) as pool:
        list(pool.map(run, chosen))
    failed = [row["case"] for row in done if not row["passed"]]
    if failed:
        sys.exit(f"the GPU and the CPU differ: {', '.join(failed)}")


def timed(case: Case, device: jax.Device, cpu: jax.Device) -> dict[str, Any]:
    """Returns the differences of one case, whether all are within their limits, and the seconds that it took."""
    start = time.perf_counter()
    try:
        row = case(device, cpu)
        checks = [row[name] <= limit for name, limit in LIMITS.items() if name in row]
        checks += [row[name] <= LIMIT_BFLOAT16 for name in row if name.startswith("bfloat16")]
        row["passed"] = bool(checks) and all(checks)
    except Exception as error:
        traceback.print_exc()
        row = {"passed": False, "error": f"{type(error).__name__}: {error}".splitlines()[0]}
    return row | {"seconds": round(time.perf_counter() - start, 1)}


def model_config(task: str, model: dict[str, Any], precision: str) -> Any:
    """Returns the config of a small model on two images of 64x64 pixels."""
    config = base.get_config()
    config.task, config.model, config.precision = task, model, precision
    config.data.image_size, config.data.crop_size = (64, 64), (64, 64)
    config.data.min_size = config.data.max_size = 64
    config.data.max_objects = 4
    config.train.batch_size = 2
    return config


def compare_model(task_name: str, model: dict[str, Any], device: jax.Device, cpu: jax.Device) -> dict[str, Any]:
    """Compares predictions, the loss and its gradients of one model."""
    config = model_config(task_name, model, "float32")
    names = tuple(f"class {number}" for number in range(CLASSES))
    palette = np.zeros((CLASSES, 3), np.uint8)
    task = make_task(config, names, palette)
    with jax.default_device(cpu):
        variables = make_comparable(jax.device_get(jax.jit(task.model.init)(jax.random.key(0))))
    batch = random_batch(config, CLASSES, (64, 64))
    arguments = variables, batch, as_predict_takes(config, batch)
    expected, found = (run_on(where, partial(predict_and_learn, task), *arguments) for where in (cpu, device))
    rounded = make_task(model_config(task_name, model, "bfloat16"), names, palette)
    rough = run_on(device, partial(predict_and_learn, rounded), *arguments)
    row = {
        "loss": relative(found["loss"], expected["loss"]),
        "gradients": norm_difference(found["gradients"], expected["gradients"]),
        "bfloat16_loss": relative(rough["loss"], expected["loss"]),
        "not_finite": count_not_finite(rough),
    }
    if task_name == "semantic":
        return row | {"outputs": relative(found["predictions"], expected["predictions"])}
    return row | {"detections_not_in_both": missing_share(found["predictions"], expected["predictions"])}


def make_comparable(variables: dict) -> dict:
    """Changes random variables so that two devices can be compared with them.

    Parameters that start as zeros become small random numbers: behind zeros, nothing could differ. The scales of the
    last norms of bottleneck blocks become 0.2. With their initial 1, gradients grow from block to block, and a change
    of all parameters by 1e-6 changes those of FCN-ResNet50 by 2e-2; with 0.2, by 2e-5.
    """
    rng = np.random.default_rng(0)

    def change(path: tuple, leaf: np.ndarray) -> np.ndarray:
        if [entry.key for entry in path[-2:]] == ["bn3", "scale"]:
            return 0.2 * leaf
        return leaf if leaf.any() else 0.05 * rng.standard_normal(leaf.shape, leaf.dtype)

    return {**variables, "params": jax.tree_util.tree_map_with_path(change, variables["params"])}


def predict_and_learn(task: Any, variables: dict, batch: Any, inputs: tuple) -> dict[str, Any]:
    """Returns the predictions, the loss and its gradients of one batch."""

    def loss_of(params):
        stats = variables.get("batch_stats", {})
        sums, counts, _ = task.loss.sums(params, stats, batch, jax.random.key(1), 0)
        return task.loss.combine(sums, counts)[0]

    loss, gradients = jax.value_and_grad(loss_of)(variables["params"])
    return {"loss": loss, "gradients": gradients, "predictions": task.model.predict(variables, *inputs)}


def compare_roi_align(form: str, device: jax.Device, cpu: jax.Device) -> dict[str, Any]:
    """Compares one form of RoIAlign and its gradient with ``gather`` on the CPU."""
    rng = np.random.default_rng(0)
    strides, size = (4, 8, 16, 32), (256, 256)
    features = [rng.standard_normal((256 // s, 256 // s, 32), np.float32) for s in strides]
    boxes = random_boxes(rng, 128, size)
    weights = rng.standard_normal((128, 7, 7, 32), np.float32)

    def pool(form, dtype, features, boxes, weights):
        levels = pyramid_level(boxes, 2, 5) - 2
        options = {"output_size": (7, 7), "scales": [1 / s for s in strides], "sampling_ratio": 2, "aligned": False}

        def of_features(features):
            with jax.default_matmul_precision("highest"):
                return pyramid_roi_align(features, boxes, levels, form=form, **options)

        pooled, pull_back = jax.vjp(of_features, [f.astype(dtype) for f in features])
        return jax.tree.map(lambda x: x.astype(jnp.float32), (pooled, pull_back(weights.astype(dtype))[0]))

    arguments = features, boxes, weights
    expected = run_on(cpu, partial(pool, "gather", jnp.float32), *arguments)
    found = run_on(device, partial(pool, form, jnp.float32), *arguments)
    rough = run_on(device, partial(pool, form, jnp.bfloat16), *arguments)
    return {
        "pooled": relative(found[0], expected[0]),
        "gradients": norm_difference(found[1], expected[1]),
        "bfloat16_pooled": norm_difference(rough[0], expected[0]),
        "bfloat16_gradients": norm_difference(rough[1], expected[1]),
    }


def compare_nms(device: jax.Device, cpu: jax.Device) -> dict[str, Any]:
    """Compares which of 2000 boxes survive: all of them in the same order."""
    rng = np.random.default_rng(0)
    boxes = random_boxes(rng, 2000, (512, 512))
    scores, groups = rng.random(2000, np.float32), rng.integers(0, 5, 2000, np.int32)
    suppress = partial(nms, iou_threshold=0.5, max_output=1000)
    arguments = boxes, scores, groups, np.ones(2000, bool)
    expected, found = (run_on(where, suppress, *arguments) for where in (cpu, device))
    differ = [np.mean(a != b) for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)]
    return {"boxes_not_in_both": float(max(differ))}


CASES: dict[str, Case] = {
    "mask_rcnn": partial(compare_model, "instances", {"name": "mask_rcnn", **DETECTOR}),
    **{name: partial(compare_model, "semantic", {"name": name, **fields}) for name, fields in SEMANTIC.items()},
    "roi_align_gather": partial(compare_roi_align, "gather"),
    "roi_align_einsum": partial(compare_roi_align, "einsum"),
    "nms": compare_nms,
}


def run_on(device: jax.Device, function: Callable[..., Any], *arguments: Any) -> Any:
    """Compiles and runs a function on one device; returns numpy arrays."""
    with jax.default_device(device):
        return jax.device_get(jax.jit(function)(*jax.device_put(arguments, device)))


def relative(found: Any, expected: Any) -> float:
    """Returns ``max |found - expected| / max |expected|``."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))


def norm_difference(found: Any, expected: Any) -> float:
    """Returns ``|found - expected| / |expected|`` of all arrays of two trees as one vector each."""
    pairs = list(zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True))
    difference = sum(np.square(np.float64(a) - np.float64(b)).sum() for a, b in pairs)
    return float(np.sqrt(difference / max(sum(np.square(np.float64(b)).sum() for _, b in pairs), 1e-30)))


def count_not_finite(tree: Any) -> int:
    """Returns the number of elements of all arrays that are infinite or not a number."""
    return sum(int((~np.isfinite(np.asarray(leaf, np.float32))).sum()) for leaf in jax.tree.leaves(tree))


def missing_share(found: Any, expected: Any) -> float:
    """Returns the share of expected detections without one of the same class within a tenth of a pixel."""
    missing = total = 0
    for boxes, classes, valid, gt_boxes, gt_classes, gt_valid in zip(
        found.boxes, found.classes, found.valid, expected.boxes, expected.classes, expected.valid, strict=True
    ):
        near = np.abs(gt_boxes[:, None] - boxes[None]).max(axis=-1) < 0.1
        same = near & (gt_classes[:, None] == classes[None]) & valid[None]
        missing += int((gt_valid & ~same.any(axis=1)).sum())
        total += int(gt_valid.sum())
    return missing / max(total, 1)


if __name__ == "__main__":
    main()
