"""Runs a command: ``jaxseg COMMAND`` and ``python -m jaxseg COMMAND``."""

from jaxseg import ctrl_c


def main() -> None:
    """Runs the command of the command line and exits with its status."""
    ctrl_c.end_on_ctrl_c()
    from jaxseg.commands import start  # only now, so that Ctrl-C meets no import

    start()


if __name__ == "__main__":
    main()
