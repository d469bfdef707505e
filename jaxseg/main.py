"""Trains or evaluates a config: ``python -m jaxseg.main --config configs/unet_shapes.py``.

It is the same as ``jaxseg train unet_shapes``. Worker processes for data loading import this module again, so its top
imports nothing heavy.
"""

from jaxseg.commands import start

if __name__ == "__main__":
    start("train")
