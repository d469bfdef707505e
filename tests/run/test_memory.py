"""Memory: what a program needs is compared with what there is, and a run does not hold much more than it needs."""

import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from jaxseg.run import memory

GIGA = 1 << 30


def test_a_program_that_does_not_fit_is_refused_and_a_tight_one_is_warned_of():
    assert memory.check_memory(GIGA, 2 * GIGA) == ""
    assert memory.check_memory(None, GIGA) == memory.check_memory(GIGA, None) == ""
    warning = memory.check_memory(9 * GIGA, 10 * GIGA)
    assert "needs 9.00 GiB" in warning
    assert "10.00 GiB are available" in warning
    with pytest.raises(ValueError, match="needs 3.00 GiB.* 2.00 GiB are available.*train.batch_size.*remat") as refused:
        memory.check_memory(3 * GIGA, 2 * GIGA)
    assert "\n" not in str(refused.value)


def test_a_step_is_checked_once_per_shape_before_it_runs():
    ran, warned, available = [], [], [10**12]

    @jax.jit
    def step(state, batch):
        jax.debug.callback(lambda: ran.append(1))
        return state + batch.sum(), jnp.outer(batch, batch)

    checked = memory.CheckedStep(step, warned.append, lambda: available[0])
    for size in (3, 3, 4):
        assert checked(jnp.zeros(()), jnp.ones(size))[0] == size
    jax.effects_barrier()
    assert (len(ran), warned) == (3, [])
    available[0] = 16
    with pytest.raises(ValueError, match="the training step needs"):
        checked(jnp.zeros(()), jnp.ones(5))
    jax.effects_barrier()
    assert len(ran) == 3


def test_a_program_needs_its_temporary_arrays_and_its_results():
    sizes = SimpleNamespace(temp_size_in_bytes=100, output_size_in_bytes=50, alias_size_in_bytes=20)
    program = SimpleNamespace(memory_analysis=lambda: sizes)
    assert memory.needed_memory(program) == 130 * jax.local_device_count()


def machine(folder, group, files):
    """A machine with 8 GiB available, and this process in a control group."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {8 << 20} kB\n")
    (folder / "proc/self/cgroup").write_text(group)
    for name, content in files.items():
        path = folder / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return folder


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {"memory.max": "max", "memory.current": GIGA}, 8),
        ("0::/\n", {"memory.max": 4 * GIGA, "memory.current": GIGA}, 3),
        ("0::/a/b\n", {"a/memory.max": 4 * GIGA, "a/memory.current": 2 * GIGA,
                       "a/memory.stat": f"anon 1\ninactive_file {GIGA}"}, 3),
        ("3:memory:/job\n", {"memory/job/memory.limit_in_bytes": 2 * GIGA,
                             "memory/job/memory.usage_in_bytes": GIGA}, 1),
        ("0::/\n", {"memory.max": GIGA, "memory.current": 2 * GIGA}, 0),
    ],
)  # fmt: skip
def test_the_limit_of_a_control_group_counts(tmp_path, group, files, expected):
    assert memory.host_memory(machine(tmp_path, group, files)) == expected * GIGA


def test_unknown_memory_is_not_zero(tmp_path):
    assert memory.host_memory(tmp_path) is None


PEAK = """
import sys
from jaxseg.parallel.switches import set_switches
set_switches()
import resource
import jax
from experiments import tiny_config, tiny_experiment
from jaxseg.run.memory import needed_memory

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

config = tiny_config(model__features=16, model__depth=3, data__image_size=(160, 160))
experiment, source = tiny_experiment(config)
steps, data = experiment.steps, experiment.task.data
with data.train_batches(source, config.data, batch_size=8, seed=0, start_step=0) as batches:
    batch = next(batches)
state = steps.init()
program = steps.train.lower(state, steps.place(batch)).compile()
before = peak()
for _ in range(6):
    state, logs = program(state, steps.place(batch))
    jax.block_until_ready(state)
print((peak() - before) / needed_memory(program))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are measured as Linux does")
def test_training_holds_at_most_1_3_times_what_its_program_needs(root):
    """Memory that a step has freed serves the next one; keeping all of it took three times as much."""
    run = subprocess.run(
        [sys.executable, "-c", PEAK], capture_output=True, text=True, cwd=root,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", "PYTHONPATH": f"{root}:{root / 'tests'}"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.splitlines()[-1]) < 1.3
