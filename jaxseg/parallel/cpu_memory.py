"""Memory of the process where programs run on CPUs. The benchmarks' README has the measurements."""

import contextlib
import ctypes
import importlib.util
import os
import platform
import signal
import sys
from importlib import metadata
from pathlib import Path

M_ARENA_MAX = -8  # of glibc's malloc.h
HUGE_PAGES = "glibc.malloc.hugetlb"
WHO_HAS_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def limit_heaps() -> None:
    """Limits the heaps that threads share to two more than there are cores, if programs run on CPUs with glibc.

    The C library has up to eight heaps per core, and each keeps what its threads have freed. With a single heap,
    threads wait for each other: a step takes up to a tenth longer. Call it before there are threads, hence before jax
    is imported: a thread that has a heap keeps it.
    """
    if platform.libc_ver()[0] == "glibc" and not has_accelerators():
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, (os.cpu_count() or 1) + 2)


def restart_with_huge_pages(who_has_them: Path = WHO_HAS_HUGE_PAGES) -> None:
    """Restarts this process with huge pages, if programs run on CPUs and the kernel gives huge pages on request.

    XLA allocates the memory of each step again, and the kernel clears it page by page: 190,000 pages of 4 KiB for a
    U-Net. Huge pages are 512 times as large. The C library (glibc 2.35 or later) requests them only where its setting
    is in the environment when a process starts. A process that is debugged does not restart.

    Args:
      who_has_them: the kernel's file that says who gets huge pages: all, those that request them ("madvise"), or none.
    """
    settings = os.environ.get("GLIBC_TUNABLES", "")
    if HUGE_PAGES in settings or sys.gettrace() or not sys.executable or has_accelerators():
        return
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split("."))) < (2, 35):
        return
    with contextlib.suppress(OSError):  # There is no such file, or the system starts no programs in place of others.
        if "[madvise]" in who_has_them.read_text():
            os.environ["GLIBC_TUNABLES"] = ":".join(filter(None, [settings, f"{HUGE_PAGES}=1"]))
            # A Ctrl-C waits for the handler of the restarted process: Python prints a traceback while it starts.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def has_accelerators() -> bool:
    """Returns whether jax may find a GPU or a TPU, as far as can be told without importing it."""
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        return False
    return bool(metadata.entry_points(group="jax_plugins")) or importlib.util.find_spec("libtpu") is not None
