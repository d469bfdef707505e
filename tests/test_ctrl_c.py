"""Ctrl-C ends a command at once, in one line and with status 130, whatever the command does."""

import os
import platform
import signal
import subprocess
import sys

import pytest
from process_ends import assert_ends
from test_faults import start

from jaxseg import ctrl_c
from jaxseg.parallel import cpu_memory

STOPPED = "jaxseg: stopped by Ctrl-C\n"
INTERRUPTS_ITSELF = "import os, signal; os.kill(os.getpid(), signal.SIGINT)\n"
SWALLOWS = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
except BaseException:
    print("swallowed")
"""
WORKS = """
import gc, multiprocessing, os, pathlib, signal, sys, time
from jaxseg import ctrl_c

if __name__ == "__main__":
    ctrl_c.end_on_ctrl_c()
    worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    worker.start()
    print(worker.pid)
    folder, file = pathlib.Path("folder"), pathlib.Path("file")
    folder.mkdir()
    with ctrl_c.unfinished(folder), ctrl_c.unfinished(file):
        (folder / "part").touch()
        file.touch()
        gc.callbacks.append(lambda *_: os.kill(os.getpid(), signal.SIGINT))
        gc.collect()
    print("went on")
"""

# A lock that is taken twice keeps a thread in C, as a compiler does: it handles no signal and holds no lock of Python.
STUCK = """
import ctypes, os, sys, threading, time
from jaxseg import ctrl_c

system, lock = ctypes.CDLL(None), ctypes.create_string_buffer(128)
system.pthread_mutex_init(lock, None)
noted = []

def say(text):
    os.write(1, text)

def get_stuck(seconds):
    system.pthread_mutex_lock(lock)
    threading.Timer(seconds, system.pthread_mutex_unlock, [lock]).start()
    threading.Timer(0.3, say, [b"stuck\\n"]).start()
    system.pthread_mutex_lock(lock)
    system.pthread_mutex_unlock(lock)

ctrl_c.end_on_ctrl_c()
"""
NOTES = (
    STUCK
    + """
with ctrl_c.first_noted(noted.append):
    get_stuck(float(sys.argv[1]))
    say(f"noted {len(noted)}\\n".encode())
    get_stuck(60)
"""
)


def run(*command, path, **options):
    """The status of a process, its output and its errors."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, **options)
    return done.returncode, done.stdout, done.stderr


def test_a_library_cannot_swallow_it_while_it_is_imported(tmp_path, root):
    (tmp_path / "swallows.py").write_text(SWALLOWS)
    program = "from jaxseg import ctrl_c\nctrl_c.end_on_ctrl_c()\nimport swallows"
    assert run("-c", program, path=[root, tmp_path]) == (130, "", STOPPED)


def test_a_callback_cannot_swallow_it_and_nothing_unfinished_is_left(tmp_path, root):
    (tmp_path / "works.py").write_text(WORKS)
    status, output, errors = run("works.py", path=[root], cwd=tmp_path)
    assert (status, errors) == (130, STOPPED)
    (worker,) = output.splitlines()
    assert_ends(int(worker))
    assert os.listdir(tmp_path) == ["works.py"]


@pytest.mark.parametrize("module", ["jaxseg", "jaxseg.main"])
def test_it_is_answered_before_a_command_is_imported(tmp_path, root, module):
    (tmp_path / "difflib.py").write_text(INTERRUPTS_ITSELF)  # which jaxseg.commands imports
    assert run("-m", module, path=[tmp_path, root]) == (130, "", STOPPED)


def test_it_waits_for_a_process_that_starts_anew(tmp_path, root):
    kernel = cpu_memory.WHO_HAS_HUGE_PAGES
    if platform.libc_ver()[0] != "glibc" or not kernel.exists() or "[madvise]" not in kernel.read_text():
        pytest.skip("huge pages are not for those who ask")
    (tmp_path / "sitecustomize.py").write_text(f"import os\nif 'GLIBC_TUNABLES' in os.environ: {INTERRUPTS_ITSELF}")
    assert run("-m", "jaxseg", "configs", path=[tmp_path, root]) == (130, "", STOPPED)


def begin(program, *arguments, root):
    """Starts a program; its output comes line by line."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupt(process, line):
    """Sends Ctrl-C once the process has written a line."""
    assert process.stdout.readline() == line
    process.send_signal(signal.SIGINT)


def test_it_does_not_wait_for_a_compiler(root):
    process = begin(STUCK + "get_stuck(60)", root=root)
    interrupt(process, "stuck\n")
    assert process.communicate(timeout=10) == ("", STOPPED)
    assert process.returncode == 130


def test_the_first_one_is_noted_while_a_compiler_runs_and_the_second_one_ends(root):
    process = begin(NOTES, "60", root=root)
    interrupt(process, "stuck\n")
    assert process.stderr.readline() == ctrl_c.NOTED.decode()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10) == ("", STOPPED)
    assert process.returncode == 130


def test_one_that_was_noted_late_counts_once(root):
    """The first compilation ends after the first signal; the second signal comes during the second compilation."""
    process = begin(NOTES, "1.5", root=root)
    interrupt(process, "stuck\n")
    assert process.stdout.readline() == "noted 1\n"
    interrupt(process, "stuck\n")
    assert process.communicate(timeout=10) == ("", ctrl_c.NOTED.decode() + STOPPED)
    assert process.returncode == 130


def test_one_that_is_noted_at_once_ends_nothing(root):
    program = (
        STUCK
        + """
with ctrl_c.first_noted(noted.append):
    say(b"ready\\n")
    while not noted:
        time.sleep(0.01)
    time.sleep(4 * ctrl_c.WAIT)
    say(b"saved\\n")
"""
    )
    process = begin(program, root=root)
    interrupt(process, "ready\n")
    assert process.communicate(timeout=10) == ("saved\n", "")
    assert process.returncode == 0


@pytest.mark.slow
def test_the_second_one_ends_a_training_that_compiles(tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setenv("JAX_LOG_COMPILES", "1")
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "0")
    process = start(tmp_path, 100000)
    said = ""
    while "Compiling jit(train_step)" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    while process.poll() is None:  # two signals at the same time would be one
        process.send_signal(signal.SIGINT)
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    said += process.communicate()[0]
    assert process.returncode == 130, said
    assert said.endswith(STOPPED)
    assert "Traceback" not in said
    assert not (tmp_path / "lock.json").exists()
