"""Arrays as pictures for people: overlays, rows of examples, mask files."""

import pathlib
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from jaxseg.reporting.objects import Annotations, draw_objects
from jaxseg.reporting.panels import SWATCH, add_legend, arrange_panels
from jaxseg.storage import write_bytes
from jaxseg.types import IGNORE

instances = draw_objects

IGNORED_COLOR = (224, 224, 224)
# A pixel with a wrong class, or an object that does not exist: hatched, since any plain color may be that of a class.
WRONG_COLORS = ((190, 0, 230), (30, 0, 40))
HATCH_PERIOD, HATCH_WIDTH = 6, 2  # pixels from one dark line to the next, and of a line
MISSED_COLOR = (0, 114, 178)  # an object that was not found
BACKGROUNDS = ("background", "bg", "_background_", "void", "unlabeled")
VISIBLE = 200  # pixels; smaller images are enlarged
LEGIBLE = 320  # pixels; smaller images are enlarged before titles are written into them
LARGEST = 640  # pixels; larger images are reduced where several are shown side by side
TITLES = ("image", "truth", "prediction", "difference")


def background_classes(class_names: Sequence[str]) -> tuple[int, ...]:
    """Returns the classes that pictures leave as they are: those with a name such as "background" or "void"."""
    return tuple(
        number for number, name in enumerate(class_names) if name.strip().casefold().replace("ll", "l") in BACKGROUNDS
    )


