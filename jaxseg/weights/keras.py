"""Converts the weights of a Keras U-Net, as ``model.get_weights()`` lists them, to variables of jaxseg.

The network is that of the Keras example for the pets: 3x3 convolutions with biases, each followed by a batch norm and a
ReLU, and transposed 2x2 convolutions. Convolutions in front of a norm have no bias in jaxseg. The norm subtracts what a
bias adds, so the bias moves into the running mean: ``(y + bias) - mean = y - (mean - bias)``.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

Arrays = dict[tuple[str, ...], np.ndarray]


def from_keras(weights: Sequence[np.ndarray], template: dict[str, Any], *, skips_first: bool = True) -> dict[str, Any]:
    """Returns the variables of a U-Net with the weights of a Keras model.

    Args:
      weights: the arrays of ``model.get_weights()``, in its order: the forward order of the layers.
      template: the variables, or their shapes, of the same U-Net with batch norms.
      skips_first: whether the model concatenates ``[skip, upsampled]``, as jaxseg does, or ``[upsampled, skip]``.

    Returns:
      ``{"params": ..., "batch_stats": ...}`` like the template, of float32 arrays.

    Raises:
      ValueError: an array is missing, left over or of another shape.
    """
    remaining = iter(enumerate(weights))
    arrays: Arrays = {}
    for layer in _layers(template["params"]):
        read = _kernel_and_bias if layer.startswith(("up_", "head")) else _double_conv
        arrays |= read(layer, remaining)
    extra = sum(1 for _ in remaining)
    if extra:
        raise ValueError(
            f"{extra} of the {len(weights)} arrays are left over; expected {len(weights) - extra} for this U-Net. "
            "Do its depth and norms agree with the Keras model's?"
        )
    if not skips_first:
        arrays |= {path: _swap_halves(kernel) for path, kernel in arrays.items() if _follows_a_skip(path)}
    _check_shapes(arrays, template)
    return unflatten_dict({path: np.asarray(array, np.float32) for path, array in arrays.items()})


def _layers(params: dict[str, Any]) -> list[str]:
    """Returns the names of the blocks in forward order."""
    depth = sum(name.startswith("encoder_") for name in params)
    encoder = [f"encoder_{level}" for level in range(depth)]
    decoder = [f"{kind}_{level}" for level in reversed(range(depth)) for kind in ("up", "decoder")]
    return [*encoder, "bottleneck", *decoder, "head"]


def _next_arrays(remaining: Iterator[tuple[int, np.ndarray]], layer: str, *names: str) -> list[np.ndarray]:
    taken = []
    for name in names:
        position, array = next(remaining, (None, None))
        if position is None:
            raise ValueError(f"The list of arrays ends before {name} of {layer}; were all of get_weights() kept?")
        taken.append(np.asarray(array))
    return taken


def _kernel_and_bias(layer: str, remaining: Iterator[tuple[int, np.ndarray]]) -> Arrays:
    """Converts the head, ``[1, 1, in, out]`` in Keras, or a transposed convolution, ``[2, 2, out, in]`` in Keras."""
    kernel, bias = _next_arrays(remaining, layer, "kernel", "bias")
    if layer == "head" and kernel.shape[:2] == (1, 1):
        kernel = kernel[0, 0]
    if layer != "head" and kernel.ndim == 4:
        kernel = kernel.swapaxes(2, 3)
    return {("params", layer, "kernel"): kernel, ("params", layer, "bias"): bias}


def _double_conv(layer: str, remaining: Iterator[tuple[int, np.ndarray]]) -> Arrays:
    arrays: Arrays = {}
    for i in (1, 2):
        conv, norm = f"conv_{i}", f"norm_{i}"
        kernel, bias = _next_arrays(remaining, f"{layer}/{conv}", "kernel", "bias")
        scale, shift, mean, var = _next_arrays(remaining, f"{layer}/{norm}", "gamma", "beta", "mean", "variance")
        if mean.shape != bias.shape:
            raise ValueError(f"{layer}: the bias of {conv} is {bias.shape}, but the mean of {norm} is {mean.shape}.")
        arrays |= {
            ("params", layer, conv, "kernel"): kernel,
            ("params", layer, norm, "scale"): scale,
            ("params", layer, norm, "bias"): shift,
            ("batch_stats", layer, norm, "mean"): mean - bias,
            ("batch_stats", layer, norm, "var"): var,
        }
    return arrays


def _follows_a_skip(path: tuple[str, ...]) -> bool:
    return path[1].startswith("decoder_") and path[2:] == ("conv_1", "kernel")


def _swap_halves(kernel: np.ndarray) -> np.ndarray:
    return np.roll(kernel, kernel.shape[2] // 2, axis=2)


def _check_shapes(arrays: Arrays, template: dict[str, Any]) -> None:
    expected = {path: tuple(leaf.shape) for path, leaf in flatten_dict(template).items()}
    for path, array in arrays.items():
        if path not in expected:
            raise ValueError(f"This U-Net has no {'/'.join(path)}, which the Keras model has; is its norm 'batch'?")
        if array.shape != expected[path]:
            raise ValueError(f"{'/'.join(path)} is {array.shape} in the Keras model, but {expected[path]} here.")
