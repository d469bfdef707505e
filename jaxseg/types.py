"""The vocabulary that the whole of jaxseg shares: axis names, conventions, and the records that travel between parts.

Axes, as docstrings name them::

    b  images in a batch          k  classes (0 is the background of a detector)
    h  rows                       m  objects of an image, padded to a fixed number
    w  columns                    a  anchors
    c  channels                   p  proposals
                                  d  detections

Images are ``[b, h, w, c]``. Boxes are float32 ``[x1, y1, x2, y2]`` in pixels: continuous, the left edge of the first
pixel is 0, and the width is ``x2 - x1``. A label map holds class numbers; ``IGNORE`` marks pixels that no loss and no
metric counts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

IGNORE = 255


class Objects(NamedTuple):
    """The annotated objects of one image.

    Attributes:
      boxes: float32 ``[m, 4]``, ``[x1, y1, x2, y2]`` in pixels.
      classes: int32 ``[m]``, from 1; 0 is the background.
      masks: uint8 ``[m, h, w]``, 1 on the object. All zero for an object with a box only.
      crowd: bool ``[m]``, a region of many objects, which is neither a target nor a mistake.
    """

    boxes: np.ndarray
    classes: np.ndarray
    masks: np.ndarray
    crowd: np.ndarray


class Record(NamedTuple):
    """One annotated image as a source yields it, at its original size.

    Attributes:
      name: the file name without its ending, or another name by which people know the image.
      image: uint8 ``[h, w, 3]``.
      label: uint8 ``[h, w]``, class numbers and ``IGNORE``; None where a source has objects only.
      objects: the objects, or None where a source has a label map only.
      tags: further facts about the image, such as a pet's breed.
    """

    name: str
    image: np.ndarray
    label: np.ndarray | None = None
    objects: Objects | None = None
    tags: Mapping[str, Any] = {}


class Catalogue(NamedTuple):
    """What is known of the objects of a split before any image is read; n images.

    Attributes:
      sizes: int32 ``[n, 2]``, height and width of each image.
      counts: int32 ``[n]``, how many objects that are no crowd each image has at most; 0 where it has none.
      image_ids: ``[n]``, the numbers under which results files have the images.
      category_ids: ``[k]``, the numbers under which results files have the classes.
      annotations: ``i -> [annotation, ...]``, the objects of image i as its file in COCO's format has them; None where
        there is no such file, and the records say all there is.
    """

    sizes: np.ndarray
    counts: np.ndarray
    image_ids: Sequence[int]
    category_ids: Sequence[int]
    annotations: Callable[[int], list[dict[str, Any]]] | None = None


class Source(NamedTuple):
    """One split of a data set.

    Attributes:
      records: random access by index, ``len(records)`` and ``records[i] -> Record``; picklable, so that worker
        processes can read it.
      class_names: one name per class; ``class_names[i]`` is the name of label i.
      palette: uint8 ``[k, 3]``, the color in which each class is shown.
      fingerprint: equal fingerprints mean equal records, so that caches are valid between runs; "" where a
        source cannot promise it.
      catalogue: of the objects; None where the records have none.
      findings: what was found in the files, see ``data.report.Findings``; None if unknown.
      files: the image file of each record; () where records have none.
      size_of: ``i -> (height, width)`` of image i, without decoding it; None if only its record tells.
    """

    records: Sequence[Record]
    class_names: tuple[str, ...]
    palette: np.ndarray
    fingerprint: str = ""
    catalogue: Catalogue | None = None
    findings: Any = None
    files: Sequence[str] = ()
    size_of: Callable[[int], tuple[int, int]] | None = None


class Example(NamedTuple):
    """One image as semantic models see it: resized, augmented, of the size that the config asks for.

    Attributes:
      image: uint8 ``[h, w, 3]``.
      label: uint8 ``[h, w]``.
      weight: float32 ``[h, w]``, how much each pixel counts in a loss; None where all count equally.
      original: uint8 ``[h', w']``, the label map in the pixels of the file; None unless it is scored there.
    """

    image: np.ndarray
    label: np.ndarray
    weight: np.ndarray | None = None
    original: np.ndarray | None = None


class InstanceExample(NamedTuple):
    """One image as detectors see it: resized, augmented, not yet padded.

    Attributes:
      image: uint8 ``[h, w, 3]``.
      objects: in its pixels.
    """

    image: np.ndarray
    objects: Objects


class Batch(NamedTuple):
    """A batch of examples; images travel as uint8 and are normalized on the device.

    Attributes:
      image: uint8 ``[b, h, w, 3]``.
      label: uint8 ``[b, h, w]``.
      valid: bool ``[b]``; False marks filler that completes the last batch of an evaluation.
      weight: float32 ``[b, h, w]``, how much each pixel counts in a loss; None where all count equally.
      index: int32 ``[b]``, which record of the source it is, -1 on filler; None in training.
      sizes: int32 ``[b, 2]``, height and width of each image before it was padded; None if none is padded.
      original: uint8 ``[b, h', w']``, label maps in the pixels of the files, padded with ``IGNORE``; None unless
        predictions are scored there.
      original_sizes: int32 ``[b, 2]``, height and width of these label maps before they were padded.
    """

    image: np.ndarray
    label: np.ndarray
    valid: np.ndarray
    weight: np.ndarray | None = None
    index: np.ndarray | None = None  # type: ignore[assignment]  # a field, not the method of tuples
    sizes: np.ndarray | None = None
    original: np.ndarray | None = None
    original_sizes: np.ndarray | None = None


class UnaugmentedBatch(NamedTuple):
    """A batch of examples as they are stored, with what the device does to augment them.

    Attributes:
      image: uint8 ``[b, h', w', 3]``.
      label: uint8 ``[b, h', w']``.
      valid: bool ``[b]``, True.
      rows: float32 ``[b, h]``, the position in the stored image that each row of the result shows.
      columns: float32 ``[b, w]``, the same for columns.
      padded: bool ``[b]``, whether what lies outside an image is filled; otherwise its edges are repeated.
      colors: float32 ``[b, 3, 6]``, a linear map of a pixel's three values and of the image's three means; None leaves
        colors as they are.
      shift_y: float32 ``[b, w]``, added to ``rows`` in each column; None without rotation.
      shift_x: float32 ``[b, h]``, added to ``columns`` in each row; None without rotation.
      blur: float32 ``[b, r + 1]``, the weights of a pixel and of its neighbors at the distances 1 to r along rows, and
        then along columns; None without blur.
      noise_key: uint32 ``[b, 2]``, the keys of the noise; None without noise.
      noise_std: float32 ``[b]``, its standard deviation in gray levels; None without noise.
    """

    image: np.ndarray
    label: np.ndarray
    valid: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    padded: np.ndarray
    colors: np.ndarray | None = None
    shift_y: np.ndarray | None = None
    shift_x: np.ndarray | None = None
    blur: np.ndarray | None = None
    noise_key: np.ndarray | None = None
    noise_std: np.ndarray | None = None


class InstanceBatch(NamedTuple):
    """A batch of images with their objects, as detectors learn from it and are scored on it.

    Attributes:
      image: uint8 ``[b, h, w, 3]``, resized, then padded with zeros at the bottom and the right.
      sizes: int32 ``[b, 2]``, height and width of each image before it was padded.
      boxes: float32 ``[b, m, 4]``, in pixels of these images.
      classes: int32 ``[b, m]``, from 1; 0 on padding.
      masks: uint8 ``[b, m, h, w / 8]``, one bit per pixel, as ``np.packbits`` packs rows. All zero for an object
        with a box only: no mask is learned from it.
      usable: bool ``[b, m]``, False on padding and on crowd regions.
      original_sizes: int32 ``[b, 2]``, height and width of the image as its record has it.
      index: int32 ``[b]``, which record of the source it is; -1 on filler.
      valid: bool ``[b]``; False marks filler that completes the last batch of an evaluation.
    """

    image: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    masks: np.ndarray
    usable: np.ndarray
    original_sizes: np.ndarray
    index: np.ndarray  # type: ignore[assignment]  # hides tuple.index, which nothing uses
    valid: np.ndarray


AnyBatch = Batch | UnaugmentedBatch | InstanceBatch
