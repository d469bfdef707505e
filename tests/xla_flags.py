"""Flags of XLA with which the tests compile, since they compile more than they compute."""

# The machine code need not be the fastest.
XLA_FLAGS = "--xla_backend_optimization_level=0"
# How programs are compiled outside the tests, where a test is about the last bit of their numbers.
AS_USERS_COMPILE = {"xla_backend_optimization_level": 3}
