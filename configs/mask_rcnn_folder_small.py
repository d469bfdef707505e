"""Mask R-CNN on your own data, narrow, for few images or a machine without a GPU.

Data: a folder in any layout that mask_rcnn_folder reads. A dozen images are enough to try it.
Recipe: a narrow ResNet-18 from random weights at 256 pixels, with anchors for photographs of that size; AdamW with a
    cosine schedule from 2e-3, 1500 steps of 4 images, flips.
Run: jaxseg train mask_rcnn_folder_small --config.data.source_dir=FOLDER
Result: depends on the data.
"""

from jaxseg.configs import mask_rcnn_shapes

from jaxseg import config as defaults


def get_config():
    config = mask_rcnn_shapes.get_config()
    config.data.name = "auto"
    config.data.min_size = 256  # both sides alike: all images share one padded size, and one program
    config.data.max_size = 256
    config.data.max_objects = defaults.detector().data.max_objects
    config.model.anchor_sizes = ((24,), (48,), (80,), (128,), (192,))
    config.model.detection.max_detections = 100
    config.train.batch_size = 4
    config.train.evaluate_every = 500
    config.train.evaluate_epochs = 5.0  # few images have short epochs
    return config
