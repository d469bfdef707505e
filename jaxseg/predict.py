"""Segments images: ``python -m jaxseg.predict``, the same as ``jaxseg predict``."""

import sys

from jaxseg.commands import run_command
from jaxseg.commands.prediction import of_run, of_weights, predict

__all__ = ["of_run", "of_weights", "predict"]

if __name__ == "__main__":
    sys.exit(run_command("predict", sys.argv[1:]))
