"""Instance segmentation: a box, a class and a mask for every object."""

import pickle
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxseg.data.augment.device import check_on_host
from jaxseg.data.instances import batches as instance_batches
from jaxseg.data.resize import buckets
from jaxseg.losses import mask_rcnn as losses
from jaxseg.losses.mask_rcnn import Mean
from jaxseg.metrics import average_precision
from jaxseg.metrics import coco_evaluation as metrics
from jaxseg.metrics.coco_matching import Matches
from jaxseg.metrics.details import Details
from jaxseg.models.backbones.resnet import frozen_modules
from jaxseg.models.mask_rcnn.detections import in_original_pixels
from jaxseg.models.mask_rcnn.model import MaskRCNN
from jaxseg.models.mask_rcnn.training import GroundTruth, TrainingOutputs
from jaxseg.models.table import INSTANCES, make_model
from jaxseg.ops.images import normalize
from jaxseg.ops.padding import padded_to_stride, valid_mask, zero_padding
from jaxseg.parallel.mesh import from_all_processes
from jaxseg.tasks.task import Classes, Data, Loss, Metric, Model, Task
from jaxseg.types import InstanceBatch


def make_task(
    config: Any, class_names: tuple[str, ...], palette: np.ndarray, axis_name: str | None, cpu_kernels: bool
) -> Task:
    """Makes the task of a detector, with its five losses and COCO's scores."""
    if config.mesh.spatial != 1:
        raise ValueError(f"mesh.spatial is {config.mesh.spatial}: detectors do not divide images, set it to 1")
    check_on_host(config.data)
    model = make_model(INSTANCES, config, len(class_names), axis_name, cpu_kernels)
    size = buckets(config.data.min_size, config.data.max_size)[0]
    example = (np.zeros((1, *size, 3), np.float32), np.array([size], np.int32))
    detect = partial(_detect, model, config.precision)
    return Task(
        Model(
            module=model,
            example=(example, {}),
            init=partial(_init, model),
            predict=detect,
            frozen=tuple(f"backbone/{name}" for name in frozen_modules(model.trainable_layers)),
        ),
        Data(instance_batches.train_batches, instance_batches.eval_batches, instance_batches.largest_batch),
        Loss(partial(_sums, model.clone(train=True), config), _loss),
        Metric(
            score=partial(_score, detect, config.data),
            start=partial(metrics.start, processes=max(config.data.workers, 2)),
            add=_add,
            result=_result,
            details=_details,
            names=average_precision.SCORES,
        ),
        Classes(class_names, palette),
    )


def five_losses(outputs: TrainingOutputs) -> dict[str, Mean]:
    """Computes the losses of Mask R-CNN by torchvision's names. Their sum is minimized."""
    anchors, regions = outputs.anchors, outputs.regions
    first = outputs.mask_logits.shape[1]
    classes, valid = regions.gt_classes, regions.valid
    with_mask = valid[:, :first] & outputs.has_mask
    return {
        "loss_objectness": losses.objectness(anchors.logits, anchors.positive, anchors.valid),
        "loss_rpn_box_reg": losses.rpn_boxes(anchors.deltas, anchors.gt_deltas, anchors.positive, anchors.valid),
        "loss_classifier": losses.classification(outputs.class_logits, classes, valid),
        "loss_box_reg": losses.head_boxes(outputs.box_deltas, regions.gt_deltas, classes, valid),
        "loss_mask": losses.masks(outputs.mask_logits, outputs.gt_masks, classes[:, :first], with_mask),
    }


def _init(model: MaskRCNN, key: jax.Array) -> dict:
    # Variables do not depend on the size of images.
    return model.init(key, np.zeros((1, 64, 64, 3), np.float32), np.full((1, 2), 64, np.int32))


def _inputs(data: Any, batch: InstanceBatch) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns images, sizes and extents for the detector; the padding of normalized images is 0."""
    image = normalize(batch.image, data.mean, data.std, data.scale)
    return zero_padding(image, valid_mask(batch.sizes, image.shape[1:3], 1)), batch.sizes, padded_to_stride(batch.sizes)


def _sums(model, config, params, batch_stats, batch, key, part):
    del part  # random samples are a function of the step and the image, not of the rest of the batch
    keys = jax.vmap(partial(jax.random.fold_in, key))(batch.index)
    image, sizes, extents = _inputs(config.data, batch)
    truth = GroundTruth(batch.boxes, batch.classes, batch.masks, batch.usable)
    with _matmul_precision(config.precision):
        outputs, changed = model.apply(
            {"params": params, "batch_stats": batch_stats},
            image,
            sizes,
            truth,
            keys,
            extents,
            method="training",
            mutable=["batch_stats"],
        )
    means = five_losses(outputs)
    sums, counts = ({name: mean[i] for name, mean in means.items()} for i in range(2))
    return sums, counts, changed["batch_stats"]


def _loss(sums, counts):
    logs = {name: Mean(total, counts[name]).value() for name, total in sums.items()}
    return sum(logs.values()), logs


def _detect(model, precision, variables, image, sizes, extents):
    with _matmul_precision(precision):
        return model.apply(variables, image, sizes, extents)


def _matmul_precision(precision: str) -> Any:
    # Without it, GPUs and TPUs would round the factors of float32 products.
    return jax.default_matmul_precision("highest" if precision == "float32" else "default")


def _score(detect, data, variables, batch):
    found = detect(variables, *_inputs(data, batch))
    return (), in_original_pixels(found, batch.sizes, batch.original_sizes)


def _add(scoring: metrics.Scoring, scored: tuple, batch: InstanceBatch) -> metrics.Scoring:
    _, found = scored
    rows = np.flatnonzero(batch.valid)
    for row in rows:
        one = jax.tree.map(lambda array, row=row: array[row], found)
        scoring = metrics.add(scoring, one, int(batch.index[row]), tuple(batch.original_sizes[row]))
    return scoring


def _result(scoring: metrics.Scoring) -> dict:
    return metrics.scores(scoring, _all_matches(scoring))


def _details(scoring: metrics.Scoring, share: int) -> Details:
    del share  # each process has images of its own
    return metrics.details(scoring, _all_matches(scoring))


def _all_matches(scoring: metrics.Scoring) -> list[Matches]:
    own = pickle.dumps(metrics.matches(scoring))
    shares = [pickle.loads(share) for share in from_all_processes(own)]
    return [match for share in shares for match in share]
