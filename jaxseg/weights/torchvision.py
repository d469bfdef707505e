"""Converts state dicts of torchvision to variables of jaxseg and back, bit by bit.

Kernels of convolutions are (out, in, rows, columns) in PyTorch and (rows, columns, in, out) in jaxseg.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxseg.weights.mappings import NOTHING, Mapping, Rule

LEAVES = {"kernel": "weight", "bias": "bias", "scale": "weight", "mean": "running_mean", "var": "running_var"}

COUNTER = "num_batches_tracked"

Path = tuple[str, ...]


class KernelLayout(NamedTuple):
    """How the axes of a kernel are ordered.

    Attributes:
      to_torch: ``kernel -> weight``.
      from_torch: ``(weight, shape of the kernel) -> kernel``.
    """

    to_torch: Callable[[np.ndarray], np.ndarray]
    from_torch: Callable[[np.ndarray, tuple[int, ...]], np.ndarray]


KERNELS = {
    "conv": KernelLayout(
        lambda kernel: kernel.transpose(3, 2, 0, 1),
        lambda weight, shape: weight.transpose(2, 3, 1, 0),
    ),
    "dense": KernelLayout(
        lambda kernel: kernel.transpose(1, 0),
        lambda weight, shape: weight.transpose(1, 0),
    ),
    # A dense layer over a map, which PyTorch flattens as (channel, row, column). jaxseg keeps the axes of the map.
    "flattened": KernelLayout(
        lambda kernel: kernel.transpose(3, 2, 0, 1).reshape(kernel.shape[3], -1),
        lambda weight, shape: weight.reshape(shape[3], shape[2], shape[0], shape[1]).transpose(2, 3, 1, 0),
    ),
    # A transposed convolution. PyTorch keeps its weight as (in, out, rows, columns).
    "transposed": KernelLayout(
        lambda kernel: kernel.transpose(2, 3, 0, 1),
        lambda weight, shape: weight.transpose(2, 3, 0, 1),
    ),
}


class Entry(NamedTuple):
    """The place of a variable in a state dict: its name there and its layout; None if the layout is the same."""

    name: str
    layout: KernelLayout | None


class Imported(NamedTuple):
    """A converted state dict.

    Attributes:
      variables: the template's tree, of numpy arrays.
      reinitialized: names of the entries of heads with another number of classes, which keep the values of the
        template.
    """

    variables: dict[str, Any]
    reinitialized: tuple[str, ...]


def from_state_dict(state: dict[str, np.ndarray], template: dict[str, Any], mapping: Mapping) -> Imported:
    """Returns variables with the numbers of a state dict.

    Args:
      state: arrays by torchvision's names. Batch counters are ignored.
      template: the variables. Shapes are enough, unless heads with another number of classes keep their values.
      mapping: how the two name the same things.

    Raises:
      ValueError: entries are missing, left over or of another shape; all of them are listed.
    """
    leaves = flatten_dict(template)
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves.values()):
        mapping = mapping._replace(heads=NOTHING)  # there are no values that a head could keep
    taken = convert_leaves(state, template, mapping)
    kept = {path: np.asarray(leaf) for path, leaf in leaves.items() if path not in taken}
    reinitialized = tuple(_entry(path, mapping.rules).name for path in kept)
    return Imported(unflatten_dict(taken | kept), reinitialized)


def convert_leaves(state: dict[str, np.ndarray], template: dict[str, Any], mapping: Mapping) -> dict[Path, np.ndarray]:
    """Returns arrays of a state dict in the layouts of jaxseg, by path ``(collection, module, ..., leaf)``.

    Args:
      state: arrays by torchvision's names. Batch counters are ignored.
      template: the variables, or their shapes.
      mapping: how the two name the same things; where the shape of a head differs, it is left out.

    Raises:
      ValueError: other entries are missing, left over or of another shape; all of them are listed.
    """
    state = {_new_name(k, mapping): v for k, v in state.items() if not k.endswith(COUNTER)}
    leaves, entries = _entries(template, mapping.rules)
    problems = _missing_and_extra(state, {e.name for e in entries.values()}, mapping)
    taken = {}
    for path, leaf in leaves.items():
        name, layout = entries[path]
        if name not in state:
            continue
        expected = jax.eval_shape(layout.to_torch, leaf).shape if layout else tuple(leaf.shape)
        weight = state[name]
        if tuple(weight.shape) == expected:
            weight = layout.from_torch(weight, leaf.shape) if layout else weight
            taken[path] = np.array(weight, leaf.dtype, order="C")
        elif not re.fullmatch(mapping.heads, name):
            problems.append(f"  {name}: shape {tuple(weight.shape)}, expected {expected}")
    if problems:
        raise ValueError("The state dict does not fit the model:\n" + "\n".join(problems))
    return taken


def to_state_dict(variables: dict[str, Any], mapping: Mapping) -> dict[str, np.ndarray]:
    """Returns variables under torchvision's names and in its layouts; counters of batches are 0."""
    leaves, entries = _entries(variables, mapping.rules)
    state = {}
    for path, leaf in leaves.items():
        name, layout = entries[path]
        leaf = np.asarray(leaf)
        state[name] = np.ascontiguousarray(layout.to_torch(leaf) if layout else leaf)
        live_norm = path[-1] == "mean" and ("params", *path[1:-1], "scale") in leaves
        if live_norm:
            state[f"{name.rpartition('.')[0]}.{COUNTER}"] = np.zeros((), np.int64)
    return state


def _entries(variables: dict[str, Any], rules: Iterable[Rule]) -> tuple[dict[Path, Any], dict[Path, Entry]]:
    """Returns the variables by path, and the entry of each in a state dict."""
    leaves = flatten_dict(variables)
    return leaves, {path: _entry(path, rules) for path in leaves}


def _entry(path: Path, rules: Iterable[Rule]) -> Entry:
    """Returns the entry of the variable at ``path``, ``(collection, module, ..., leaf)``, in a state dict."""
    module, leaf = "/".join(path[1:-1]), path[-1]
    for rule in rules:
        match = re.fullmatch(rule.module, module)
        if match:
            name = f"{match.expand(rule.entry)}.{LEAVES[leaf]}"
            return Entry(name, KERNELS[rule.kernel] if leaf == "kernel" else None)
    raise LookupError(f"No rule of the mapping names the module '{module}'.")


def _new_name(name: str, mapping: Mapping) -> str:
    """Returns the name that current versions of torchvision use for an entry."""
    for old, new in mapping.old_names:
        name = re.sub(rf"^{old}$", new, name)
    return name


def _missing_and_extra(state: dict[str, np.ndarray], expected: set[str], mapping: Mapping) -> list[str]:
    """Returns a line per entry that is missing, and one per entry that is left over and not spare."""
    missing = [f"  {name}: missing" for name in sorted(expected - set(state))]
    left_over = sorted(set(state) - expected)
    return missing + [f"  {name}: not expected" for name in left_over if not re.fullmatch(mapping.spare, name)]
