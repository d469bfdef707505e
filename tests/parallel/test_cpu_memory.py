"""Where programs run on CPUs, threads share few heaps, and large blocks have huge pages."""

import os
import platform
import subprocess
import sys

import pytest

from jaxseg.parallel import cpu_memory

# More threads than cores allocate at the same time. Prints how many heaps the C library then has.
PROGRAM = """
import ctypes, os, sys, threading
from jaxseg.parallel.cpu_memory import limit_heaps

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.fopen.restype, libc.malloc_info.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
count = os.cpu_count() + 6
barrier = threading.Barrier(count)

def allocate():
    barrier.wait()
    libc.malloc(1000)
    barrier.wait()

if sys.argv[1] == "few":
    limit_heaps()
threads = [threading.Thread(target=allocate) for _ in range(count)]
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
def test_threads_share_few_heaps(tmp_path):
    assert heaps("few", tmp_path / "few") <= os.cpu_count() + 2
    assert heaps("many", tmp_path / "many") > os.cpu_count() + 2  # the test can fail


@pytest.fixture
def restarts(monkeypatch, tmp_path):
    """Restarts under a kernel's setting, a version of glibc and its tunables; returns commands and tunables."""
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "jaxseg", "train", "unet_shapes"])
    monkeypatch.setattr(sys, "gettrace", lambda: None)  # coverage has a trace function
    monkeypatch.setattr(cpu_memory, "has_accelerators", lambda: False)
    started = []
    monkeypatch.setattr(os, "execv", lambda path, command: started.append((path, command)))

    def restart(kernel="always [madvise] never", version="2.36", tunables=""):
        started.clear()
        monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", version))
        monkeypatch.setenv("GLIBC_TUNABLES", tunables)
        (tmp_path / "enabled").write_text(kernel)
        cpu_memory.restart_with_huge_pages(tmp_path / "enabled")
        return [(command, os.environ["GLIBC_TUNABLES"]) for _, command in started]

    return restart


def test_a_process_starts_anew_with_its_own_command_line(restarts):
    command = [sys.executable, "-m", "jaxseg", "train", "unet_shapes"]
    assert restarts() == [(command, "glibc.malloc.hugetlb=1")]
    assert restarts(tunables="glibc.malloc.check=1") == [(command, "glibc.malloc.check=1:glibc.malloc.hugetlb=1")]


@pytest.mark.parametrize(
    "case",
    [
        {"kernel": "[always] madvise never"},  # all have them
        {"kernel": "always madvise [never]"},  # nobody has them
        {"version": "2.31"},  # cannot ask for them
        {"tunables": "glibc.malloc.hugetlb=1"},  # was started anew
        {"tunables": "glibc.malloc.hugetlb=0"},  # the user's choice
    ],
)
def test_a_process_goes_on_where_a_restart_would_change_nothing(restarts, case):
    assert restarts(**case) == []


def test_a_process_that_is_debugged_goes_on(restarts, monkeypatch):
    monkeypatch.setattr(sys, "gettrace", lambda: print)
    assert restarts() == []


def test_a_process_goes_on_where_no_other_may_take_its_place(restarts, monkeypatch):
    def refuse(path, command):
        raise PermissionError

    monkeypatch.setattr(os, "execv", refuse)
    assert restarts() == []


@pytest.mark.parametrize("command", [["-m", "jaxseg", "doctor"], ["-m", "jaxseg.main", "--config", "no_such_config"]])
def test_commands_start_anew_once_and_keep_their_arguments(root, command, tmp_path):
    kernel = cpu_memory.WHO_HAS_HUGE_PAGES
    if platform.libc_ver()[0] != "glibc" or not kernel.exists() or "[madvise]" not in kernel.read_text():
        pytest.skip("huge pages are not for those who ask")
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys; print(os.getpid(), os.environ.get('GLIBC_TUNABLES'), flush=True)"
    )
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": f"{tmp_path}:{root}"}
    environment.pop("GLIBC_TUNABLES", None)
    run = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment)
    first, second = (line.split() for line in run.stdout.splitlines()[:2])
    assert first == [second[0], "None"]
    assert second[1] == "glibc.malloc.hugetlb=1"
    assert ("usable cores" in run.stdout) if "doctor" in command else ("no_such_config" in run.stderr)


def test_accelerators_are_told_by_their_plugins(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert not cpu_memory.has_accelerators()
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setattr(cpu_memory.metadata, "entry_points", lambda group: ["xla_cuda12"])
    assert cpu_memory.has_accelerators()
