"""Measures a config on this machine: ``python -m jaxseg.benchmark``, the same as ``jaxseg benchmark``."""

from jaxseg.commands import start

if __name__ == "__main__":
    start("benchmark")
