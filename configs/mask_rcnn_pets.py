"""Mask R-CNN on Oxford-IIIT Pet: cats and dogs with their masks, from random weights.

Data: Oxford-IIIT Pet; a folder with images/ and annotations/. Every image has one object, with its mask from the
    trimap. Classes are the species; --config.data.instances=breed uses breeds. --config.data.heads=True adds heads
    where their box is known. It trains on the official trainval list and scores the test list once.
Recipe: ResNet-18 with trained norms, AdamW with a cosine schedule, 8000 steps of 16 images, scale jitter at 384x384,
    flips and color changes. Meant for one GPU. The learning rate is 0.016 / width: 2.5e-4 at width 64, 1e-3 at 16.
Run: jaxseg train mask_rcnn_pets --config.data.source_dir=FOLDER
    On two cores: --config.model.width=16 --config.model.channels=32 --config.model.hidden=128
    --config.data.min_size=160 --config.data.max_size=160 --config.data.crop_size=160 --config.data.workers=1
    --config.train.steps=1500
Result: on two cores, narrow as above, trained on 300 images of three breeds, on their 298 test images: box AP50 0.897,
    mask AP50 0.853, box AP 0.527, mask AP 0.413 (cat 0.397, dog 0.429). It took 29 minutes next to other jobs, half of
    it compiling (EPYC, jax 0.10.2).
    The model was chosen by runs of 700 steps of 4 images of 160x160, float32, on two cores. They trained on 240 of the
    trainval images. Each row has box AP50, box AP, mask AP50 and mask AP on the other 60 images. After training on all
    300, the same four on the 298 test images follow.
      ResNet-18, width 64, 128 channels (shipped):  0.878 0.463 0.823 0.372,  0.824 0.393 0.751 0.303
      ResNet-18, width 32, 64 channels, hidden 256: 0.775 0.368 0.739 0.284,  0.780 0.362 0.686 0.246
      ResNet-18, width 16, 32 channels, hidden 128: 0.812 0.351 0.640 0.283,  0.735 0.316 0.616 0.179
      ResNet-50, width 64, 256 channels, hidden 1024: 0.758 0.360 0.594 0.232,  0.694 0.303 0.563 0.188
    The runs on 300 images trained at 6.6, 12.6, 36 and 1.1 images per second, beside other jobs of different weight
    (EPYC, jax 0.10.2). At a rate of 1e-3, the ResNet-50 has 0.652, 0.285, 0.560 and 0.220 on the 60 images. The
    shipped schedule of 8000 steps has no score on record.
"""

from jaxseg import config as defaults


def get_config():
    config = defaults.detector()
    config.precision = "bfloat16"
    config.data.name = "oxford_pets"
    config.data.instances = "species"
    config.data.train = "trainval"
    config.data.val = ""
    config.data.test = "test"
    config.data.min_size = 320
    config.data.max_size = 448
    config.data.crop_size = (384, 384)
    config.data.max_objects = 4
    config.data.augment.scale_jitter = (0.5, 1.5)
    config.data.augment.flip = True
    config.data.augment.brightness = 0.2
    config.data.augment.contrast = 0.2
    config.data.augment.saturation = 0.2
    config.data.workers = 8
    config.model = {
        "name": "mask_rcnn",
        "version": 2,
        "depth": 18,
        "width": 64,
        "channels": 128,
        "hidden": 512,
        "class_agnostic": False,
        "norm": "batch",
        "norm_epsilon": 1e-5,
        "trainable_layers": 5,
        "proposal": {"pre_nms_top_n": 300, "post_nms_top_n": 200},
        "training_proposal": {"pre_nms_top_n": 300, "post_nms_top_n": 200},
        "rpn_sampling": {"batch_size_per_image": 128},
        "box_sampling": {"batch_size_per_image": 64},
        "detection": {"max_detections": 20},
    }
    config.optimizer.schedule = "cosine"
    config.optimizer.learning_rate = defaults.rate_for_width(1e-3, at=16, width=config.model.get_ref("width"))
    config.optimizer.warmup_steps = 500
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 5.0
    config.train.batch_size = 16
    config.train.steps = 8000
    config.train.evaluate_every = 0
    config.train.checkpoint_every = 1000
    return config
