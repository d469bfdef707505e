"""Weights from a numpy seed: the same on every machine, so that a file of outputs is all that a comparison needs."""

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict


def template(model, image_shape, **arguments):
    """The shapes of a model's variables, without any of the memory."""
    image = jax.ShapeDtypeStruct(image_shape, jnp.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False, **arguments), image)


def random_variables(shapes, seed):
    """Variables of the given shapes that keep activations lively: kernels by fan-in, norms far from trivial.

    The last norm of a bottleneck is small, as in trained networks: branches that all shout make a deep network so
    chaotic in training that float32 itself, not the code, decides what its gradients are.
    """
    rng = np.random.default_rng(seed)
    variables = {}
    for path, leaf in sorted(flatten_dict(shapes).items()):
        if path[-1] == "kernel":
            fan_in = np.prod(leaf.shape[:-1])
            value = rng.standard_normal(leaf.shape, np.float32) * np.float32(np.sqrt(2 / fan_in))
        elif path[-1] in ("scale", "var"):
            value = rng.uniform(0.5, 1.5, leaf.shape)
            value = value * 0.2 if path[-2:] == ("bn3", "scale") else value
        else:
            value = rng.normal(0, 0.1, leaf.shape)
        variables[path] = value.astype(np.float32)
    return unflatten_dict(variables)


def random_image(shape, seed):
    """A float32 image ``[b, h, w, 3]`` with the spread of a normalized photograph."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def relative_error(actual, expected):
    """The largest difference, as a share of the largest expected number."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return np.abs(actual - expected).max() / np.abs(expected).max()
