"""Threads share one heap where programs run on CPUs."""

import os
import platform
import subprocess
import sys

import pytest

from jaxseg.parallel import cpu_memory

# Four threads allocate at the same time. Prints how many heaps the C library then has.
PROGRAM = """
import ctypes, sys, threading
from jaxseg.parallel.cpu_memory import use_one_heap

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.fopen.restype, libc.malloc_info.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
barrier = threading.Barrier(4)

def allocate():
    barrier.wait()
    libc.malloc(1000)
    barrier.wait()

if sys.argv[1] == "one":
    use_one_heap()
threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
print(open(sys.argv[2]).read().count("<heap nr="))
"""


def heaps(how, path):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, how, path],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_threads_share_one_heap(tmp_path):
    assert heaps("one", tmp_path / "one") == 1
    assert heaps("many", tmp_path / "many") > 1  # the test can fail


def test_accelerators_are_told_by_their_plugins(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert not cpu_memory.has_accelerators()
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setattr(cpu_memory.metadata, "entry_points", lambda group: ["xla_cuda12"])
    assert cpu_memory.has_accelerators()
