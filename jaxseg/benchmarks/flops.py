"""Floating-point operations of a model: those of its matrix products and convolutions, however they are computed.

XLA's own count has a loop's body once, however often it runs. So it would miss most of a kernel's gradient where that
is computed block by block, and all but one of several microbatches.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Var, jaxprs_in_params


def count_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Counts those in a call of a function, over all devices; a multiplication and an addition are two.

    A loop with an unknown number of turns counts as one turn, and the most expensive of several branches counts.
    """
    # A jitted function with compiler options cannot be traced within another.
    jitted = function if hasattr(function, "trace") else jax.jit(function)
    return _of_jaxpr(jitted.trace(*arguments).jaxpr.jaxpr)


def _of_jaxpr(jaxpr: Any) -> int:
    """Counts those of the equations on which the results depend; the others are not computed."""
    needed, total = {out for out in jaxpr.outvars if isinstance(out, Var)}, 0
    for equation in reversed(jaxpr.eqns):
        if equation.effects or needed.intersection(equation.outvars):
            needed.update(value for value in equation.invars if isinstance(value, Var))
            total += _of_equation(equation)
    return total


def _of_equation(equation: Any) -> int:
    name, parameters = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2 * equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval
        outputs = kernel.shape[parameters["dimension_numbers"].rhs_spec[0]]
        # A dilated input has one value per this many positions; the rest are zeros, which need no multiplication.
        zeros = math.prod(parameters["lhs_dilation"])
        return 2 * equation.outvars[0].aval.size * kernel.size // (outputs * zeros)
    if name == "cond":
        return max(_of_jaxpr(branch.jaxpr) for branch in parameters["branches"])
    turns = {"scan": lambda: parameters["length"], "shard_map": lambda: parameters["mesh"].size}
    return turns.get(name, lambda: 1)() * sum(_of_jaxpr(inner) for inner in jaxprs_in_params(parameters))
