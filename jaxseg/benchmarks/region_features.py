"""RoIAlign, forward and backward: what a detector pools for its box head, against torchvision's operator."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.benchmarks.jaxseg_steps import compiled, memory_needed
from jaxseg.benchmarks.random_batches import image_sizes, random_boxes
from jaxseg.benchmarks.timing import Contender
from jaxseg.models.mask_rcnn.fpn import STRIDES
from jaxseg.models.mask_rcnn.roi_heads import BOX_BINS
from jaxseg.models.table import DTYPES
from jaxseg.ops.roi_align import pyramid_level, pyramid_roi_align
from jaxseg.run.experiment import Experiment

LEVELS = STRIDES[:4]  # regions are pooled from P2 to P5
SAMPLES = 2  # a bin along each axis


def region_contenders(experiment: Experiment, *, against_torch: bool) -> list[Contender]:
    """Returns RoIAlign with as many boxes per image as in training, on a pyramid of the detector's size.

    The form of RoIAlign that the config's model uses comes first; on an accelerator, the other form is measured too.
    """
    config, model = experiment.config, experiment.task.model.module
    features, boxes, levels = random_regions(config, model.channels, model.box_sampling.batch_size_per_image)
    device = experiment.mesh.devices.flat[0]
    forms = [model.roi_align]
    if device.platform != "cpu":  # where "einsum" takes fifty times as long
        forms += [form for form in ("gather", "einsum") if form != model.roi_align]
    arguments = jax.device_put(([f.astype(DTYPES[config.precision]) for f in features], boxes, levels), device)
    contenders = [_ours(form, model.cpu_kernels, config.train.batch_size, arguments) for form in forms]
    if against_torch:
        from jaxseg.benchmarks.torch_regions import torch_region_contender

        contenders.append(torch_region_contender(features, boxes, levels, config.precision, device.platform))
    return contenders


def random_regions(config: Any, channels: int, count: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Draws maps ``[b, h, w, c]`` per level, boxes ``[b, p, 4]`` and the index of each one's level, ``[b, p]``."""
    rng = np.random.default_rng(config.seed)
    rows, size = config.train.batch_size, image_sizes(config, training=True)[0]
    features = [
        rng.standard_normal((rows, size[0] // stride, size[1] // stride, channels), np.float32) for stride in LEVELS
    ]
    boxes = np.stack([random_boxes(rng, count, size) for _ in range(rows)])
    levels = np.stack([np.asarray(pyramid_level(own, 2, 5)) for own in boxes]) - 2
    return features, boxes, levels


def pooled(
    features: list[jax.Array], boxes: jax.Array, levels: jax.Array, form: str, cpu_kernels: bool = False
) -> jax.Array:
    """Pools ``[b, p, 7, 7, c]``, as the box head gets it."""
    pool = partial(
        pyramid_roi_align,
        output_size=(BOX_BINS, BOX_BINS),
        scales=[1 / stride for stride in LEVELS],
        sampling_ratio=SAMPLES,
        aligned=False,
        form=form,
        cpu_kernels=cpu_kernels,
    )
    return jax.vmap(pool)(features, boxes, levels)


def _ours(form: str, cpu_kernels: bool, images: int, arguments: Any) -> Contender:
    def there_and_back(features, boxes, levels):
        regions, pull_back = jax.vjp(lambda features: pooled(features, boxes, levels, form, cpu_kernels), features)
        return regions, pull_back(jnp.ones_like(regions))

    program, seconds = compiled(jax.jit(there_and_back), *arguments)
    return Contender(
        "jaxseg",
        form,
        _repeat(program, arguments),
        images,
        compile_seconds=seconds,
        peak_bytes=lambda: memory_needed(program),
    )


def _repeat(program: Callable[..., Any], arguments: Any) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            results = program(*arguments)
        jax.block_until_ready(results)

    return run
