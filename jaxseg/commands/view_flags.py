"""Flags of `jaxseg predict` and `jaxseg evaluate` that say how each image is predicted: tiles, flips, scales."""

import argparse
from typing import Any

from jaxseg.commands.arguments import Parser


def add_flags(parser: Parser) -> None:
    """Adds the flags that say how each image is predicted."""
    parser.add_argument("--batch", type=int, default=1, help="Images per batch, such as 8 on a GPU. Default: 1.")
    parser.add_argument(
        "--tile", type=int, default=0, help="Predict square tiles of this side in the image's own pixels, such as 512."
    )
    parser.add_argument(
        "--overlap", type=float, default=0.5, help="Share that neighboring tiles overlap. Default: 0.5."
    )
    parser.add_argument("--flips", action="store_true", help="Predict the mirrored image too, and merge both.")
    parser.add_argument(
        "--scales", default="1", help="Predict at several sizes and merge, such as 0.75,1,1.25. Default: 1."
    )


def read_flags(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the values of the flags by the names of the fields of ``inference.engine.Options``.

    Raises:
      ValueError: ``--scales`` is no list of numbers.
    """
    chosen = {name: getattr(options, name) for name in ("batch", "tile", "overlap", "flips")}
    return {**chosen, "scales": _numbers(options.scales)}


def _numbers(text: str) -> tuple[float, ...]:
    """Returns the numbers in a list with commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--scales is {text!r}; expected numbers with commas, such as 0.75,1,1.25") from None
