"""The mesh of devices, and how batches and states are divided over it."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

AXES = ("data", "fsdp", "spatial")


def make_mesh(sizes: Any, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns the mesh over the devices of all processes, unless some are given.

    Args:
      sizes: ``data``, ``fsdp`` and ``spatial``; one of them may be -1, which uses all remaining devices.
      devices: the devices to use.

    Raises:
      ValueError: the product of the sizes is not the number of devices.
    """
    shape = [sizes[axis] for axis in AXES]
    devices = jax.devices() if devices is None else devices
    if shape.count(-1) == 1:
        rest = math.prod(size for size in shape if size != -1)
        shape[shape.index(-1)] = len(devices) // rest if rest > 0 else 0
    if min(shape) < 1 or math.prod(shape) != len(devices):
        asked = ", ".join(f"{axis}={sizes[axis]}" for axis in AXES)
        raise ValueError(
            f"mesh ({asked}) does not fit {len(devices)} device(s): the sizes must multiply to that number, "
            "and one of them may be -1"
        )
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices)


def is_one_cpu(mesh: Mesh) -> bool:
    """Returns whether a mesh is a single CPU device."""
    return mesh.size == 1 and mesh.devices.flat[0].platform == "cpu"


def check_batch(mesh: Mesh, batch_size: int, accumulate: int, height: int, least_rows: int = 1) -> None:
    """Checks that a batch can be divided as the config asks.

    Args:
      mesh: the devices.
      batch_size: images per batch.
      accumulate: microbatches per batch.
      height: rows of an image.
      least_rows: least rows of an image per device, if rows are divided.

    Raises:
      ValueError: it cannot; the message names the nearest batch that can.
    """
    shares = mesh.shape["data"] * mesh.shape["fsdp"] * accumulate
    if batch_size < 1 or batch_size % shares:
        near = max(shares, round(batch_size / shares) * shares)
        raise ValueError(
            f"train.batch_size is {batch_size}, which cannot be divided by the {mesh.shape['data']} x "
            f"{mesh.shape['fsdp']} devices (data x fsdp) and {accumulate} microbatch(es): take {near}"
        )
    if height % mesh.shape["spatial"]:
        raise ValueError(
            f"images of {height} rows cannot be divided over mesh.spatial={mesh.shape['spatial']}: change "
            "data.image_size to a multiple of it"
        )
    if mesh.shape["spatial"] > 1 and height < least_rows * mesh.shape["spatial"]:
        raise ValueError(
            f"images of {height} rows are too small to be divided over mesh.spatial={mesh.shape['spatial']}: for this "
            f"model each device needs {least_rows} rows; divide less, or take larger images"
        )


def batch_share(mesh: Mesh) -> tuple[int, int]:
    """Returns which share of each batch this process reads, and how many shares there are.

    Processes that hold different rows of the same images, over ``spatial``, read the same share.

    Raises:
      ValueError: the devices of a process hold images of two shares, some of them only in part.
    """
    holders = [{device.process_index for device in rows} for rows in mesh.devices.reshape(-1, mesh.shape["spatial"])]
    shares = list(dict.fromkeys(map(frozenset, holders)))
    if len(set().union(*shares)) != sum(map(len, shares)):
        raise ValueError(
            f"mesh.spatial={mesh.shape['spatial']} divides images over processes that hold other images too: make it a "
            "divisor or a multiple of the number of devices of a process"
        )
    return next(number for number, share in enumerate(shares) if jax.process_index() in share), len(shares)


def batch_sharding(mesh: Mesh, ndim: int) -> NamedSharding:
    """Returns the sharding of an array ``[b, ...]`` of a batch; ``[b, h, w, ...]`` is divided over rows too."""
    rows = ("spatial",) if ndim >= 3 else ()
    return NamedSharding(mesh, P(("data", "fsdp"), *rows))


def state_sharding(mesh: Mesh, leaf: Any) -> NamedSharding:
    """Returns the sharding of an array of the state: the longest axis that divides evenly, over ``fsdp``."""
    shards = mesh.shape["fsdp"]
    axes = [axis for axis in range(len(leaf.shape)) if leaf.shape[axis] % shards == 0]
    if shards == 1 or not axes:
        return NamedSharding(mesh, P())
    longest = max(axes, key=lambda axis: leaf.shape[axis])
    return NamedSharding(mesh, P(*(None,) * longest, "fsdp"))


def gathered(mesh: Mesh, tree: Any) -> Any:
    """Returns the arrays of a state whole on every device, and makes their gradients whole; for use under jit."""
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, P()))


def from_all_processes(content: bytes) -> list[bytes]:
    """Gathers bytes from all processes, in the order of their numbers. All processes call it together."""
    if jax.process_count() == 1:
        return [content]
    lengths = multihost_utils.process_allgather(np.int64(len(content)))
    padded = np.zeros(lengths.max(), np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    return [
        row[:length].tobytes() for row, length in zip(multihost_utils.process_allgather(padded), lengths, strict=True)
    ]
