"""Large images cut into overlapping tiles, in strips of tiles from top to bottom.

The logits of overlapping tiles are added with Gaussian weights, so that the middle of a tile counts most. Only one
strip of tiles is in the device's memory: its finished rows become a label map before the next strip begins. Detections
of all tiles are merged by non-maximum suppression.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxseg.inference.engine import Engine, Options, Prepared, TrainedModel, place
from jaxseg.inference.merging import Found, merge_found
from jaxseg.inference.results import Result
from jaxseg.inference.upsampling import Pixels, bucket_side, keep_largest

SIGMA = 1 / 8  # Standard deviation of the Gaussian weights relative to the side of a tile, as in nnU-Net.
CUT_MARGIN = 0.01  # A box that ends this close to a tile's border, relative to the tile, may be cut by it.

Forward = Callable[[dict, Any, Any], jax.Array]


class Grid(NamedTuple):
    """How an image is cut along one axis, in pixels.

    Attributes:
      read: what the model sees of each tile.
      margin: what it sees on either side without predicting it, as a model of valid convolutions does.
      starts: the first predicted pixel of each tile.
    """

    read: int
    margin: int
    starts: tuple[int, ...]

    @property
    def side(self) -> int:
        """Returns the side of the part of each tile that the model predicts."""
        return self.read - 2 * self.margin


class Strip(NamedTuple):
    """The weighted sum of the tiles in a strip: logits ``[h, w, k]`` and weights ``[h, w]``."""

    logits: jax.Array
    weights: jax.Array


def tile_starts(length: int, side: int, overlap: float, stride: int = 1) -> tuple[int, ...]:
    """Returns the first pixels of tiles that cover an axis; all are multiples of ``stride``.

    >>> tile_starts(100, 40, 0.5)
    (0, 20, 40, 60)
    >>> tile_starts(30, 40, 0.5)
    (0,)
    """
    last = -(-max(length - side, 0) // stride) * stride
    step = max(int(side * (1 - overlap)) // stride * stride, stride)
    return tuple(min(number * step, last) for number in range(-(-last // step) + 1))


def make_engine(
    trained: TrainedModel, options: Options, forward: Forward, make_result: Callable[[np.ndarray, Pixels], Result]
) -> Engine:
    """Returns the engine of a semantic model that sees images in their own pixels, tile by tile.

    Args:
      trained: the model.
      options: side and overlap of the tiles.
      forward: ``(variables, uint8 [b, h, w, 3], sizes [b, 2]) -> logits [b, h, w, k]``.
      make_result: makes a result from an image and what was computed for its pixels.
    """

    def prepare(image: np.ndarray) -> Prepared:
        return Prepared(image, (), None)

    def compute(prepared: Sequence[Prepared]) -> list[Pixels]:
        return [join_rows(predict_rows(trained, options, forward, one.image)) for one in prepared]

    def finish(prepared: Prepared, pixels: Pixels) -> Result:
        return make_result(prepared.image, pixels)

    return Engine(prepare, compute, finish)


def predict_rows(trained: TrainedModel, options: Options, forward: Forward, image: np.ndarray) -> Iterator[Pixels]:
    """Yields what is kept of the pixels of an image, from top to bottom, as numpy arrays of some rows each."""
    down, right = (_grid(trained, options, length) for length in image.shape[:2])
    window = gaussian_window(down.side, right.side)
    width = bucket_side(right.starts[-1] + right.side)
    classes = len(trained.class_names)
    strip = Strip(jnp.zeros((down.side, width, classes)), jnp.zeros((down.side, width)))
    for number, top in enumerate(down.starts):
        for first in range(0, len(right.starts), options.batch):
            lefts = right.starts[first : first + options.batch]
            tiles, sizes = _cut_tiles(image, down, right, top, lefts, options.batch)
            logits = forward(trained.variables, *place(trained.mesh, (tiles, sizes)))
            used = np.arange(options.batch) < len(lefts)
            corners = np.resize(np.array(lefts, np.int32), options.batch)
            strip = _add_tiles(strip, logits, corners, used, window, (down.margin, right.margin))
        final = down.starts[number + 1] - top if number + 1 < len(down.starts) else down.side
        pixels, strip = _finish_rows(strip, final, options.confidence, options.probabilities)
        rows = min(final, image.shape[0] - top)
        yield Pixels(*(None if one is None else np.asarray(one)[:rows, : image.shape[1]] for one in pixels))


def join_rows(parts: Iterator[Pixels]) -> Pixels:
    """Returns the rows of an image as one."""
    fields = zip(*parts, strict=True)
    return Pixels(*(None if field[0] is None else np.concatenate(field) for field in fields))


def gaussian_window(height: int, width: int) -> np.ndarray:
    """Returns the weights of a tile's pixels, float32 ``[height, width]``, 1 in the middle and above 0 everywhere."""

    def bell(side: int) -> np.ndarray:
        position = (np.arange(side) + 0.5) / side - 0.5
        return np.exp(-0.5 * (position / SIGMA) ** 2)

    return np.outer(bell(height), bell(width)).astype(np.float32)


