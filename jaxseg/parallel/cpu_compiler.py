"""Options of XLA's compiler for programs on CPUs. The benchmarks' README has the measurements."""

import functools

import jax
from jax.sharding import Mesh

# The kinds of operations that XLA gives to the library YNNPACK. It runs convolutions one after the other and leaves
# cores idle.
YNNPACK_FUSIONS, NONE = "xla_cpu_experimental_ynn_fusion_type", ""


def prediction_options(mesh: Mesh | None) -> dict[str, str] | None:
    """Returns the compiler options of programs that predict.

    Training keeps YNNPACK: its kernel gradients are matrix products, which are slower without it. Evaluation keeps it,
    too: without it, the loss of 200 images differs by 2e-5 between one and several processes.

    Args:
      mesh: the devices that run the program; None for the default device.

    Returns:
      ``compiler_options`` for ``jax.jit``; None where devices are not CPUs, or where this XLA does not know the option.
    """
    devices = [jax.devices()[0]] if mesh is None else mesh.devices.flat
    on_cpus = all(device.platform == "cpu" for device in devices)
    return {YNNPACK_FUSIONS: NONE} if on_cpus and cpu_compiler_accepts(YNNPACK_FUSIONS, NONE) else None


@functools.cache
def cpu_compiler_accepts(option: str, value: str) -> bool:
    """Returns whether this version of XLA has an option with such a value. Experimental ones come and go."""
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        try:
            jax.jit(lambda x: x, compiler_options={option: value}).lower(0.0).compile()
        except jax.errors.JaxRuntimeError:
            return False
    return True
