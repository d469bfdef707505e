"""Flags of XLA with which the tests compile, since they compile more than they compute."""

from importlib import metadata

# The machine code need not be the fastest.
XLA_FLAGS = "--xla_backend_optimization_level=0"
# How programs are compiled outside the tests, where a test is about the last bit of their numbers.
AS_USERS_COMPILE = {"xla_backend_optimization_level": 3}

# jax 0.10 has two code generators for the CPU. The older one compiles the training step of the tiny detector in a third
# of the time. jax 0.11 only has the newer one and refuses the flag.
if metadata.version("jaxlib").startswith("0.10."):
    XLA_FLAGS += " --xla_cpu_use_fusion_emitters=false"
    AS_USERS_COMPILE["xla_cpu_use_fusion_emitters"] = True
