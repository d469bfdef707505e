"""FCN-ResNet50 on COCO's images of VOC's classes: the reference training and evaluation of torchvision.

Data: COCO 2017 with label maps of VOC's 21 classes, see jaxseg/data/sources/coco_voc.py. The shorter side becomes 520
    pixels. Training scales it by 0.5 to 2 and sees windows of 480x480. Validation scores images at 520 pixels, with
    label maps resized by their nearest pixels, as torchvision does.
Recipe: torchvision's: SGD, batches of 32, 0.02 falling polynomially, 30 epochs, the auxiliary head at ten times the
    rate.
Run: jaxseg train fcn_resnet50_coco_voc --config.data.source_dir=FOLDER
Result: torchvision publishes mean IoU 0.605 and pixel accuracy 0.914. With random weights and 50 photographs of COCO,
    torchvision's own evaluation places 3 of 19,589,512 pixels elsewhere. 4,058 pixels are ties but for rounding.
    Measured with jax 0.10.2 and torchvision 0.29.1 on a CPU. tests/test_protocols.py compares the evaluations on 16
    photographs, with a network an eighth as wide.
"""

from jaxseg.configs import fcn_resnet50_voc


def get_config():
    config = fcn_resnet50_voc.get_config()
    config.data.name = "coco_voc"
    config.data.train = "train"
    config.data.resize = "short_side"
    config.data.image_size = (520, 520)
    config.data.max_size = 10_000  # torchvision has no limit
    config.data.crop_size = (480, 480)
    config.data.score_at = "network"
    config.data.augment.crop_scale = (1.0, 1.0)
    config.data.augment.scale = (0.5, 2.0)
    return config
