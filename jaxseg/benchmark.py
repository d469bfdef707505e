"""Measures a config on this machine: ``python -m jaxseg.benchmark``, the same as ``jaxseg benchmark``."""

import sys

from jaxseg.commands import run_command

if __name__ == "__main__":
    sys.exit(run_command("benchmark", sys.argv[1:]))
