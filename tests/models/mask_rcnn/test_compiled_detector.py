"""A detector's training step, compiled for an H100 that is described, not attached: loops, scatters and kernels."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

PROGRAM = """
import json
from experiments import tiny_detector
from jaxseg.benchmarks import machines, plan, program_text
machine = machines.parse_machine("h100:1")
machines.prepare_process(machine)
experiment = plan.build_on(tiny_detector(precision="bfloat16"), 4, machines.topology_devices(machine), 2)
function, arguments = plan._STEPS["train"](experiment)
text = function.lower(*arguments).compile().as_text()
computations, entry = program_text._computations(text)
print(json.dumps({"computations": computations, "entry": entry}))
"""
KERNEL = re.compile(r"= (?:\(.*?\)|\S+) (?:fusion|custom-call|copy|sort|scatter|reduce|gather|transpose|pad|convert)\(")
LOOP = re.compile(r" while\(.*condition=%?([\w.\-]+), body=%?([\w.\-]+)")
TURN_KERNELS = 12  # in one turn of the suppression's loop


@pytest.fixture(scope="module")
def program(root):
    """The instructions of each computation by name, and the name of the entry computation."""
    if not any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13)):
        pytest.skip("the compiler for NVIDIA GPUs is not installed: pip install 'jaxseg[plan-gpu]'")
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), str(root / "tests"), environment.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["computations"], found["entry"]


@pytest.mark.slow
def test_no_gradient_is_scattered_in_bfloat16(program):
    """It is about 20 times slower than in float32 on these GPUs."""
    computations, _ = program
    scatters = [line for lines in computations.values() for line in lines if " scatter(" in line]
    assert scatters
    assert not [line for line in scatters if re.search(r"= \(?bf16", line)]


@pytest.mark.slow
def test_the_only_loops_are_those_of_suppression(program):
    """One over tiles of boxes, and one within it: neither boxes nor masks are handled in turns."""
    computations, entry = program
    loops = {name: [LOOP.search(line) for line in lines if LOOP.search(line)] for name, lines in computations.items()}
    (outer,) = loops[entry]
    (inner,) = loops[outer[2]]
    assert sum(map(len, loops.values())) == 2
    kernels = [line for name in outer.groups() for line in computations[name] if KERNEL.search(line)]
    assert len(kernels) <= TURN_KERNELS
    assert not loops[inner[2]]
