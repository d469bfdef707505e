"""Semantic segmentation: a class for every pixel."""

import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.data.augment.device import augments_on_device
from jaxseg.data.augment.noise import standard_normal
from jaxseg.data.semantic import batches
from jaxseg.data.semantic.sizing import read_sizing, scores_original
from jaxseg.data.semantic.transforms import mean_color
from jaxseg.losses import semantic as losses
from jaxseg.metrics import calibration, per_image
from jaxseg.metrics import semantic as metrics
from jaxseg.metrics.details import Details
from jaxseg.models.resampling import center_crop
from jaxseg.models.table import DTYPES, SEMANTIC, make_model
from jaxseg.models.unet import UNet
from jaxseg.ops.augmentation import augment_batch
from jaxseg.ops.images import confidence_sums, confusion_matrices, normalize
from jaxseg.ops.padding import valid_mask, zero_padding
from jaxseg.ops.resize import resized_confusions
from jaxseg.parallel.mesh import from_all_processes
from jaxseg.tasks.task import Classes, Data, Loss, Metric, Model, Task
from jaxseg.types import IGNORE, Batch, Source, UnaugmentedBatch


def make_task(
    config: Any, class_names: tuple[str, ...], palette: np.ndarray, axis_name: str | None, cpu_kernels: bool
) -> Task:
    """Makes the task of a semantic model, with the losses of the config and the scores of the FCN paper."""
    classes = len(class_names)
    model = make_model(SEMANTIC, config, classes, axis_name, cpu_kernels)
    terms = losses.make_terms(classes, config.loss)
    weights = {name: config.loss[name] for name in terms if config.loss[name]}
    if not weights:
        raise ValueError(f"the loss section gives every term the weight 0: choose at least one of {', '.join(terms)}")
    terms = {name: terms[name] for name in weights}
    check_native(model, config)
    forward = partial(_forward, model, config)
    image = jnp.zeros((1, *config.data.image_size, 3))
    return Task(
        Model(
            module=model,
            example=((image,), {"train": False}),
            init=lambda key: model.init(key, image, train=False),
            predict=lambda variables, image, sizes=None: forward(variables, image, sizes)["logits"],
        ),
        Data(batches.train_batches, batches.eval_batches, batches.largest_batch, batches.train_dataset),
        Loss(partial(_sums, forward, terms), partial(_loss, weights, config.loss.auxiliary), make_prepare(config)),
        Metric(
            score=partial(_score, forward, terms),
            start=partial(_start, classes, tuple(weights)),
            add=_add,
            result=partial(_result, weights),
            details=partial(_details, class_names),
            names=metrics.SCORES,
        ),
        Classes(class_names, palette),
    )


def make_prepare(config: Any) -> Callable[[UnaugmentedBatch], Batch] | None:
    """Returns the augmentation of batches inside the step; None if the host augments them.

    Raises:
      ValueError: the device cannot augment as the config asks.
    """
    if not augments_on_device(config.data):
        return None
    if config.mesh.spatial != 1:
        raise ValueError(
            f"mesh.spatial is {config.mesh.spatial}; expected 1 for data.augment_on='device', since a crop may need "
            "any row of an image. Set data.augment_on='host'."
        )
    return partial(augment_batch, fill=mean_color(config.data), draw_noise=partial(standard_normal, jnp))


def check_native(model: nn.Module, config: Any) -> None:
    """Checks that a model can see images of several sizes, or be scored in the pixels of the files, if it has to.

    Raises:
      ValueError: it cannot.
    """
    native, original = not read_sizing(config.data).stretches, scores_original(config.data)
    field = f"resize is {config.data.resize!r}" if native else "score_at is 'original'"
    if native and config.mesh.spatial != 1:
        raise ValueError(f"mesh.spatial is {config.mesh.spatial}; expected 1, since data.{field}.")
    if not (native or original) or not isinstance(model, UNet):
        return
    if model.padding == "valid" or model.fit == "crop":
        raise ValueError(
            f"data.{field}; expected {'stretch' if native else 'network'!r}, since the output of this U-Net is smaller "
            "than its input. Set model.padding=same and model.fit=pad, or change the field."
        )


def _forward(
    model: nn.Module, config: Any, variables: dict, image: jax.Array, sizes: jax.Array | None = None, **options: Any
) -> Any:
    """Computes the model on uint8 images, normalized and in the precision of the config.

    ``sizes`` are those of images that the batch pads, ``[b, 2]``.
    """
    image = normalize(image, config.data.mean, config.data.std, config.data.scale, DTYPES[config.precision])
    if sizes is not None:
        image = zero_padding(image, valid_mask(sizes, image.shape[1:3], 1))
        options["extents"] = sizes
    # float32 means float32: left alone, GPUs and TPUs would round the factors of a product.
    with jax.default_matmul_precision("highest" if config.precision == "float32" else "default"):
        return model.apply(variables, image, **{"train": False, **options})


def _visible(batch: Batch, size: tuple[int, int]) -> tuple[jax.Array, jax.Array | None]:
    """Returns labels and weights of the pixels that the model predicts. All pixels of filler images are ignored."""
    label = jnp.where(batch.valid[:, None, None], batch.label, IGNORE)
    weight = None if batch.weight is None else center_crop(batch.weight, *size)
    return center_crop(label, *size), weight


