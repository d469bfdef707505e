"""The models that a config can name, by kind of segmentation."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import ml_collections

from jaxseg.models.fcn_resnet import FCNResNet
from jaxseg.models.fcn_vgg import FCNVGG
from jaxseg.models.mask_rcnn.model import MaskRCNN
from jaxseg.models.unet import UNet
from jaxseg.models.unet_resnet import UNetResNet

SEMANTIC = {"unet": UNet, "unet_resnet": UNetResNet, "fcn_vgg": FCNVGG, "fcn_resnet": FCNResNet}
INSTANCES = {"mask_rcnn": MaskRCNN}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def least_rows(model: nn.Module, spatial: int) -> int:
    """Returns how many rows of an image a device must hold where rows are divided over devices.

    It is four rows of the coarsest map: no convolution of these models sees more of a neighbor's. On fewer, XLA's
    partitioner fails, or silently computes wrong gradients. That was seen in jaxlib 0.10.2, with one row of a ResNet's
    last layer on each of two devices. Detectors are not concerned: their task refuses to divide images.

    Args:
      model: a semantic one, which knows the stride of its coarsest map.
      spatial: over how many devices the rows are divided.
    """
    return 4 * model.coarsest_stride if spatial > 1 else 1


def make_model(
    table: dict[str, type[nn.Module]],
    config: Any,
    classes: int,
    axis_name: str | None = None,
    cpu_kernels: bool = False,
) -> nn.Module:
    """Makes the module that ``config.model`` describes: its name, and the fields of that module.

    Args:
      table: the models to choose from.
      config: the whole config.
      classes: k.
      axis_name: the axis over which pmap averages batch statistics, if it does.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Raises:
      ValueError: an unknown model, precision or field.
    """
    fields = dict(config.model)
    name = fields.pop("name")
    if name not in table:
        raise ValueError(f"model.name is {name!r}; known are {', '.join(sorted(table))}")
    if config.precision not in DTYPES:
        raise ValueError(f"precision is {config.precision!r}; known are {', '.join(DTYPES)}")
    try:
        for field, value in fields.items():
            if isinstance(value, (Mapping, ml_collections.ConfigDict)):  # a section changes fields of the default
                fields[field] = getattr(table[name], field)._replace(**value)
        shared = {
            "dtype": DTYPES[config.precision],
            "axis_name": axis_name,
            "remat": config.remat,
            "cpu_kernels": cpu_kernels,
        }
        return table[name](classes=classes, **shared, **fields)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"the model section does not fit {name}: {error}") from None
