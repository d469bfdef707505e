"""Semantic segmentation: a class for every pixel."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.data.semantic import batches
from jaxseg.losses import semantic as losses
from jaxseg.metrics import semantic as metrics
from jaxseg.models.resampling import center_crop
from jaxseg.models.table import DTYPES, SEMANTIC, make_model
from jaxseg.ops.images import confusion_matrix, normalize
from jaxseg.tasks.task import Task
from jaxseg.types import IGNORE, Batch, Source


def make_task(
    config: Any, class_names: tuple[str, ...], palette: np.ndarray, axis_name: str | None, cpu_kernels: bool
) -> Task:
    """Ties the config's model and losses and the scores of the FCN paper into a Task."""
    classes = len(class_names)
    model = make_model(SEMANTIC, config, classes, axis_name, cpu_kernels)
    terms = losses.make_terms(classes, tuple(config.loss.class_weights), config.loss.label_smoothing)
    weights = {name: config.loss[name] for name in terms if config.loss[name]}
    if not weights:
        raise ValueError(f"the loss section gives every term the weight 0: choose at least one of {', '.join(terms)}")
    terms = {name: terms[name] for name in weights}
    forward = partial(_forward, model, config)
    image = jnp.zeros((1, *config.data.image_size, 3))
    return Task(
        model=model,
        example=((image,), {"train": False}),
        init=lambda key: model.init(key, image, train=False),
        train_batches=batches.train_batches,
        eval_batches=batches.eval_batches,
        sums=partial(_sums, forward, terms),
        loss=partial(_loss, weights, config.loss.auxiliary),
        score=partial(_score, forward, terms),
        start=partial(_start, classes, tuple(weights)),
        add=_add,
        result=partial(_result, weights),
        score_names=metrics.SCORES,
        predict=lambda variables, image: forward(variables, image)["logits"],
        frozen=(),
        class_names=class_names,
        palette=palette,
    )


def _forward(model: nn.Module, config: Any, variables: dict, image: jax.Array, **options: Any) -> Any:
    """The model on uint8 images, normalized and computed as the config says."""
    image = normalize(image, config.data.mean, config.data.std, config.data.scale, DTYPES[config.precision])
    # float32 means float32: left alone, GPUs and TPUs would round the factors of a product.
    with jax.default_matmul_precision("highest" if config.precision == "float32" else "default"):
        return model.apply(variables, image, **{"train": False, **options})


def _visible(batch: Batch, size: tuple[int, int]) -> tuple[jax.Array, jax.Array | None]:
    """Labels and weights of the pixels that the model predicts; filler images are ignored whole."""
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
    logits = forward(variables, batch.image)["logits"]
    visible = _visible(batch, logits.shape[1:3])
    totals = {
        "confusion": confusion_matrix(visible[0], jnp.argmax(logits, axis=-1), logits.shape[-1]),
        "sum": _term_sums(terms, logits, visible),
        "count": _counts(terms, visible),
    }
    return totals, ()


def _start(classes: int, names: tuple[str, ...], source: Source) -> AbstractContextManager[dict]:
    del source  # labels travel with the images
    zeros = dict.fromkeys(names, 0.0)
    return nullcontext({"confusion": metrics.start(classes), "sum": zeros, "count": zeros})


def _add(state: dict, scored: tuple[dict, tuple], batch: Batch) -> dict:
    del batch
    totals, _ = scored
    added = {
        part: {name: state[part][name] + float(totals[part][name]) for name in state[part]} for part in ("sum", "count")
    }
    return {"confusion": metrics.add(state["confusion"], totals["confusion"]), **added}


def _result(weights: dict[str, float], state: dict) -> dict:
    means = {name: state["sum"][name] / max(state["count"][name], 1e-12) for name in weights}
    return {"loss": _weighted(weights, means), **metrics.result(state["confusion"])}
