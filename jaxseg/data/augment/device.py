"""Whether a config augments images on the device, and whether it can."""

import ml_collections

from jaxseg.data.augment import AUGMENTATIONS, read_pipeline
from jaxseg.data.semantic.sizing import read_sizing

PLACES = ("host", "device")
REMEDY = "Set config.data.augment_on='host'."


def augments_on_device(data_config: ml_collections.ConfigDict) -> bool:
    """Returns whether the device augments the training images of a semantic model.

    It does not where no augmentation is enabled. Configs of older runs have no such field and use the host.

    Raises:
      ValueError: the field is unknown, or the device cannot do what the config asks for.

    Example:
      >>> from jaxseg import config
      >>> data = config.load("unet_pets_strong").data
      >>> augments_on_device(data)
      False
      >>> data.augment_on = "device"
      >>> augments_on_device(data)
      True
    """
    if read_place(data_config) == "host":
        return False
    if not read_sizing(data_config).stretches:
        raise ValueError(
            f"config.data.resize is {data_config.resize!r}; expected 'stretch' for config.data.augment_on='device', "
            f"since images of several sizes are cut on the host. {REMEDY}"
        )
    if data_config.border_weight:
        raise ValueError(
            f"config.data.border_weight is {data_config.border_weight}; expected 0 for "
            f"config.data.augment_on='device', since the host finds the borders in augmented labels. {REMEDY}"
        )
    pipeline = read_pipeline(data_config, "semantic")
    for name in pipeline.enabled():
        entry = AUGMENTATIONS[name]
        if entry.plan is None:
            field, default = next(iter(entry.options._field_defaults.items()))
            raise ValueError(
                f"config.data.augment.{field} is {data_config.augment[field]}; expected {default} for "
                f"config.data.augment_on='device', since only the host applies it. {REMEDY}"
            )
    return bool(pipeline.enabled())


def check_on_host(data_config: ml_collections.ConfigDict) -> None:
    """Checks that a detector augments its images on the host.

    Raises:
      ValueError: it does not.
    """
    if read_place(data_config) != "host":
        raise ValueError(
            "config.data.augment_on is 'device'; expected 'host', since detectors resize images of several sizes on "
            f"the host. {REMEDY}"
        )


def read_place(data_config: ml_collections.ConfigDict) -> str:
    """Reads and checks ``config.data.augment_on``.

    Raises:
      ValueError: it is unknown.
    """
    place = data_config.augment_on
    if place not in PLACES:
        raise ValueError(f"config.data.augment_on is {place!r}; expected one of {', '.join(PLACES)}.")
    return place
