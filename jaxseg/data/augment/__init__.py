"""Augmentations: one table, from the name of each to its options and to what it does for each task.

To add one, write a file with a class of options, add a line to ``AUGMENTATIONS`` and its fields to ``data.augment`` in
``jaxseg/config/defaults.py``. ``jaxseg/data/augment/flip_vertical.py`` is a short example.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import ml_collections
import numpy as np

from jaxseg.data.augment.blur import Blur
from jaxseg.data.augment.color import Color
from jaxseg.data.augment.copy_paste import CopyPaste
from jaxseg.data.augment.crop import Crop
from jaxseg.data.augment.elastic import Elastic
from jaxseg.data.augment.flip import Flip
from jaxseg.data.augment.flip_vertical import FlipVertical
from jaxseg.data.augment.noise import Noise
from jaxseg.data.augment.plan import Plan, whole_image
from jaxseg.data.augment.resize import Resize
from jaxseg.data.augment.scale import Scale
from jaxseg.data.instances.transforms import View
from jaxseg.data.resize import Size
from jaxseg.types import Example, InstanceExample

Rng = np.random.Generator
DrawOther = Callable[[Rng], InstanceExample]


class Options(Protocol):
    """A NamedTuple of the options of one augmentation.

    Fields with a default are fields of ``config.data.augment``, and the default changes nothing. Fields without one are
    read from elsewhere in ``config.data``.
    """

    _field_defaults: dict[str, Any]

    @classmethod
    def from_config(cls, data_config: ml_collections.ConfigDict) -> "Options":
        """Reads and checks the options."""
        ...


class Augmentation(NamedTuple):
    """One augmentation. It serves the tasks that it has functions for.

    A disabled augmentation draws nothing from ``rng``. That way, a new one leaves the batches of other configs as they
    are.

    Attributes:
      options: class of the options, the first argument of each function.
      semantic: ``(options, rng, example) -> example``, for semantic models.
      view: ``(options, rng, view) -> view``, for detectors: image, boxes and masks are resampled once, by the last
        view.
      instances: ``(options, rng, example, draw_other) -> example``, for detectors after resampling.
        ``draw_other(rng)`` samples another resampled training image.
      plan: ``(options, rng, plan) -> plan``, for semantic models with ``data.augment_on = "device"``. It draws the same
        numbers as ``semantic``. None if only the host applies it.
    """

    options: type[Options]
    semantic: Callable[[Any, Rng, Example], Example] | None = None
    view: Callable[[Any, Rng, View], View] | None = None
    instances: Callable[[Any, Rng, InstanceExample, DrawOther], InstanceExample] | None = None
    plan: Callable[[Any, Rng, Plan], Plan] | None = None


# In the order in which they are applied.
AUGMENTATIONS = {
    "crop": Augmentation(Crop, semantic=Crop.apply, plan=Crop.plan),
    "scale": Augmentation(Scale, semantic=Scale.apply),
    "resize": Augmentation(Resize, view=Resize.apply_to_view),
    "flip": Augmentation(Flip, semantic=Flip.apply, view=Flip.apply_to_view, plan=Flip.plan),
    "flip_vertical": Augmentation(
        FlipVertical, semantic=FlipVertical.apply, view=FlipVertical.apply_to_view, plan=FlipVertical.plan
    ),
    "elastic": Augmentation(Elastic, semantic=Elastic.apply),
    "copy_paste": Augmentation(CopyPaste, instances=CopyPaste.apply),
    "color": Augmentation(Color, semantic=Color.apply, instances=Color.apply_to_instances, plan=Color.plan),
    "blur": Augmentation(Blur, semantic=Blur.apply, instances=Blur.apply_to_instances, plan=Blur.plan),
    "noise": Augmentation(Noise, semantic=Noise.apply, instances=Noise.apply_to_instances, plan=Noise.plan),
}
TASKS = {"semantic": "semantic models", "instances": "detectors"}


class Pipeline(NamedTuple):
    """The augmentations of one task with their options, in the order in which they are applied.

    Attributes:
      options: options of each augmentation by its name.
    """

    options: dict[str, Any]

    def augment(self, rng: Rng, example: Example) -> Example:
        """Augments an image and its label map for a semantic model."""
        for name, options in self.options.items():
            example = AUGMENTATIONS[name].semantic(options, rng, example)
        return example

    def plan(self, rng: Rng, size: Size) -> Plan:
        """Plans the augmentation of an image, for the device; ``size`` (height, width) is that of the result."""
        plan = whole_image(size)
        for name in self.enabled():
            plan = AUGMENTATIONS[name].plan(self.options[name], rng, plan)
        return plan

    def enabled(self) -> list[str]:
        """Returns the names of the augmentations that change something by their options."""
        return [
            name
            for name, options in self.options.items()
            if any(getattr(options, field) != default for field, default in options._field_defaults.items())
        ]

    def sample_view(self, rng: Rng, size: tuple[int, int]) -> View:
        """Samples how a detector sees an image of ``size`` (height, width)."""
        view = View(size, (0, 0), size)
        for name, options in self.options.items():
            if AUGMENTATIONS[name].view:
                view = AUGMENTATIONS[name].view(options, rng, view)
        return view

    def augment_instances(self, rng: Rng, example: InstanceExample, draw_other: DrawOther) -> InstanceExample:
        """Augments an image and its objects, resampled already, for a detector."""
        for name, options in self.options.items():
            if AUGMENTATIONS[name].instances:
                example = AUGMENTATIONS[name].instances(options, rng, example, draw_other)
        return example


def read_pipeline(data_config: ml_collections.ConfigDict, task: str) -> Pipeline:
    """Reads and checks ``config.data.augment``.

    Args:
      data_config: ``config.data``.
      task: "semantic" or "instances".

    Raises:
      ValueError: a field is out of range, belongs to no augmentation, or is set although the task does not support it.
    """
    owners = {field: name for name, entry in AUGMENTATIONS.items() for field in entry.options._field_defaults}
    for field, value in data_config.augment.items():
        if field not in owners:
            raise ValueError(f"config.data.augment.{field} is {value}; expected one of the fields {', '.join(owners)}.")
        entry = AUGMENTATIONS[owners[field]]
        default = entry.options._field_defaults[field]
        if not serves(entry, task) and value != default:
            raise ValueError(
                f"config.data.augment.{field} is {value}; expected {default}, since {TASKS[task]} do not support it. "
                f"Leave it out, or choose {' or '.join(sorted(_fields(task)))}."
            )
    return Pipeline(
        {name: entry.options.from_config(data_config) for name, entry in AUGMENTATIONS.items() if serves(entry, task)}
    )


def serves(entry: Augmentation, task: str) -> bool:
    """Returns whether an augmentation serves a task."""
    return bool(entry.semantic) if task == "semantic" else bool(entry.view or entry.instances)


def _fields(task: str) -> list[str]:
    """Returns the fields of ``config.data.augment`` that a task supports."""
    return [field for entry in AUGMENTATIONS.values() if serves(entry, task) for field in entry.options._field_defaults]
