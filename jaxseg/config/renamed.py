"""Fields of a config that have another name today: the one table for saved configs and for the command line."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple


class Renamed(NamedTuple):
    """A field's present name.

    Attributes:
      field: the dotted name.
      convert: turns an old value into the present one.
      example: what to write on the command line.
      task: the only task that had the old name; "" is every task.
    """

    field: str
    convert: Callable[[Any], Any]
    example: str
    task: str = ""


RENAMED = {
    "data.splits": Renamed(
        "data.split_seed", lambda way: int(way[5:]) if way.startswith("seed_") else None, "data.split_seed=1337"
    ),
    "data.val_share": Renamed("data.val_fraction", float, "data.val_fraction=0.2"),
    "data.image_size": Renamed("data.crop_size", lambda size: size, "data.crop_size=512", task="instances"),
    "data.train_size": Renamed("data.crop_size", lambda size: size, "data.crop_size=128"),
}
# Sections of detectors: (then, now), and their fields.
SECTIONS = {
    ("model.proposing", "model.proposal"): "proposal",
    ("model.proposing_in_training", "model.training_proposal"): "proposal",
    ("model.detecting", "model.detection"): "detection",
}
FIELDS = {
    "proposal": {"per_level": "pre_nms_top_n", "total": "post_nms_top_n", "iou": "nms_iou", "min_side": "min_size"},
    "detection": {"count": "max_detections", "score": "score_threshold", "iou": "nms_iou", "min_side": "min_size"},
}
MODEL = {f"{old}.{a}": f"{new}.{b}" for (old, new), kind in SECTIONS.items() for a, b in FIELDS[kind].items()} | {
    "model.drawing.anchors": "model.rpn_sampling.batch_size_per_image",
    "model.drawing.anchor_share": "model.rpn_sampling.positive_fraction",
    "model.drawing.regions": "model.box_sampling.batch_size_per_image",
    "model.drawing.region_share": "model.box_sampling.positive_fraction",
}
RENAMED |= {old: Renamed(new, lambda value: value, f"{new}=VALUE") for old, new in MODEL.items()}


def upgrade(config: dict[str, Any], task: str = "semantic") -> dict[str, Any]:
    """Returns a saved config, as nested dictionaries, with the present names of its fields.

    Args:
      config: the saved config, in which nothing is changed.
      task: the task that the config is of.

    Example:
      >>> upgrade({"data": {"splits": "seed_1337", "val_share": 0.3}})
      {'data': {'split_seed': 1337, 'val_fraction': 0.3}}
    """
    config = copy.deepcopy(config)
    for old, new in RENAMED.items():
        *path, name = old.split(".")
        section = config
        for part in path:
            section = section.get(part, {})
        if name in section and new.task in ("", task):
            value = new.convert(section.pop(name))
            *path, name = new.field.split(".")
            target = config
            for part in path:
                target = target.setdefault(part, {})
            target.setdefault(name, value)
    model = config.get("model", {})
    for old in ("proposing", "proposing_in_training", "detecting", "drawing"):
        if model.get(old) == {}:
            del model[old]
    return config
