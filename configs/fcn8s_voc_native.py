"""FCN-8s on PASCAL VOC 2012 at the size of its photographs, as in the FCN paper.

Data: VOC and SBD, as for ``fcn8s_voc``. No image is resized: training images are padded to 512x512, which holds all of
them, and padding is ignored. Validation scores every photograph in its own pixels.

Recipe: the paper's, as in ``fcn8s_voc``.

Run:

    python -m jaxseg.main --config configs/fcn8s_voc_native.py --config.data.source_dir=FOLDER

Result: not measured yet. The scores are those of an independent implementation, see ``tests/test_protocols.py``.
"""

from jaxseg.configs import fcn8s_voc


def get_config():
    config = fcn8s_voc.get_config()
    config.data.resize = "none"
    config.data.image_size = (512, 512)
    return config
