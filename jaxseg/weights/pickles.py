"""Reads PyTorch's ``.pth`` files, in their zip and their legacy form, without PyTorch and without trust.

A ``.pth`` file is a pickle, and a pickle is a program: it may name any function of any installed package and call it.
The unpickler here knows a few names, which build tensors and containers or are ignored. It refuses all other names, so
nothing in a file is executed. It returns numpy arrays, within the bounds of the bytes that the file holds.
"""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

from jaxseg.weights.wrappers import find_state_dict

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class StorageType(NamedTuple):
    """The substitute of ``torch.FloatStorage``: a type and no behavior."""

    dtype: np.dtype


class Storage(NamedTuple):
    """The flat memory of one or several tensors; ``fetch`` returns it after it was read."""

    fetch: Callable[[], np.ndarray]


class PlainDict(dict):
    """A dictionary that drops what a file would attach to it, such as a state dict's ``_metadata``."""

    def __setstate__(self, state: object) -> None:
        pass


class LazyTensor(NamedTuple):
    """A view of a storage; sizes and strides count elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _tensor(storage: Storage, offset: int, size: tuple, stride: tuple, *rest: object) -> LazyTensor:
    """Stands for ``torch._utils._rebuild_tensor_v2``; gradient flags, hooks and metadata are dropped."""
    return LazyTensor(storage, offset, size, stride)


def _parameter(data: LazyTensor, *rest: object) -> LazyTensor:
    """Stands for ``torch._utils._rebuild_parameter``."""
    return data


class Ignored:
    """A placeholder of a value in a training checkpoint that is not read, such as the command line that made it."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, name: object, value: object) -> None:
        pass


# What training checkpoints hold besides tensors. Nothing of it is imported or executed.
IGNORED = (
    ("argparse", "Namespace"),
    ("types", "SimpleNamespace"),
    ("collections", "defaultdict"),
    ("collections", "Counter"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
    ("torch", "device"),
    ("torch", "float32"),
    ("torch", "float16"),
    ("torch", "bfloat16"),
)

ADMITTED = {
    **dict.fromkeys(IGNORED, Ignored),
    ("collections", "OrderedDict"): PlainDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
} | {("torch", name): StorageType(dtype) for name, dtype in STORAGES.items()}


class TensorUnpickler(pickle.Unpickler):
    """An unpickler of tensors and containers only.

    Args:
      file: where the pickle is read from.
      storage: gives a ``Storage`` from the fields of a persistent id, ``("storage", type, key, location, count, ...)``.
    """

    def __init__(self, file: io.BufferedIOBase, storage: Callable[..., Storage]):
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> object:
        """Returns the substitute of a name, or raises an error: no name is imported."""
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is neither a tensor nor a container")
        return ADMITTED[module, name]

    def persistent_load(self, pid: tuple) -> Storage:
        """Returns the storage that a tensor names."""
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], StorageType):
            raise pickle.UnpicklingError(f"it refers to {pid!r}, which is not a tensor's storage")
        return self._storage(*pid[1:])


def read_pth(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the arrays of the state dict in a file that ``torch.save`` wrote, see ``read_pth_with_notes``."""
    return read_pth_with_notes(path)[0]


def read_pth_with_notes(path: str | Path) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Reads the state dict in a file that ``torch.save`` wrote, also within a training checkpoint.

    Args:
      path: the file.

    Returns:
      Arrays by name, in the file's order, and what was unwrapped, a note each.

    Raises:
      ValueError: the file has no state dict, is damaged, or asks for anything but tensors and containers.
    """
    path = Path(path)
    try:
        tree = _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
        state, notes = find_state_dict(tree, lambda value: isinstance(value, LazyTensor))
        return {name: _array(tensor) for name, tensor in state.items()}, notes
    except (pickle.UnpicklingError, zipfile.BadZipFile, ArithmeticError, AttributeError, EOFError, LookupError,
            TypeError, ValueError) as error:  # fmt: skip
        raise ValueError(
            f"{path} was not read as a PyTorch state dict: {error}. Expected is what "
            f"`torch.save(model.state_dict(), path)` writes; nothing in the file was executed."
        ) from error


def _read_zip(path: Path) -> object:
    """Reads a file of the zip form: ``NAME/data.pkl`` and one ``NAME/data/KEY`` per storage."""
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise pickle.UnpicklingError(f"its archive holds {len(pickles)} entries data.pkl, not one")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise pickle.UnpicklingError("its numbers are not in little-endian order")

        arrays = {}

        def storage(kind: StorageType, key: str, location: str, count: int) -> Storage:
            if key not in arrays:
                arrays[key] = np.frombuffer(archive.read(f"{root}data/{key}"), kind.dtype)
            return Storage(lambda: arrays[key])

        return TensorUnpickler(io.BytesIO(archive.read(pickles[0])), storage).load()


def _read_legacy(path: Path) -> object:
    """Reads a file of the form before PyTorch 1.6: five pickles, then the length and bytes of each storage."""
    kinds, arrays = {}, {}

    def storage(kind: StorageType, key: str, location: str, count: int, view: object) -> Storage:
        if view is not None:
            raise pickle.UnpicklingError("its tensors are views in the way of PyTorch 0.1")
        kinds[key] = kind
        return Storage(lambda: arrays[key])

    with path.open("rb") as file:
        magic, _protocol, _system, tree, keys = (TensorUnpickler(file, storage).load() for _ in range(5))
        if magic != LEGACY_MAGIC:
            raise pickle.UnpicklingError("its magic number is missing")
        for key in keys:
            dtype = kinds[key].dtype
            count = int.from_bytes(file.read(8), "little")
            arrays[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return tree


def _array(tensor: LazyTensor) -> np.ndarray:
    """Returns a copy of the numbers of a tensor, after a check that it stays within its storage."""
    flat = tensor.storage.fetch()
    offset, size, stride = tensor.offset, tensor.size, tensor.stride
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise pickle.UnpicklingError("a tensor has an impossible shape")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if 0 not in size and last >= flat.size:
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    if 0 in size:
        return np.zeros(size, flat.dtype)
    return np.lib.stride_tricks.as_strided(flat[offset:], size, [s * flat.itemsize for s in stride]).copy()
