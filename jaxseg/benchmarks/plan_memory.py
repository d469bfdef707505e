"""What a device needs for a compiled step, by kind."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxseg.run.memory import held_bytes


class Memory(NamedTuple):
    """Bytes that one device needs at once.

    Attributes:
      parameters: parameters and running statistics, with their averages where the run keeps them.
      optimizer: state of the optimizer.
      batch: images, labels and other inputs.
      activations: everything between inputs and results; infinity where the compiler refuses the step.
      program: machine code.
    """

    parameters: int
    optimizer: int
    batch: int
    activations: float
    program: int

    @property
    def total(self) -> float:
        """Returns the sum of all kinds."""
        return sum(self)


def memory_of(compiled: Any, state: Any, inputs: Sequence[Any]) -> Memory:
    """Returns the memory of a compiled step by kind.

    Args:
      compiled: the program.
      state: abstract arrays of the state, with shardings.
      inputs: abstract arrays of the other arguments.
    """
    analysis = compiled.memory_analysis()
    parameters, optimizer, *_ = state_memory(state)
    arguments = analysis.argument_size_in_bytes
    results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    batch = min(held_bytes(inputs), arguments)
    unused = parameters + optimizer + batch > arguments  # Predictions do not take the state of the optimizer.
    return Memory(
        parameters=parameters,
        optimizer=0 if unused else optimizer,
        batch=batch,
        activations=analysis.temp_size_in_bytes + max(results, 0),
        program=analysis.generated_code_size_in_bytes,
    )


def state_memory(state: Any) -> Memory:
    """Returns the memory of a state alone."""
    parameters = held_bytes((state.params, state.batch_stats, state.ema))
    return Memory(parameters, held_bytes((state.opt_state, state.step)), batch=0, activations=0, program=0)