def color_labels(label: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Returns a label map ``[h, w]`` in its classes' colors, uint8 ``[h, w, 3]``; ignored pixels are light gray."""
    table = np.full((256, 3), IGNORED_COLOR, np.uint8)
    table[: len(palette)] = palette
    table[IGNORE] = IGNORED_COLOR
    return table[label.astype(np.uint8)]


def overlay(
    image: np.ndarray, label: np.ndarray, palette: np.ndarray, opacity: float = 0.5, background: Iterable[int] = ()
) -> np.ndarray:
    """Returns the image under the translucent colors of its label map, with every region outlined.

    Args:
      image: uint8 ``[h, w, 3]``.
      label: ``[h, w]``; ignored pixels stay as they are.
      palette: uint8 ``[k, 3]``.
      opacity: 0 shows only the image and outlines, 1 only the colors.
      background: classes that stay as they are, see ``background_classes``.
    """
    colors = color_labels(label, palette)
    is_plain = np.zeros(256, bool)
    is_plain[[*background, IGNORE]] = True
    plain = is_plain[label.astype(np.uint8)]
    blend = cv2.addWeighted(image, 1 - opacity, colors, opacity, 0)
    cv2.copyTo(image, plain.astype(np.uint8), blend)
    inner, outer = _borders(label, plain)
    cv2.copyTo(colors, inner.astype(np.uint8), blend)
    blend[outer] = 255
    return blend


def _borders(label: np.ndarray, plain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pixels of regions at another label, and the plain pixels next to a region: bool ``[h, w]``."""
    right, below = label[:, 1:] != label[:, :-1], label[1:] != label[:-1]
    edge = np.zeros(label.shape, bool)
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    edge[1:] |= below
    edge[:-1] |= below
    touches = cv2.dilate((~plain).astype(np.uint8), np.ones((3, 3), np.uint8)) != 0
    return edge & ~plain, edge & plain & touches


def label_shares(label: np.ndarray, class_names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Returns the classes of a label map ``[h, w]``, largest first, and entries for a legend such as "cat 12.3 %"."""
    counts = np.bincount(label.ravel(), minlength=256)
    numbers = [int(number) for number in np.argsort(-counts, kind="stable") if counts[number] and number != IGNORE]
    return numbers, [f"{class_names[number]} {counts[number] / label.size:.1%}" for number in numbers]


def overlay_with_legend(
    image: np.ndarray, label: np.ndarray, palette: np.ndarray, class_names: Sequence[str], opacity: float = 0.5
) -> np.ndarray:
    """Returns the overlay of a label map with a legend of its classes and their shares below."""
    numbers, entries = label_shares(label, class_names)
    picture = overlay(image, label, palette, opacity, background_classes(class_names))
    return add_legend(picture, entries, np.asarray(palette)[numbers])


def draw_hatch(height: int, width: int) -> np.ndarray:
    """Draws dark diagonal lines on purple, uint8 ``[h, w, 3]``; it marks errors.

    Example:
      >>> [pixel == list(WRONG_COLORS[1]) for pixel in draw_hatch(1, 6)[0].tolist()]
      [True, True, False, False, False, False]
    """
    is_line = (np.arange(height)[:, None] + np.arange(width)) % HATCH_PERIOD < HATCH_WIDTH
    return np.array(WRONG_COLORS, np.uint8)[is_line.astype(int)]


def mark_differences(image: np.ndarray, label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Returns the image in pale gray with wrongly predicted pixels hatched; ignored pixels do not count."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, axis=-1)
    picture = (gray // 2 + 112).astype(np.uint8)
    wrong = (label != prediction) & (label != IGNORE) & (prediction != IGNORE)
    picture[wrong] = draw_hatch(*wrong.shape)[wrong]
    return picture


def label_panels(
    image: np.ndarray, label: np.ndarray, prediction: np.ndarray, palette: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Returns image, truth, prediction and difference, uint8 ``[h, w, 3]`` each; small images are enlarged.

    Args:
      image: uint8 ``[h, w, 3]``.
      label: ``[h, w]``.
      prediction: ``[h', w']``; a model of valid convolutions predicts the center, where it is shown.
      palette: uint8 ``[k, 3]``.
    """
    prediction = _centered(prediction, label.shape)
    times = -(-VISIBLE // min(image.shape[:2]))
    image, label, prediction = (x.repeat(times, axis=0).repeat(times, axis=1) for x in (image, label, prediction))
    difference = mark_differences(image, label, prediction)
    return image, color_labels(label, palette), color_labels(prediction, palette), difference


def reduce_panel(panel: np.ndarray) -> np.ndarray:
    """Returns a panel, uint8 ``[h, w, 3]``, reduced to at most 640 pixels per side, since a report holds many.

    Example:
      >>> reduce_panel(np.zeros((1280, 320, 3), np.uint8)).shape, reduce_panel(np.zeros((50, 60, 3), np.uint8)).shape
      ((640, 160, 3), (50, 60, 3))
    """
    factor = LARGEST / max(panel.shape[:2])
    size = tuple(max(1, round(side * factor)) for side in panel.shape[1::-1])
    return cv2.resize(panel, size, interpolation=cv2.INTER_AREA) if factor < 1 else panel


def rows(
    images: np.ndarray,
    labels: np.ndarray,
    predictions: np.ndarray,
    palette: np.ndarray,
    class_names: Sequence[str] = (),
) -> np.ndarray:
    """Returns a row per image with the panels ``TITLES``, and a legend below: uint8 ``[h, w, 3]``.

    Args:
      images: uint8 ``[b, h, w, 3]``.
      labels: ``[b, h, w]``.
      predictions: ``[b, h', w']``, see ``label_panels``.
      palette: uint8 ``[k, 3]``.
      class_names: the names in the legend; () leaves the legend out.
    """
    lines = [label_panels(*example, palette) for example in zip(images, labels, predictions, strict=True)]
    picture = arrange_panels(lines, TITLES)
    if not len(class_names):
        return picture
    used = [number for number in range(len(class_names)) if (labels == number).any() or (predictions == number).any()]
    names = [*(class_names[number] for number in used), "not labeled", "wrong"]
    swatches = [*np.asarray(palette)[used], np.array(IGNORED_COLOR), draw_hatch(*SWATCH)]
    return add_legend(picture, names, swatches)


def instance_rows(examples: Sequence[tuple[np.ndarray, Annotations, Annotations]]) -> np.ndarray:
    """Returns a row per image with the panels ``TITLES``: uint8 ``[h, w, 3]``.

    Args:
      examples: image, true objects, found objects.
    """
    picture = arrange_panels([instance_panels(*example) for example in examples], TITLES)
    return add_legend(
        picture, ["not found", "not there or of another class"], [np.array(MISSED_COLOR), draw_hatch(*SWATCH)]
    )


def instance_panels(image: np.ndarray, truth: Annotations, found: Annotations) -> tuple[np.ndarray, ...]:
    """Returns image, truth, prediction and difference, uint8 ``[h, w, 3]`` each.

    Small images are enlarged until titles are legible, large ones reduced until a row fits a screen.
    """
    times = max(1, -(-LEGIBLE // min(image.shape[:2])))
    factor = min(times, LARGEST / max(image.shape[:2]))
    size = tuple(max(1, round(side * factor)) for side in image.shape[1::-1])

    def resized(mask: np.ndarray) -> np.ndarray:
        return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) != 0

    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST)
    truth, found = (
        one._replace(masks=list(map(resized, one.masks)), boxes=np.asarray(one.boxes) * factor)
        for one in (truth, found)
    )
    return image, draw_objects(image, truth), draw_objects(image, found), mark_object_differences(image, truth, found)


def mark_object_differences(image: np.ndarray, truth: Annotations, found: Annotations) -> np.ndarray:
    """Returns the image in pale gray with pixels of objects that were not found in blue and wrong ones hatched.

    Wrong are pixels without an object, and all pixels of a found object that has another class than the annotated
    object of the same color. ``inference.instances`` gives a found object the color of the one that it is.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, axis=-1)
    picture = (gray // 2 + 112).astype(np.uint8)
    there, seen = (_union(one.masks, image.shape[:2]) for one in (truth, found))
    picture[there & ~seen] = MISSED_COLOR
    wrong = seen & ~there
    for mask, color, number in zip(found.masks, found.colors, found.classes, strict=False):
        owners = np.flatnonzero((np.asarray(truth.colors) == color).all(axis=-1)) if len(truth.classes) else ()
        if any(truth.classes[owner] != number for owner in owners):
            wrong |= mask
    picture[wrong] = draw_hatch(*wrong.shape)[wrong]
    return picture


def _union(masks: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    whole = np.zeros(shape, bool)
    for mask in masks:
        whole |= mask
    return whole


def _centered(prediction: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    whole = np.full(shape, IGNORE, np.uint8)
    top, left = ((side - inner) // 2 for side, inner in zip(shape, prediction.shape, strict=True))
    whole[top : top + prediction.shape[0], left : left + prediction.shape[1]] = prediction
    return whole


def write(path: pathlib.Path, image: np.ndarray) -> None:
    """Writes a picture whole or not at all, as PNG or JPEG by the ending of its path.

    Args:
      path: the file, also in a bucket.
      image: uint8 ``[h, w, 3]`` or ``[h, w]``, or uint16 ``[h, w]`` for a PNG.

    Raises:
      OSError: the file cannot be written.
    """
    # cv2.imwrite neither says why it fails nor takes names that are not UTF-8.
    content = cv2.imencode(path.suffix, image[..., ::-1] if image.ndim == 3 else image)[1]
    write_bytes(path, content.tobytes())
