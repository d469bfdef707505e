"""FCN-8s on PASCAL VOC 2012 at the size of its photographs, as in the FCN paper.

Data: PASCAL VOC 2012 and SBD at their own sizes, in the layout of fcn8s_voc. No image is resized. Training images are
    padded to 512x512, which holds all of them, and padding is ignored. Validation scores each photograph in its own
    pixels.
Recipe: that of fcn8s_voc.
Run: jaxseg train fcn8s_voc_native --config.data.source_dir=FOLDER
Result: no score of a full run is on record. tests/test_protocols.py compares its evaluation with an independent
    implementation.
"""

from jaxseg.configs import fcn8s_voc


def get_config():
    config = fcn8s_voc.get_config()
    config.data.resize = "none"
    config.data.image_size = (512, 512)
    return config
