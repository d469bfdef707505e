"""What a model is made of, for people: ``model.txt``."""

import pathlib

import flax.linen as nn
import jax

from jaxseg.storage import write_text


def write_model_table(path: pathlib.Path, model: nn.Module, example: tuple[tuple, dict]) -> None:
    """Writes every layer with its output, its parameters and its floating-point operations.

    Args:
      path: the file.
      model: the module.
      example: arguments and keyword arguments to call it with.
    """
    arguments, options = example
    table = nn.tabulate(
        model,
        jax.random.key(0),
        compute_flops=True,
        console_kwargs={"width": 150, "force_terminal": False},
        column_kwargs={"overflow": "fold"},
    )(*arguments, **options)
    write_text(path, table)
