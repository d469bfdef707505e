"""The mesh of devices, and how batches and states are divided over it."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

AXES = ("data", "fsdp", "spatial")
_AUTO = (AxisType.Auto,) * len(AXES)
FLOAT32_LAYERS = ("up_",)  # beginnings of the names of layers that compute in float32, such as an FCN's upsampling


def make_mesh(sizes: Any, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns the mesh over the devices of all processes, unless some are given.

    Args:
      sizes: ``data``, ``fsdp`` and ``spatial``; one of them may be -1, which uses all remaining devices. And
        ``slices``, the number of TPU slices; -1 or no number uses the slices that the devices belong to.
      devices: the devices to use.

    Raises:
      ValueError: the product of the sizes is not the number of devices, or the slices are others.
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
    slices = slices_of(devices)
    if sizes.get("slices", -1) not in (-1, len(slices)) or shape[0] % len(slices):
        raise ValueError(
            f"mesh.slices is {sizes.get('slices', -1)}, and mesh.data is {shape[0]}; the devices belong to "
            f"{len(slices)} slice(s). Expected that number or -1, and a mesh.data that is a multiple of it."
        )
    # Neighbors on an axis are close to each other within a slice. Slices are far apart, so that only "data" joins them.
    within = [shape[0] // len(slices), *shape[1:]]
    parts = [jax.make_mesh(within, AXES, axis_types=_AUTO, devices=part).devices for part in slices]
    return Mesh(np.concatenate(parts), AXES, axis_types=_AUTO)


def slices_of(devices: Sequence[jax.Device]) -> list[list[jax.Device]]:
    """Returns the devices of each TPU slice; devices that are no TPUs count as one slice."""
    found: dict[int, list[jax.Device]] = {}
    for device in devices:
        number = getattr(device, "slice_index", 0) if device.platform == "tpu" else 0
        found.setdefault(number, []).append(device)
    return [found[number] for number in sorted(found)]


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


def gathered_by_layer(mesh: Mesh, dtype: Any, params: Any) -> Any:
    """Returns parameters that are whole from their layer on; their gradients stay divided over ``fsdp``.

    Use it within ``forget_whole``. Kernels are gathered in the type that their layer computes in, which halves what
    bfloat16 needs.

    Args:
      mesh: the devices.
      dtype: type of the computation.
      params: nested dictionaries of arrays.
    """

    def gather(path: tuple, leaf: jax.Array) -> jax.Array:
        names = [entry.key for entry in path]
        casts = names[-1] == "kernel" and not any(name.startswith(FLOAT32_LAYERS) for name in names)
        if casts and leaf.dtype != dtype:
            # Without the constraint, the partitioner would gather first and cast then, in twice as many bytes.
            leaf = jax.lax.with_sharding_constraint(leaf.astype(dtype), state_sharding(mesh, leaf))
        return _gather_leaf(mesh, leaf)

    return jax.tree_util.tree_map_with_path(gather, params)


def forget_whole(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes the backward pass of a function gather parameters again, instead of keeping them whole until then.

    Casts of parameters are made again too. Otherwise XLA would keep the whole parameter to cut the cast part from it.

    Args:
      function: ``(params, ...)``; it calls ``gathered_by_layer`` on ``params``.
    """

    def without_whole(params: Any, *arguments: Any) -> Any:
        """Calls the function so that whole parameters are gathered again in the backward pass."""
        shapes = {leaf.shape for leaf in jax.tree.leaves(params)}

        def keeps(primitive: Any, *operands: Any, **_: Any) -> bool:
            if primitive.name == "convert_element_type":
                return operands[0].shape not in shapes
            return primitive.name != "sharding_constraint"  # what ``gathered`` applies

        return jax.checkpoint(function, policy=keeps)(params, *arguments)

    return without_whole


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _gather_leaf(mesh: Mesh, leaf: jax.Array) -> jax.Array:
    """Returns one parameter whole on every device."""
    return gathered(mesh, leaf)


def _scatter_gradient(mesh: Mesh, _: None, gradient: jax.Array) -> tuple[jax.Array]:
    """Sums a gradient over all devices, and leaves each with the part that its parameters have.

    First every device gets the sum of its own small part, by a reduce-scatter. Then devices that share a part of the
    parameters exchange those parts. So no device ever holds the whole sum.
    """
    constrain, sharding = jax.lax.with_sharding_constraint, state_sharding(mesh, gradient)
    # Without the first line, the partitioner would divide the layer's channels; see ``run.compilation.gather_for``.
    gradient = gathered(mesh, gradient)
    axis = sharding.spec.index("fsdp") if "fsdp" in sharding.spec else None
    if axis is not None and gradient.shape[axis] % mesh.size == 0:
        finest = P(*(None,) * axis, ("fsdp", "data", "spatial"))
        gradient = constrain(gradient, NamedSharding(mesh, finest))
    return (constrain(gradient, sharding),)


_gather_leaf.defvjp(lambda mesh, leaf: (gathered(mesh, leaf), None), _scatter_gradient)


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
