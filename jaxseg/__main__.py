"""Runs a command: ``jaxseg COMMAND`` and ``python -m jaxseg COMMAND``."""

from jaxseg.commands import start


def main() -> None:
    """Runs the command of the command line and exits with its status."""
    start()


if __name__ == "__main__":
    main()
