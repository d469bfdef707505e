"""What a process frees it keeps, where its programs run on CPUs."""

import os
import platform
import subprocess
import sys

import pytest

from jaxseg.parallel import cpu_memory as allocation

# In a thread, as XLA allocates: blocks of 64 MiB, each written to and freed. Prints how many pages the kernel gave.
PROGRAM = """
import ctypes, resource, sys, threading
from jaxseg.parallel.cpu_memory import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def churn():
    for _ in range(20):
        block = libc.malloc(1 << 26)
        ctypes.memset(block, 1, 1 << 26)
        libc.free(block)

if sys.argv[1] == "keep":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=churn)
thread.start()
thread.join()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() / (1 << 26))
"""


def blocks_fetched(how):
    """How many blocks' worth of fresh pages twenty blocks took, one after the other."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_what_is_freed_is_used_again():
    assert blocks_fetched("keep") < 2
    # The test can fail: left alone, glibc returns each block, unless the kernel's pages are huge.
    assert blocks_fetched("leave") > blocks_fetched("keep")


def test_accelerators_are_told_by_their_plugins(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert not allocation.has_accelerators()
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setattr(allocation.metadata, "entry_points", lambda group: ["xla_cuda12"])
    assert allocation.has_accelerators()
