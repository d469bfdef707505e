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
    """Returns the minimum number of image rows per device where rows are divided over devices.

    It is four rows of the coarsest map, the most that a convolution of these models reads from a neighbor. With fewer,
    XLA's partitioner fails or silently computes wrong gradients: seen in jaxlib 0.10.2 with one row of a ResNet's last
    layer on each of two devices. The task of detectors never divides images.

    Args:
      model: a semantic model; it has the stride of its coarsest map.
      spatial: number of devices over which the rows are divided.

    Example:
      >>> least_rows(UNet(classes=2, depth=4), spatial=2)
      64
    """
    return 4 * model.coarsest_stride if spatial > 1 else 1


def make_model(
    table: dict[str, type[nn.Module]],
    config: Any,
    classes: int,
    axis_name: str | None = None,
    cpu_kernels: bool = False,
) -> nn.Module:
    """Makes the module that ``config.model`` describes by its name and its fields.

    Args:
      table: the models to choose from, ``SEMANTIC`` or ``INSTANCES``.
      config: the whole config.
      classes: number of classes, k.
      axis_name: the axis over which pmap averages batch statistics; None without pmap.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Raises:
      ValueError: an unknown model, precision or field.

    Example:
      >>> from jaxseg import config
      >>> model = make_model(SEMANTIC, config.load("unet_shapes"), classes=4)
      >>> type(model).__name__, model.features, model.depth
      ('UNet', 8, 4)
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
