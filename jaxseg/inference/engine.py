"""What the two kinds of segmentation share: the parts of a trained model, options, and the contract of an engine."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import ml_collections
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxseg.inference.results import Result
from jaxseg.parallel.mesh import batch_sharding, gathered


class TrainedModel(NamedTuple):
    """A trained model with all that its predictions depend on.

    Attributes:
      config: the whole config; it says how images are resized and normalized.
      model: the module.
      variables: its ``params`` and ``batch_stats``.
      class_names: a name per class.
      palette: uint8 ``[k, 3]``, a color per class.
      category_ids: the number of each class in results files.
      mesh: the devices that hold the variables; None for one device.
    """

    config: ml_collections.ConfigDict
    model: nn.Module
    variables: dict[str, Any]
    class_names: tuple[str, ...]
    palette: np.ndarray
    category_ids: tuple[int, ...]
    mesh: Mesh | None = None


class Options(NamedTuple):
    """How images are predicted; the defaults predict each image once, as a whole.

    Attributes:
      batch: images per batch; only images that are padded to the same size share a batch.
      tile: side of the square tiles that an image is cut into, in its own pixels; 0 predicts the image as a whole.
      overlap: the share of a tile that it has in common with the next one, 0 to less than 1.
      flips: whether the mirrored image is predicted too, and both predictions are merged.
      scales: sizes, relative to the usual one, at which the image is predicted; all predictions are merged.
      confidence: whether semantic results get the largest softmax probability of each pixel.
      probabilities: whether semantic results get all softmax probabilities.
    """

    batch: int = 1
    tile: int = 0
    overlap: float = 0.5
    flips: bool = False
    scales: tuple[float, ...] = (1.0,)
    confidence: bool = False
    probabilities: bool = False


class Prepared(NamedTuple):
    """One image, ready for the device.

    Attributes:
      image: the original, uint8 ``[h, w, 3]``.
      inputs: what the model is given, arrays without the axis of the batch.
      bucket: only images with equal buckets share a batch.
    """

    image: np.ndarray
    inputs: tuple[np.ndarray, ...]
    bucket: Hashable


class Engine(NamedTuple):
    """Predictions in three stages, so that reading, computing and writing can overlap.

    Attributes:
      prepare: resizes an image, uint8 ``[h, w, 3]``, on the host; any thread may call it.
      compute: starts the computation of a batch on the device and returns something per image without waiting for it.
      finish: waits for what ``compute`` returned for an image and makes its result; any thread may call it.
    """

    prepare: Callable[[np.ndarray], Prepared]
    compute: Callable[[Sequence[Prepared]], list[Any]]
    finish: Callable[[Prepared, Any], Result]


def check_options(options: Options) -> Options:
    """Returns the options if they make sense; one number may be ``scales``.

    Raises:
      ValueError: one is no number, or out of range.
    """
    batch, tile, overlap, scales = options.batch, options.tile, options.overlap, options.scales
    if not isinstance(batch, Integral) or batch < 1:
        raise ValueError(f"batch is {batch!r}; expected a whole number, 1 or more")
    if not isinstance(tile, Integral) or 0 != tile < 32:
        raise ValueError(f"tile is {tile!r}; expected 0, which predicts whole images, or at least 32 whole pixels")
    if not isinstance(overlap, Real) or not 0 <= overlap < 1:
        raise ValueError(f"overlap is {overlap!r}; expected 0 to less than 1, a share of the tile")
    scales = tuple(scales) if isinstance(scales, list | tuple) else (scales,)
    if not scales or not all(isinstance(scale, Real) and 0 < scale <= 8 for scale in scales):
        raise ValueError(f"scales is {options.scales!r}; expected one or more numbers above 0, at most 8")
    for name in ("flips", "confidence", "probabilities"):
        if not isinstance(getattr(options, name), bool):
            raise ValueError(f"{name} is {getattr(options, name)!r}; expected True or False")
    return options._replace(scales=tuple(map(float, scales)))


def read_options(fields: Mapping[str, Any]) -> Options:
    """Returns options from some of their fields.

    Raises:
      ValueError: a field is unknown or out of range.
    """
    unknown = set(fields) - set(Options._fields)
    if unknown:
        raise ValueError(f"{min(unknown)} is not an option; expected one of {', '.join(Options._fields)}")
    return check_options(Options(**fields))


def changes_views(options: Options) -> bool:
    """Returns whether options ask for anything else than each image once, as a whole."""
    return bool(options.tile) or options.flips or tuple(options.scales) != (1.0,)


def describe_views(options: Options) -> str:
    """Returns how options change the views of an image, for a report.

    >>> describe_views(Options(tile=512, flips=True, scales=(0.75, 1.0)))
    'tiles of 512, overlap 0.5; mirrored too; scales 0.75, 1'
    """
    tiles = f"tiles of {options.tile}, overlap {options.overlap:g}" if options.tile else ""
    scales = ", ".join(f"{scale:g}" for scale in options.scales)
    parts = tiles, "mirrored too" if options.flips else "", f"scales {scales}" if scales != "1" else ""
    return "; ".join(filter(None, parts))


def stack(prepared: Sequence[Prepared], batch: int) -> list[np.ndarray]:
    """Stacks the inputs of images; the last image fills up a batch, so that every batch compiles to one program."""
    filled = [*prepared, *[prepared[-1]] * (batch - len(prepared))]
    return [np.stack(arrays) for arrays in zip(*(one.inputs for one in filled), strict=True)]


def place(mesh: Mesh | None, arrays: Sequence[np.ndarray]) -> list[Any]:
    """Puts a batch on the devices: divided where its size allows it, else whole on each of them."""
    if mesh is None or mesh.size == 1:
        return list(arrays)

    def sharding(array: np.ndarray) -> NamedSharding:
        divided = batch_sharding(mesh, array.ndim if array.ndim == 4 else 1)
        shares = mesh.shape["data"] * mesh.shape["fsdp"]
        if len(array) % shares == 0 and (array.ndim < 4 or array.shape[1] % mesh.shape["spatial"] == 0):
            return divided
        rows = mesh.shape["spatial"] > 1 and array.ndim == 4 and array.shape[1] % mesh.shape["spatial"] == 0
        return NamedSharding(mesh, P(None, "spatial") if rows else P())

    return [jax.device_put(array, sharding(array)) for array in arrays]


def whole_variables(mesh: Mesh | None, variables: dict[str, Any]) -> dict[str, Any]:
    """Returns variables that ``fsdp`` divides between devices as whole ones; under jit."""
    return variables if mesh is None else gathered(mesh, variables)


def matmul_precision(config: ml_collections.ConfigDict) -> Any:
    """Returns the context in which float32 products are exact: by default, GPUs and TPUs round their factors."""
    return jax.default_matmul_precision("highest" if config.precision == "float32" else "default")
