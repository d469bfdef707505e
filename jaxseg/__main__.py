"""Runs a command: ``jaxseg COMMAND`` and ``python -m jaxseg COMMAND``."""

import sys

from jaxseg.commands import run


def main() -> None:
    """Runs the command of the command line and exits with its status."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
