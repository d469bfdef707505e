"""Photographs to label maps."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import jax
import numpy as np

from jaxseg.data.semantic.batches import eval_batches
from jaxseg.inference.prediction import Prediction
from jaxseg.reporting import pictures
from jaxseg.types import Source


def make_predictor(
    config: Any,
    class_names: tuple[str, ...],
    palette: np.ndarray,
    predict: Callable[[np.ndarray], Any],
    category_ids: Sequence[int],
) -> Callable[[np.ndarray], Prediction]:
    """What turns a photograph, uint8 ``[h, w, 3]`` of any size, into a ``Prediction``.

    The model sees the photograph at the size that it was trained at; its logits are brought back to the photograph's
    own size, and the largest wins there.

    Args:
      config: the run's.
      class_names: one a class.
      palette: uint8 ``[k, 3]``.
      predict: uint8 ``[1, h, w, 3]`` at the config's image size to logits ``[1, h', w', k]``.
      category_ids: the numbers under which results have the classes.
    """
    height, width = config.data.image_size

    def predictor(image: np.ndarray) -> Prediction:
        seen = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        logits = _on_whole_image(np.asarray(predict(seen[None]))[0], (height, width))
        label = cv2.resize(logits, image.shape[1::-1], interpolation=cv2.INTER_LINEAR).argmax(axis=-1).astype(np.uint8)
        classes = _areas(label, class_names, category_ids)
        return Prediction(
            mask=label,
            palette=palette,
            overlay=pictures.overlay_with_legend(image, label, palette, class_names),
            results=[{"height": label.shape[0], "width": label.shape[1], "classes": classes}],
            summary=", ".join(f"{one['name']} {one['share']:.1%}" for one in classes),
        )

    return predictor


def draw_examples(config: Any, source: Source, predict: Callable[[np.ndarray], Any], most: int = 4) -> np.ndarray:
    """The first few images of a split, a row each: image, truth, prediction; uint8 ``[h, w, 3]``.

    Args:
      config: the run's.
      source: the split.
      predict: uint8 ``[b, h, w, 3]`` to logits ``[b, h', w', k]``.
      most: how many.
    """
    with eval_batches(source, config.data, batch_size=most) as batches:
        batch = next(batches)
    labels = jax.device_get(predict(batch.image)).argmax(axis=-1)
    valid = batch.valid
    return pictures.rows(batch.image[valid], batch.label[valid], labels[valid], source.palette, source.class_names)


def _on_whole_image(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Logits of a model of valid convolutions, which sees the border but does not predict it, carried on to there."""
    before = [(whole - part) // 2 for whole, part in zip(size, logits.shape, strict=False)]
    after = [whole - part - first for whole, part, first in zip(size, logits.shape, before, strict=False)]
    return np.pad(logits, (*zip(before, after, strict=True), (0, 0)), mode="edge")


def _areas(label: np.ndarray, class_names: tuple[str, ...], category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The pixels of each class, and their share of the image."""
    counts = np.bincount(label.ravel(), minlength=len(class_names))
    return [
        {"id": int(number), "name": name, "area": int(count), "share": count / label.size}
        for number, name, count in zip(category_ids, class_names, counts, strict=True)
    ]
