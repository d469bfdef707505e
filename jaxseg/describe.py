"""What a model is made of, for people: ``model.txt``."""

import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxseg.experiment import Experiment


def write_model_table(folder: pathlib.Path, experiment: Experiment) -> None:
    """Writes ``model.txt``: every layer with its output, parameters and floating-point operations for one image."""
    size = experiment.config.data.image_size
    table = nn.tabulate(
        experiment.task.model,
        jax.random.key(0),
        compute_flops=True,
        console_kwargs={"width": 150, "force_terminal": False},
        column_kwargs={"overflow": "fold"},
    )(jnp.zeros((1, *size, 3)), train=False)
    (folder / "model.txt").write_text(table)
