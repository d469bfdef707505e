"""Writes PyTorch's ``.pth`` files without PyTorch: the form that ``torch.load(weights_only=True)`` reads."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxseg.storage import whole_file

KINDS = {
    np.dtype("<f4"): "FloatStorage",
    np.dtype("<f8"): "DoubleStorage",
    np.dtype("<f2"): "HalfStorage",
    np.dtype("<i8"): "LongStorage",
    np.dtype("<i4"): "IntStorage",
    np.dtype("u1"): "ByteStorage",
    np.dtype("?"): "BoolStorage",
}


def write_pth(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict.

    Args:
      path: the file, which ends in ``.pth``.
      arrays: arrays by name.

    Raises:
      ValueError: an array has a type that PyTorch does not have.
      OSError: the file cannot be written.
    """
    root = Path(path).stem
    arrays = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in arrays.items()}
    with whole_file(Path(path)) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{root}/data.pkl", _pickle(arrays))
        archive.writestr(f"{root}/byteorder", "little")
        for key, array in enumerate(arrays.values()):
            archive.writestr(f"{root}/data/{key}", array.astype(array.dtype.newbyteorder("<")).tobytes())
        archive.writestr(f"{root}/version", "3\n")


def _pickle(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns a pickle of an ordered dictionary of tensors, protocol 2; the storages are named and not included."""
    items = b"".join(_text(name) + _tensor(key, array) for key, (name, array) in enumerate(arrays.items()))
    empty = pickle.EMPTY_TUPLE + pickle.REDUCE
    ordered = _name("collections", "OrderedDict") + empty + pickle.MARK + items + pickle.SETITEMS
    return pickle.PROTO + b"\x02" + ordered + pickle.STOP


def _tensor(key: int, array: np.ndarray) -> bytes:
    """Returns the call of ``_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)``."""
    kind = KINDS.get(array.dtype)
    if kind is None:
        raise ValueError(f"an array has the type {array.dtype}; expected one of {', '.join(map(str, KINDS))}")
    storage = _tuple(_text("storage"), _name("torch", kind), _text(str(key)), _text("cpu"), _number(array.size))
    strides = (stride // array.itemsize for stride in array.strides)
    hooks = _name("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    arguments = _tuple(
        storage + pickle.BINPERSID,
        _number(0),
        _tuple(*map(_number, array.shape)),
        _tuple(*map(_number, strides)),
        pickle.NEWFALSE,
        hooks,
    )
    return _name("torch._utils", "_rebuild_tensor_v2") + arguments + pickle.REDUCE


def _name(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    encoded = text.encode()
    return pickle.BINUNICODE + len(encoded).to_bytes(4, "little") + encoded


def _number(number: int) -> bytes:
    encoded = number.to_bytes(9, "little", signed=True).rstrip(b"\0") or b"\0"
    encoded += b"\0" if encoded[-1] > 127 else b""  # The highest bit is the sign.
    return pickle.LONG1 + bytes([len(encoded)]) + encoded


def _tuple(*parts: bytes) -> bytes:
    return pickle.MARK + b"".join(parts) + pickle.TUPLE
