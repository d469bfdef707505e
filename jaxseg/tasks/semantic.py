"""Semantic segmentation: a class for every pixel."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.losses import semantic as losses
from jaxseg.metrics import semantic as metrics
from jaxseg.models.resampling import center_crop
from jaxseg.ops.images import confusion_matrix, normalize
from jaxseg.tasks.models import DTYPES, SEMANTIC, make_model
from jaxseg.tasks.task import Task
from jaxseg.types import IGNORE, Batch


def make_task(config: Any, class_names: tuple[str, ...], palette: np.ndarray, axis_name: str | None) -> Task:
    """Ties the config's model and losses and the scores of the FCN paper into a Task."""
    classes = len(class_names)
    model = make_model(SEMANTIC, config, classes, axis_name)
    terms = losses.make_terms(classes, tuple(config.loss.class_weights), config.loss.label_smoothing)
    weights = {name: config.loss[name] for name in terms if config.loss[name]}
    if not weights:
        raise ValueError(f"the loss section gives every term the weight 0: choose at least one of {', '.join(terms)}")
    forward = partial(_forward, model, config)
    size = config.data.image_size

    def init(key):
        return model.init(key, jnp.zeros((1, *size, 3)), train=False)

    output = jax.eval_shape(forward, jax.eval_shape(init, jax.random.key(0)), np.zeros((1, *size, 3), np.uint8))
    output_size = output["logits"].shape[1:3]
    return Task(
        model=model,
        init=init,
        denominators=partial(_denominators, {name: terms[name] for name in weights}, output_size),
        loss=partial(_loss, forward, terms, weights, config.loss),
        score=partial(_score, forward, terms, weights),
        start=partial(_start, classes, tuple(weights)),
        add=_add,
        result=partial(_result, weights),
        score_names=metrics.SCORES,
        predict=lambda variables, image: forward(variables, image)["logits"],
        class_names=class_names,
        palette=palette,
    )


def _forward(model: nn.Module, config: Any, variables: dict, image: jax.Array, **options: Any) -> Any:
    """The model on uint8 images, normalised and computed as the config says."""
    image = normalize(image, config.data.mean, config.data.std, config.data.scale, DTYPES[config.precision])
    # float32 means float32: left alone, GPUs and TPUs would round the factors of a product.
    with jax.default_matmul_precision("highest" if config.precision == "float32" else "default"):
        return model.apply(variables, image, **{"train": False, **options})


def _visible(batch: Batch, size: tuple[int, int]) -> tuple[jax.Array, jax.Array | None]:
    """Labels and weights of the pixels that the model predicts; filler images are ignored whole."""
    label = jnp.where(batch.valid[:, None, None], batch.label, IGNORE)
    weight = None if batch.weight is None else center_crop(batch.weight, *size)
    return center_crop(label, *size), weight


def _denominators(terms: dict[str, losses.Term], size: tuple[int, int], batch: Batch) -> dict[str, jax.Array]:
    visible = _visible(batch, size)
    return {name: jnp.sum(jax.vmap(term.count)(*visible)) for name, term in terms.items()}


def _sums(terms: dict[str, losses.Term], names: Any, logits: jax.Array, visible: tuple) -> dict[str, jax.Array]:
    return {name: jnp.sum(jax.vmap(terms[name].sum)(logits, *visible)) for name in names}


def _loss(forward, terms, weights, config, params, batch_stats, batch, denominators, key):
    outputs, changed = forward(
        {"params": params, "batch_stats": batch_stats},
        batch.image,
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": key},
    )
    visible = _visible(batch, outputs["logits"].shape[1:3])

    def means(logits):
        sums = _sums(terms, weights, logits, visible)
        # A batch without a labelled pixel has sum 0 and count 0: its loss is 0.
        return {name: total / jnp.maximum(denominators[name], 1e-12) for name, total in sums.items()}

    logs = means(outputs["logits"])
    loss = _weighted(weights, logs)
    if "aux_logits" in outputs:
        logs["auxiliary"] = _weighted(weights, means(outputs["aux_logits"]))
        loss += config.auxiliary * logs["auxiliary"]
    return loss, (changed.get("batch_stats", {}), logs)


def _weighted(weights: dict[str, float], values: dict[str, Any]) -> Any:
    return sum(weights[name] * value for name, value in values.items())


def _score(forward, terms, weights, variables, batch):
    logits = forward(variables, batch.image)["logits"]
    visible = _visible(batch, logits.shape[1:3])
    return {
        "confusion": confusion_matrix(visible[0], jnp.argmax(logits, axis=-1), logits.shape[-1]),
        "sum": _sums(terms, weights, logits, visible),
        "count": {name: jnp.sum(jax.vmap(terms[name].count)(*visible)) for name in weights},
    }


def _start(classes: int, names: tuple[str, ...]) -> dict:
    zeros = dict.fromkeys(names, 0.0)
    return {"confusion": metrics.start(classes), "sum": zeros, "count": zeros}


def _add(total: dict, sums: dict) -> dict:
    added = {
        part: {name: total[part][name] + float(sums[part][name]) for name in total[part]} for part in ("sum", "count")
    }
    return {"confusion": metrics.add(total["confusion"], sums["confusion"]), **added}


def _result(weights: dict[str, float], total: dict) -> dict:
    means = {name: total["sum"][name] / max(total["count"][name], 1e-12) for name in weights}
    return {"loss": _weighted(weights, means), **metrics.result(total["confusion"])}
