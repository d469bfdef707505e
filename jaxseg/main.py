"""Trains or evaluates a config: ``python -m jaxseg.main --config configs/unet_shapes.py``.

It is the same as ``jaxseg train unet_shapes``. Worker processes for data loading import this module again, so its top
imports nothing heavy.
"""

from jaxseg import ctrl_c

if __name__ == "__main__":
    ctrl_c.end_on_ctrl_c()
    from jaxseg.commands import start  # only now, so that Ctrl-C meets no import

    start("train")
