"""What compiled steps send between devices, read from programs for virtual CPU devices and for TPUs that nobody has.

The tests for TPUs need libtpu. Its compiler takes minutes for each of them.
"""

import math
import re

import jax
import pytest
from experiments import tiny_config, tiny_detector

from configs import fcn8s_pets
from jaxseg.benchmarks import machines, plan
from jaxseg.parallel.mesh import AXES

pytestmark = pytest.mark.slow


def topology(name, slices=1):
    """A machine and its devices; skips without its compiler."""
    machine = machines.parse_machine(name, slices)
    machines.prepare_process(machine)
    try:
        return machine, machines.topology_devices(machine)
    except ValueError as error:
        pytest.skip(str(error))


def on_mesh(config, mesh):
    config.mesh = dict(zip(AXES, mesh, strict=True))
    return config


CASES = [(tiny_detector, (8, 1, 1)), (tiny_detector, (4, 2, 1)), (tiny_config, (2, 2, 2)), (tiny_config, (1, 8, 1))]


def gathered_activations(found):
    """The collectives of a plan that gather activations, which grow with all images of a batch."""
    return [each for each in found.activations_moved if each.kind in ("all-gather", "all-to-all")]


@pytest.mark.parametrize("name", ["cpu:8", "v5e:2x4"])
@pytest.mark.parametrize(("make", "mesh"), CASES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_no_training_step_gathers_activations(make, mesh, name):
    machine, devices = topology(name)
    found = plan.plan_step(on_mesh(make(), mesh), 4, machine, devices, images=2)
    assert found.mesh == mesh
    assert not gathered_activations(found)
    # Only rows next to a seam are exchanged.
    assert (mesh[2] > 1) == any(each.kind == "collective-permute" for each in found.activations_moved)


@pytest.mark.parametrize("name", ["cpu:8", "v5e:2x4"])
@pytest.mark.parametrize(("make", "mesh"), CASES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_predictions_of_a_batch_stay_with_their_images(make, mesh, name):
    machine, devices = topology(name)
    assert not gathered_activations(plan.plan_step(on_mesh(make(), mesh), 4, machine, devices, 2, "predict"))


def test_fsdp_takes_a_third_of_the_memory_for_fcn_8s():
    """No device holds all parameters, gradients or averages at once. The largest layer alone has 103 of 134 million."""
    _, devices = topology("v5e:2x4")
    config = fcn8s_pets.get_config()
    config.precision, config.data.image_size = "bfloat16", (64, 64)
    peaks, allocated = [], []
    for mesh in ((8, 1, 1), (1, 8, 1)):
        function, arguments = plan._STEPS["train"](plan.build_on(on_mesh(config, mesh), 21, devices, images=1))
        memory = function.lower(*arguments).compile().memory_analysis()
        peaks.append(memory.peak_memory_in_bytes)
        allocated.append(memory.argument_size_in_bytes + memory.temp_size_in_bytes)
    assert peaks[1] < peaks[0] / 3
    assert allocated[1] < 0.36 * allocated[0], "with the gaps between buffers, which the compiler leaves"


def test_fsdp_gathers_a_kernel_for_each_pass_and_keeps_it_for_none():
    """The forward and the backward pass gather the largest kernel, in bfloat16 as in float32."""
    machine, devices = topology("cpu:8")
    for precision in ("float32", "bfloat16"):
        config = on_mesh(tiny_config(model__features=16, precision=precision), (1, 8, 1))
        found = plan.plan_step(config, 4, machine, devices, images=1)
        gathered = [shape for each in found.collectives if each.kind == "all-gather" for shape, *_ in each.arrays]
        assert gathered.count((3, 3, 32, 32)) == 2, precision


def test_slices_sum_gradients_within_themselves_before_they_talk():
    _, devices = topology("v5e:4x4", slices=2)
    experiment = plan.build_on(tiny_config(model__features=16), 4, devices, images=1)
    assert [device.slice_index for device in experiment.mesh.devices.flat] == [0] * 16 + [1] * 16
    function, arguments = plan._STEPS["train"](experiment)
    program = function.lower(*arguments).compile().as_text()
    groups = re.findall(r" all-reduce\(.*?replica_groups=\{(\{[\d,]*\})", program)
    assert groups  # sums within a slice: none of them has devices of both
    assert all({int(number) < 16 for number in re.findall(r"\d+", group)} != {True, False} for group in groups)
    sent = re.findall(r"= \(f32\[([\d,]*)\].*? send\(.*?megascale_transfer_type=\"ALL_REDUCE\"", program)
    assert sent
    elements = sum(math.prod(map(int, filter(None, shape.split(",")))) for shape in sent)
    total = sum(leaf.size for leaf in jax.tree.leaves(experiment.steps.abstract_state.params))
    assert elements < 0.6 * total  # its sixteenth of the slice's sums; small ones are mostly padding
