"""What a model is made of, for people: ``model.txt``."""

import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp


def write_model_table(path: pathlib.Path, model: nn.Module, size: tuple[int, int]) -> None:
    """Writes every layer with its output, its parameters and its floating-point operations for one image of a size."""
    table = nn.tabulate(
        model,
        jax.random.key(0),
        compute_flops=True,
        console_kwargs={"width": 150, "force_terminal": False},
        column_kwargs={"overflow": "fold"},
    )(jnp.zeros((1, *size, 3)), train=False)
    path.write_text(table)
