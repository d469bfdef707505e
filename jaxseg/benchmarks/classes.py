"""Numbers of classes of the data sets that are known, so that speed and memory can be studied without their files."""

import ml_collections

from jaxseg.data.sources import open_source

SEMANTIC = {"shapes": 4, "oxford_pets": 3, "voc": 21, "cityscapes": 19, "camvid": 11, "isbi": 2}
DETECTOR = {"shapes": 4, "coco": 91}  # with the background
PETS = {"species": 3, "breed": 38}  # with the background; one more where heads are objects too


def class_count(config: ml_collections.ConfigDict) -> int:
    """Returns the number of classes of a config's data set, with a detector's background.

    Data sets of one's own are opened; without ``data.source_dir`` they count as two classes.

    Example:
      >>> from jaxseg import config
      >>> class_count(config.semantic())
      4
    """
    data = config.data
    if config.task == "instances" and data.name == "oxford_pets":
        return PETS.get(data.instances, 3) + bool(data.heads)
    known = (DETECTOR if config.task == "instances" else SEMANTIC).get(data.name)
    custom = data.source_dir and (known is None or data.name == "coco")
    if custom:
        return len(open_source(data, data.train).class_names)
    return known or 2