def _counts(terms: dict[str, losses.Term], visible: tuple) -> dict[str, jax.Array]:
    return {name: jnp.sum(jax.vmap(term.count)(*visible)) for name, term in terms.items()}


def _term_sums(terms: dict[str, losses.Term], logits: jax.Array, visible: tuple) -> dict[str, jax.Array]:
    return {name: jnp.sum(jax.vmap(term.sum)(logits, *visible)) for name, term in terms.items()}


def _sums(forward, terms, params, batch_stats, batch, key, part):
    outputs, changed = forward(
        {"params": params, "batch_stats": batch_stats},
        batch.image,
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": jax.random.fold_in(key, part)},
    )
    visible = _visible(batch, outputs["logits"].shape[1:3])
    sums = {head: _term_sums(terms, logits, visible) for head, logits in outputs.items()}
    return sums, _counts(terms, visible), changed.get("batch_stats", {})


def _loss(weights, auxiliary, sums, counts):
    def means(sums):
        # A batch without a labeled pixel has sum 0 and count 0: its loss is 0.
        return {name: total / jnp.maximum(counts[name], 1e-12) for name, total in sums.items()}

    logs = means(sums["logits"])
    loss = _weighted(weights, logs)
    if "aux_logits" in sums:
        logs["auxiliary"] = _weighted(weights, means(sums["aux_logits"]))
        loss += auxiliary * logs["auxiliary"]
    return loss, logs


def _weighted(weights: dict[str, float], values: dict[str, Any]) -> Any:
    return sum(weights[name] * value for name, value in values.items())


def _score(forward, terms, variables, batch):
    logits = forward(variables, batch.image, batch.sizes)["logits"]
    visible = _visible(batch, logits.shape[1:3])
    label = visible[0]
    confusions = _confusions(logits, label, batch)
    totals = {
        "confusion": jnp.sum(confusions, axis=0),
        # A fourth of the pixels says as much about the calibration as all of them.
        "confidence": confidence_sums(label[:, ::2, ::2], logits[:, ::2, ::2], calibration.BINS),
        "sum": _term_sums(terms, logits, visible),
        "count": _counts(terms, visible),
    }
    hits, truth, predicted = jnp.diagonal(confusions, axis1=1, axis2=2), confusions.sum(axis=2), confusions.sum(axis=1)
    return totals, jnp.stack([hits, truth, predicted], axis=1)


def _confusions(logits: jax.Array, label: jax.Array, batch: Batch) -> jax.Array:
    """Returns the confusion matrix of each image, in the pixels of its file if the batch has that label map."""
    if batch.original is None:
        return confusion_matrices(label, jnp.argmax(logits, axis=-1), logits.shape[-1])
    seen = batch.sizes
    if seen is None:
        seen = jnp.broadcast_to(jnp.array(logits.shape[1:3], jnp.int32), (len(logits), 2))
    original = jnp.where(batch.valid[:, None, None], batch.original, IGNORE)
    return resized_confusions(logits, seen, batch.original_sizes, original)


class _Evaluation(NamedTuple):
    """State of an evaluation: sums over all processes, and the pixels of each of this process's images."""

    confusion: np.ndarray
    confidence: np.ndarray
    sums: dict[str, float]
    counts: dict[str, float]
    images: tuple[tuple[np.ndarray, np.ndarray], ...]  # per batch: index [b], pixels [b, 3, k]


def _start(classes: int, names: tuple[str, ...], source: Source) -> AbstractContextManager[_Evaluation]:
    del source  # labels travel with the images
    zeros = dict.fromkeys(names, 0.0)
    return nullcontext(_Evaluation(metrics.start(classes), np.zeros((3, calibration.BINS)), zeros, zeros, ()))


def _add(state: _Evaluation, scored: tuple[dict, Any], batch: Batch) -> _Evaluation:
    totals, pixels = scored
    return _Evaluation(
        confusion=metrics.add(state.confusion, totals["confusion"]),
        confidence=state.confidence + np.asarray(totals["confidence"], np.float64),
        sums={name: total + float(totals["sum"][name]) for name, total in state.sums.items()},
        counts={name: total + float(totals["count"][name]) for name, total in state.counts.items()},
        images=(*state.images, (np.asarray(batch.index), np.asarray(pixels))),
    )


def _result(weights: dict[str, float], state: _Evaluation) -> dict:
    means = {name: state.sums[name] / max(state.counts[name], 1e-12) for name in weights}
    return {"loss": _weighted(weights, means), **metrics.result(state.confusion)}


def _details(class_names: tuple[str, ...], state: _Evaluation, share: int) -> Details:
    # Processes that divide images over rows have the same share, which counts once.
    shares = dict(pickle.loads(one) for one in from_all_processes(pickle.dumps((share, state.images))))
    rows = [part for images in shares.values() for part in images]
    index, pixels = (np.concatenate([row[i] for row in rows]) for i in range(2))
    pixels = pixels[index >= 0][np.argsort(index[index >= 0])]
    return Details(
        ranked_by="mean IoU of the image",
        images=per_image.score_label_maps(pixels, class_names),
        calibration=calibration.calibration(state.confidence),
        calibrated="pixels",
        confusion=state.confusion,
    )
