"""Memory: what a program needs is compared with what there is, and a run does not hold much more than it needs."""

import math
import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from jaxseg.run import memory

GIGA = 1 << 30


def test_a_step_is_compiled_once_per_shape():
    traced = []

    @jax.jit
    def step(state, batch):
        traced.append(batch.shape)
        return state + batch.sum()

    compiled = memory.CompiledStep(step)
    for size in (3, 3, 4):
        assert compiled(jnp.zeros(()), jnp.ones(size)) == size
    assert traced == [(3,), (4,)]
    abstract = jax.ShapeDtypeStruct((4,), jnp.float32)
    assert compiled.program(jnp.zeros(()), abstract) is compiled.program(jnp.zeros(()), jnp.ones(4))


def test_a_program_needs_its_temporary_arrays_its_results_and_its_code():
    sizes = SimpleNamespace(
        temp_size_in_bytes=100, output_size_in_bytes=50, alias_size_in_bytes=20, generated_code_size_in_bytes=7
    )
    assert memory.program_memory(SimpleNamespace(memory_analysis=lambda: sizes)) == 137
    assert memory.program_memory(SimpleNamespace()) is None


def test_the_devices_of_a_cpu_share_its_memory(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 16 * GIGA)
    assert memory.memory_limit(0.0) == 16 * GIGA / jax.local_device_count()
    assert memory.memory_limit(2.5) == 2.5e9
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    assert memory.memory_limit(0.0) is None


def last_that_fits(size, limit):
    """The answer, by trying every number of images."""
    count = 0
    while size(count + 1) <= limit:
        count += 1
    return count


MEMORIES = {
    "in_proportion": lambda images: 500 + 90 * images,
    "in_steps": lambda images: 500 + 720 * math.ceil(images / 8),
    "with_a_floor": lambda images: 500 + max(3000, 90 * images),
    "faster": lambda images: 500 + 80 * images + 0.05 * images**2,
    "slower": lambda images: 500 + 90 * images if images < 40 else 500 + max(3600, 60 * images),
    "uneven": lambda images: 500 + 90 * images + 400 * (images % 7 > 3) + 400 * (images // 7),
    "refused": lambda images: 500 + 90 * images if images <= 37 else math.inf,
}


@pytest.mark.parametrize("known", [(), (0, 1), (0, 8), (300,), (0, 300)], ids=str)
@pytest.mark.parametrize("form", MEMORIES)
def test_the_search_finds_what_trying_all_numbers_does(form, known):
    size = MEMORIES[form]
    for limit in (590, 1300, 3700, 16000):
        tried = []
        found = memory.largest_that_fits(
            lambda count, tried=tried: tried.append(count) or size(count),
            limit,
            {count: size(count) for count in known},
            trials=math.inf,
        )
        assert found == last_that_fits(size, limit), limit
        assert found == 0 or found in (*tried, *known)  # What fits was compiled.
        assert len(set(tried)) == len(tried) <= 20
        if form == "in_proportion" and len(known) == 2:
            assert len(tried) <= 3


def test_the_search_stops_after_its_trials_with_what_fits():
    tried = []
    found = memory.largest_that_fits(lambda count: tried.append(count) or math.ceil(count / 100), 50.0, trials=3)
    assert len(tried) == 4
    assert found == max(count for count in tried if count <= 5000)


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
from jaxseg.run.memory import program_memory

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
print((peak() - before) / program_memory(program))
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
