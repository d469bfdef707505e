"""A run small enough for tests: generated shapes, a narrow U-Net, a few steps."""

import contextlib

import jax
import jax.numpy as jnp
import pytest

from configs import base
from jaxseg.data.sources import open_source
from jaxseg.inference.engine import TrainedModel
from jaxseg.models import table as models
from jaxseg.run.experiment import build, resolve
from jaxseg.run.state import eval_variables


def tiny_config(**fields):
    """A config that trains in seconds; ``fields`` are dotted names with ``__`` for the dots."""
    config = base.get_config()
    config.data.image_size = (32, 32)
    config.data.workers = 0
    config.data.cache = False
    config.model = {"name": "unet", "features": 4, "depth": 1, "norm_momentum": 0.9}
    config.train.batch_size = 8
    config.train.steps = 4
    config.train.evaluate_every = 2
    config.train.checkpoint_every = 2
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return config


def tiny_detector(**fields):
    """A config of a detector that trains in seconds, once it is compiled."""
    config = tiny_config(
        task="instances",
        data__min_size=64,
        data__max_size=64,
        data__max_objects=6,
        train__batch_size=4,
        train__best_metric="segm_AP",
        optimizer__name="sgd",
        optimizer__learning_rate=0.01,
    )
    config.model = {
        "name": "mask_rcnn",
        "depth": 18,
        "width": 4,
        "channels": 8,
        "hidden": 8,
        "anchor_sizes": ((8,), (16,), (32,), (48,), (64,)),
        "proposal": {"pre_nms_top_n": 20, "post_nms_top_n": 12},
        "training_proposal": {"pre_nms_top_n": 20, "post_nms_top_n": 12},
        "rpn_sampling": {"batch_size_per_image": 16},
        "box_sampling": {"batch_size_per_image": 8},
        "detection": {"max_detections": 5},
    }
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return config


get_config = tiny_config  # this file is a config, too, for runs in processes of their own


def tiny_experiment(config, devices=None):
    """The experiment of a config, with the training split that it learns from."""
    source = open_source(config.data, config.data.train)
    return build(resolve(config, source), source.class_names, source.palette, devices), source


def tiny_trained(**fields):
    """The model of a tiny detector with its first parameters, for predictions and exports."""
    experiment, source = tiny_experiment(tiny_detector(**fields), jax.devices()[:1])
    variables = jax.tree.map(jnp.asarray, eval_variables(experiment.steps.init()))
    ids = tuple(range(len(source.class_names)))
    model = experiment.task.model.module
    return TrainedModel(experiment.config, model, variables, source.class_names, source.palette, ids)


@contextlib.contextmanager
def float64():
    """Within this context a config's precision may be "float64"; for comparisons that rounding would blur."""
    with pytest.MonkeyPatch.context() as patch, jax.enable_x64(True):
        patch.setitem(models.DTYPES, "float64", jnp.float64)
        yield


def in_precision(state, dtype):
    """The state, its real numbers of this type."""
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, state)
