"""Segments images: ``python -m jaxseg.predict``, the same as ``jaxseg predict``."""

from jaxseg.commands import start
from jaxseg.commands.prediction import of_run, of_weights, predict

__all__ = ["of_run", "of_weights", "predict"]

if __name__ == "__main__":
    start("predict")