def _grid(trained: TrainedModel, options: Options, length: int) -> Grid:
    stride = trained.model.coarsest_stride
    read = -(-min(options.tile, bucket_side(length)) // stride) * stride
    margin = _margin(trained, read)
    if margin:  # The whole tile is used, since its margin is not predicted.
        read = -(-options.tile // stride) * stride
        margin = _margin(trained, read)
    return Grid(read, margin, tile_starts(length, read - 2 * margin, options.overlap, stride))


def _margin(trained: TrainedModel, side: int) -> int:
    """Returns how many pixels on either side of a tile the model does not predict."""
    image = jax.ShapeDtypeStruct((1, side, side, 3), np.float32)
    try:
        outputs = jax.eval_shape(partial(trained.model.apply, train=False), trained.variables, image)
    except (TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"tile is {side}, which is too small for the model. Choose a larger one. ({error})") from None
    return (side - outputs["logits"].shape[1]) // 2


def _cut_tiles(
    image: np.ndarray, down: Grid, right: Grid, top: int, lefts: Sequence[int], batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns tiles of one strip, uint8 ``[b, h, w, 3]``, and how much of each is image, int32 ``[b, 2]``.

    Margins beyond the border mirror the image, as in the U-Net paper. Without a margin, a tile is filled up with zeros.
    """
    tiles = np.zeros((batch, down.read, right.read, 3), np.uint8)
    sizes = np.zeros((batch, 2), np.int32)
    for number, left in enumerate(lefts):
        rows, columns = (
            _positions(length, start - grid.margin, grid)
            for length, start, grid in ((image.shape[0], top, down), (image.shape[1], left, right))
        )
        tiles[number, : len(rows), : len(columns)] = image[rows[:, None], columns]
        sizes[number] = len(rows), len(columns)
    return tiles, sizes


def _positions(length: int, first: int, grid: Grid) -> np.ndarray:
    """Returns the rows or columns of an image that a tile shows."""
    positions = np.arange(first, first + grid.read)
    if not grid.margin:
        return positions[positions < length]
    period = max(2 * (length - 1), 1)
    return np.minimum(positions % period, -positions % period) if length > 1 else np.zeros_like(positions)


@partial(jax.jit, static_argnums=(5,), donate_argnums=(0,))
def _add_tiles(
    strip: Strip, logits: jax.Array, lefts: jax.Array, used: jax.Array, window: jax.Array, margins: tuple[int, int]
) -> Strip:
    """Adds the predicted parts of tiles ``[b, h, w, k]`` to a strip, weighted by the window."""
    height, width = window.shape
    total, weights = strip
    for number in range(logits.shape[0]):
        part = logits[number, margins[0] : margins[0] + height, margins[1] : margins[1] + width].astype(jnp.float32)
        weight = window * used[number]
        corner = (0, lefts[number])
        before = jax.lax.dynamic_slice(total, (*corner, 0), part.shape)
        total = jax.lax.dynamic_update_slice(total, before + part * weight[..., None], (*corner, 0))
        before = jax.lax.dynamic_slice(weights, corner, weight.shape)
        weights = jax.lax.dynamic_update_slice(weights, before + weight, corner)
    return Strip(total, weights)


@partial(jax.jit, static_argnums=(1, 2, 3), donate_argnums=(0,))
def _finish_rows(strip: Strip, rows: int, confidence: bool, probabilities: bool) -> tuple[Pixels, Strip]:
    """Returns what is kept of the first rows of a strip, and the strip without them."""
    mean = strip.logits[:rows] / jnp.maximum(strip.weights[:rows, :, None], 1e-30)
    rest = (jnp.pad(array[rows:], ((0, rows),) + ((0, 0),) * (array.ndim - 1)) for array in strip)
    return keep_largest(mean, confidence, probabilities), Strip(*rest)


def find_in_tiles(engine: Engine, options: Options, iou: float) -> Engine:
    """Returns an engine of type ``Found`` that finds objects tile by tile and merges what several tiles have found.

    Args:
      engine: finds objects in an image.
      options: side and overlap of the tiles.
      iou: an object is dropped if it overlaps a better one of its class by more than this.
    """

    def prepare(image: np.ndarray) -> Prepared:
        return Prepared(image, (), None)

    def compute(prepared: Sequence[Prepared]) -> list[Found]:
        return [_find_in_image(engine, options, iou, one.image) for one in prepared]

    return Engine(prepare, compute, lambda prepared, found: found)


def _find_in_image(engine: Engine, options: Options, iou: float, image: np.ndarray) -> Found:
    height, width = image.shape[:2]
    sides = min(options.tile, height), min(options.tile, width)
    rows, columns = (tile_starts(*pair, options.overlap) for pair in zip((height, width), sides, strict=True))
    corners = [(top, left) for top in rows for left in columns]
    parts, cut = [], []
    for first in range(0, len(corners), options.batch):
        chosen = corners[first : first + options.batch]
        tiles = [engine.prepare(image[top : top + sides[0], left : left + sides[1]]) for top, left in chosen]
        for tile, waiting, (top, left) in zip(tiles, engine.compute(tiles), chosen, strict=True):
            found = engine.finish(tile, waiting)
            cut.append(_cut_by_border(found.boxes, (top, left), sides, (height, width)))
            parts.append(found._replace(boxes=found.boxes + np.array([left, top, left, top], np.float32)))
    return merge_found(parts, iou, cut=cut)


def _cut_by_border(
    boxes: np.ndarray, corner: tuple[int, int], sides: tuple[int, int], size: tuple[int, int]
) -> np.ndarray:
    """Returns which boxes ``[d, 4]`` of a tile end at a border of it that is not the image's, bool ``[d]``."""
    touches = np.zeros(len(boxes), bool)
    for axis in (0, 1):
        margin = CUT_MARGIN * sides[axis]
        first, last = boxes[:, 1 - axis], boxes[:, 3 - axis]
        if corner[axis] > 0:
            touches |= first < margin
        if corner[axis] + sides[axis] < size[axis]:
            touches |= last > sides[axis] - margin
    return touches
