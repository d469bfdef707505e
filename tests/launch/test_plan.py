"""The plan for many devices: its arithmetic, and its tables for a semantic model and for a detector."""

import importlib.util
import json
import math
import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def chips(root):
    spec = importlib.util.spec_from_file_location("chips", root / "launch" / "chips.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_step_takes_as_long_as_what_the_chip_is_slower_at(chips):
    chip = chips.Chip(flops=100.0, memory=10.0, near=8.0, island=4, far=2.0)
    assert chips.seconds_of_computing(chips.Counts(200.0, 10.0, 0.0, 0), chip) == 2.0
    assert chips.seconds_of_computing(chips.Counts(200.0, 50.0, 0.0, 0), chip) == 5.0


def test_sums_go_round_a_ring_in_each_island_and_one_between_them(chips):
    chip = chips.Chip(flops=1.0, memory=1.0, near=8.0, island=4, far=2.0)
    within, hops = 2 * 3 / 4 * 64 / 8, 2 * math.log2(4) * chips.LATENCY
    assert chips.seconds_of_all_reduce(64.0, 4, chip) == pytest.approx(within + hops)
    between, hops = 2 * 7 / 8 * 16 / 2, 2 * math.log2(32) * chips.LATENCY
    assert chips.seconds_of_all_reduce(64.0, 32, chip) == pytest.approx(within + between + hops)
    counts = chips.Counts(0.0, 0.0, gradients=64.0, norms=3)
    assert chips.seconds_of_communicating(counts, 32, chip) == pytest.approx(within + between + 7 * hops)


COUNTING = """
import json, sys
sys.path.insert(0, "launch")
import plan
from experiments import tiny_config, tiny_detector
unets = [plan.counts_of(*plan.compiled_step(tiny_config(), 4, images, (1, 1, 1))) for images in (2, 4)]
config = tiny_detector(data__max_size=96)
config.model.trainable_layers = 3
compiled, experiment = plan.compiled_step(config, 4, 2, (1, 1, 1))
named = plan.flatten_dict(experiment.steps.abstract_state.params, sep="/")
unlearnt = [name for name in named if name.startswith("backbone/conv1/") or name.startswith("backbone/layer1_")]
size = 4 * sum(leaf.size for name, leaf in named.items() if name not in unlearnt)
batch = plan.abstract_batch(experiment)
print(json.dumps([unets, plan.counts_of(compiled, experiment), size, batch.image.shape, len(unlearnt)]))
"""


@pytest.mark.slow
def test_a_compiled_step_is_counted(root):
    environment = {"PYTHONPATH": f"{root}:{root / 'tests'}", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    done = subprocess.run(
        [sys.executable, "-c", COUNTING], capture_output=True, text=True, cwd=root, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    (two, four), detector, learning, shape, unlearnt = json.loads(done.stdout)
    (flops, touched, gradients, norms), (twice, _, same, _) = two, four
    assert gradients == same == (1828 - 64) * 4  # the model's table, see test_train.py, has 64 statistics of norms too
    assert norms == 6  # two each on the way down, at the bottom and on the way up
    assert 1.9 < twice / flops < 2.1
    assert touched > 2 * 3 * 32 * 32
    assert detector[2:] == [learning, 0]
    assert unlearnt > 0
    assert shape == [2, 64, 96, 3]


@pytest.mark.slow
def test_a_plan_has_a_row_for_every_chip_and_number_of_devices(root, tmp_path):
    config = tmp_path / "planned.py"
    config.write_text("from experiments import tiny_config as get_config\n")
    environment = {"PYTHONPATH": f"{root}:{root / 'tests'}", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    done = subprocess.run(
        [sys.executable, "launch/plan.py", "--config", config, "--classes", "4", "--images", "2", "data.workers=0"],
        capture_output=True, text=True, cwd=root, env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ") and "chip" not in line]
    assert [(chip.strip(), int(devices)) for chip, devices, *_ in rows] == [
        (chip, devices) for chip in ("H100", "TPU v5e", "TPU v5p") for devices in (8, 64, 512, 4096)
    ]
