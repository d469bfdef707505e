"""Models: Flax modules, which take normalized images ``[b, h, w, c]`` and return float32 logits or instances.

A semantic model is called with ``(image, train=False)`` and returns ``{"logits": [b, h, w, k]}``. The detector is
called with ``(image, sizes)`` and returns ``Instances``.

Example:
  >>> import jax
  >>> from jaxseg import models
  >>> model, image = models.UNet(classes=4, features=8, depth=2), jax.numpy.zeros((1, 32, 48, 3))
  >>> variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
  >>> sorted(variables)
  ['batch_stats', 'params']
  >>> outputs = jax.eval_shape(lambda variables: model.apply(variables, image, train=False), variables)
  >>> outputs["logits"].shape
  (1, 32, 48, 4)
"""

from jaxseg.models.fcn_resnet import FCNResNet
from jaxseg.models.fcn_vgg import FCNVGG
from jaxseg.models.mask_rcnn.model import MaskRCNN
from jaxseg.models.unet import UNet
from jaxseg.models.unet_resnet import UNetResNet

__all__ = ["FCNVGG", "FCNResNet", "MaskRCNN", "UNet", "UNetResNet"]
