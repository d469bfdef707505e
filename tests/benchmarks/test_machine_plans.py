"""Plans: machines by name, programs by their text, and compiled steps of virtual CPU devices."""

import json
import math
import re

import pytest

from jaxseg.benchmarks import machines, plan, plan_report, program_text
from jaxseg.benchmarks.classes import class_count
from jaxseg.benchmarks.plan import Memory, StepPlan

PROGRAM = """HloModule step

%body (arg: f32[4]) -> f32[4] {
  %arg = f32[4]{0} parameter(0)
  ROOT %add = f32[4]{0} fusion(%arg), backend_config={"estimated_cycles":"10"}
}

ENTRY %main (a: f32[8,4]) -> f32[8,4] {
  %a = f32[8,4]{1,0} parameter(0)
  %d = f32[4]{0} while(%a), condition=%test, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  ROOT %f = f32[8,4]{1,0} fusion(%a, %a), backend_config={"estimated_cycles":"7"}
}
"""


@pytest.mark.parametrize(
    ("text", "kind", "shape"),
    [("v5e:4x4", "v5e", (4, 4)), ("H100:8", "h100", (8,)), ("h200", "h200", (1,)), ("v5p", "v5p", (2, 2, 1))],
)
def test_machines_are_named_by_kind_and_shape(text, kind, shape):
    machine = machines.parse_machine(text)
    assert (machine.kind, machine.shape) == (kind, shape)


@pytest.mark.parametrize(
    ("text", "named"),
    [("v9:2x2", "v9:2x2.*expected"), ("v5e:8", "2 side"), ("h100:0", "1 side"), ("v5e:32x32", "at most 256 chips")],
)
def test_unknown_machines_are_refused_with_examples(text, named):
    with pytest.raises(ValueError, match=named):
        machines.parse_machine(text)


def test_only_tpus_have_slices():
    with pytest.raises(ValueError, match="--slices is 2"):
        machines.parse_machine("h100:8", slices=2)


def test_sums_run_around_a_ring_in_each_island_and_one_between_them():
    chip = machines.Chip("tpu", 1.0, 1.0, 1.0, near=8.0, island=4, far=2.0)
    within = 2 * 3 / 4 * 64 / 8  # 12 seconds
    assert machines.all_reduce_seconds(64.0, 4, chip) == pytest.approx(within)
    between = 2 * 7 / 8 * 16 / 2  # eight islands; each device has a quarter of the bytes left: 14 seconds
    assert machines.all_reduce_seconds(64.0, 32, chip) == pytest.approx(within + between)


def test_a_programs_cost_counts_loops_as_often_as_they_run():
    cost = program_text.program_cost(PROGRAM)
    assert cost.cycles == 7 + 3 * 10
    assert (cost.kernels, cost.loops) == (1, 1)
    assert cost.moved == 3 * 8 * 4 * 4  # one result and two operands


def fake_plan(images: int, refused_above: float = math.inf) -> StepPlan:
    activations = 90 * images if images <= refused_above else math.inf
    need = Memory(parameters=100, optimizer=100, batch=10 * images, activations=activations, program=50)
    return StepPlan("train", (1, 1, 1), images, need, [], [], None, 1.0, 0.0, 0.0)


@pytest.mark.parametrize("refused_above", [math.inf, 70], ids=["told", "refused"])
@pytest.mark.parametrize("first", [1, 8, 64, 500])
@pytest.mark.parametrize(("limit", "images"), [(350, 1), (449, 1), (450, 2), (1250, 10), (7349, 70)])
def test_the_largest_batch_is_the_last_that_fits(limit, images, first, refused_above):
    compiled = [first]

    def step(count):
        compiled.append(count)
        return fake_plan(count, refused_above)

    found = plan.largest_batch(step, limit, fake_plan(first, refused_above))
    assert found.images == images
    assert {images, images + 1} <= set(compiled)
    assert len(compiled) == len(set(compiled)) <= 4


def test_no_batch_fits_where_the_state_does_not():
    assert plan.largest_batch(fake_plan, 349, fake_plan(5)) is None


def test_the_largest_batch_needs_a_limit():
    from experiments import tiny_config

    request = plan_report.Request(search_largest=True)
    with pytest.raises(ValueError, match="--largest is set for cpu:2; expected a machine with known memory"):
        plan_report.make_plans(tiny_config(), machines.parse_machine("cpu:2"), request)


def test_a_step_that_the_compiler_refuses_is_a_row_that_does_not_fit(capsys, monkeypatch):
    """The compiler for TPUs raises an error where a step needs more than a chip has."""
    import jax
    from experiments import tiny_config

    class Refused:
        def lower(self, *arguments):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory on HBM")

    monkeypatch.setitem(plan._STEPS, "train", lambda experiment: (Refused(), (experiment.steps.abstract_state,)))
    machine = machines.parse_machine("v5e:2x2")
    found = plan.plan_step(tiny_config(), 4, machine, jax.devices()[:1], images=2)
    assert found.memory.parameters > 0
    (row,) = plan_report.rows_of([found], machine, "tiny")
    assert (row["fits"], row["memory"]["total"], row["roofline_seconds"]) == (False, None, None)
    json.dumps(row, allow_nan=False)
    plan_report.print_plans([found], machine, "tiny")
    assert re.search(r"refused .* NO ", capsys.readouterr().out)
    assert plan_report.recommended([found], machine) is None


def test_meshes_use_all_devices_and_detectors_keep_images_whole():
    assert plan.mesh_shapes(8, semantic=True) == [(8, 1, 1), (1, 8, 1), (4, 2, 1), (4, 1, 2), (2, 2, 2)]
    assert all(shape[2] == 1 for shape in plan.mesh_shapes(8, semantic=False))
    assert plan.mesh_shapes(1, semantic=True) == [(1, 1, 1)]


def step_plan(mesh, images, total=1e9, estimate=1e-3, communication=0.0):
    """A plan of a training step that nothing was compiled for."""
    memory = Memory(total, *[0.0] * (len(Memory._fields) - 1))
    return StepPlan("train", mesh, images, memory, [], [], estimate, estimate, communication, 1.0)


def test_meshes_are_compared_one_after_the_other_and_those_that_do_not_fit_are_named(capsys, monkeypatch):
    """Of five meshes for 8 devices, two divide images that are too small; the fastest is too large."""
    import jax
    from experiments import tiny_config

    totals = {(8, 1, 1): 20e9, (1, 8, 1): 3e9, (4, 2, 1): 9e9}
    seconds = {(8, 1, 1): 1e-3, (1, 8, 1): 4e-3, (4, 2, 1): 2e-3}

    def plan_one(config, classes, machine, devices, images, what="train"):
        mesh = (config.mesh.data, config.mesh.fsdp, config.mesh.spatial)
        if mesh not in totals:
            raise ValueError("images of 32 rows are too small")
        return step_plan(mesh, images, totals[mesh], seconds[mesh], communication=1e-3)

    monkeypatch.setattr(plan_report, "plan_step", plan_one)
    monkeypatch.setattr(plan_report, "topology_devices", lambda machine: jax.devices()[:8])
    machine = machines.parse_machine("v5e:2x4")
    request = plan_report.Request(images=2, classes=3, compare_meshes=True)
    plans = plan_report.make_plans(tiny_config(), machine, request)
    assert [(one.mesh, one.images) for one in plans] == [((8, 1, 1), 2), ((1, 8, 1), 2), ((4, 2, 1), 2)]
    assert plan_report.recommended(plans, machine).mesh == (4, 2, 1)
    plan_report.print_plans(plans, machine, "tiny")
    printed = capsys.readouterr().out
    assert "mesh 4 x 1 x 2 is left out: images of 32 rows are too small\n" in printed
    assert "mesh 2 x 2 x 2 is left out" in printed
    assert "recommended: mesh 4 x 2 x 1" in printed
    totals.clear()
    with pytest.raises(ValueError, match="mesh 8 x 1 x 1 is left out: images of 32 rows are too small"):
        plan_report.make_plans(tiny_config(), machine, request)


def test_a_limit_of_memory_counts_and_pmap_is_refused():
    from experiments import tiny_config

    machine = machines.parse_machine("v5e")
    assert machine._replace(limit=5e9).chip.memory == 5e9
    assert machine._replace(limit=50e9).chip.memory == machine.chip.memory == 16e9
    assert machines.parse_machine("cpu:1")._replace(limit=5e9).chip.memory == 5e9
    with pytest.raises(ValueError, match="parallel is 'pmap'; expected 'jit'"):
        plan_report.make_plans(tiny_config(parallel="pmap"), machine, plan_report.Request())


def test_no_mesh_is_recommended_without_estimates_or_memory(capsys):
    meshes = ((2, 1, 1), (1, 2, 1))
    unknown = [step_plan(mesh, 1, estimate=math.nan) for mesh in meshes]
    plan_report.print_plans(unknown, machines.parse_machine("cpu:2"), "tiny")
    assert "no mesh is recommended: there are no estimates of time for cpu" in capsys.readouterr().out
    plan_report.print_plans([step_plan(mesh, 1, 17e9) for mesh in meshes], machines.parse_machine("v5e"), "tiny")
    assert "no mesh fits: take fewer images per device" in capsys.readouterr().out


def test_a_step_is_compiled_for_virtual_devices_and_its_memory_told_by_kind():
    import jax
    from experiments import tiny_config

    config = tiny_config(mesh__fsdp=2)
    machine = machines.parse_machine("cpu:4")
    found = plan.plan_step(config, 4, machine, jax.devices()[:4], images=2)
    assert found.mesh == (2, 2, 1)
    assert found.memory.batch == 2 * (32 * 32 * 3 + 32 * 32 + 1)  # images, labels and validity of two images
    assert found.memory.total == sum(found.memory)
    assert any(each.kind in ("all-reduce", "reduce-scatter") for each in found.collectives)
    assert math.isnan(found.roofline)  # nobody promises what a CPU does


def test_known_data_sets_need_no_files_to_count_their_classes():
    from experiments import tiny_config

    assert class_count(tiny_config(data__name="oxford_pets")) == 3
    assert class_count(tiny_config(data__name="voc", data__source_dir="missing")) == 21
    assert class_count(tiny_config(task="instances", data__name="coco")) == 91
    assert class_count(tiny_config(data__name="folder")) == 2


@pytest.mark.slow
def test_the_command_prints_a_table_and_writes_rows(tmp_path, capsys, monkeypatch):
    from jaxseg.commands import run

    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("XLA_FLAGS", "")
    rows = tmp_path / "plan.json"
    fields = ["--config.model.features=4", "--config.model.depth=1", "--config.data.image_size=32"]
    assert run(["plan", "unet_shapes", "--on", "cpu:1", "--images", "2", "--output", str(rows), *fields]) == 0
    train, predict = json.loads(rows.read_text())
    assert (train["what"], predict["what"]) == ("train", "predict")
    assert train["memory"]["total"] == sum(
        value for key, value in train["memory"].items() if key not in ("total", "device")
    )
    printed = capsys.readouterr().out
    assert "unet_shapes on cpu:1" in printed
    assert "times are estimates" in printed


@pytest.mark.slow
def test_the_command_compares_meshes(tmp_path, root):
    import subprocess
    import sys

    command = [sys.executable, "-m", "jaxseg", "plan", "unet_shapes", "--on", "cpu:2", "--meshes", "--images", "1"]
    fields = ["--config.model.features=4", "--config.model.depth=1", "--config.data.image_size=32"]
    done = subprocess.run([*command, *fields], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^train +(\d x \d x \d)", done.stdout, re.MULTILINE) == ["2 x 1 x 1", "1 x 2 x 1", "1 x 1 x 2"]


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["v5e:2x2", "h100:2"])
def test_a_small_step_is_compiled_by_the_machines_own_compiler(machine, tmp_path, root):
    import subprocess
    import sys

    command = [sys.executable, "-m", "jaxseg", "plan", "unet_shapes", "--on", machine, "--images", "2"]
    fields = ["--config.model.features=4", "--config.model.depth=1", "--config.data.image_size=32"]
    output = tmp_path / "plan.json"
    done = subprocess.run([*command, "--output", str(output), *fields], cwd=root, capture_output=True, text=True)
    if "Install the compiler" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    train = json.loads(output.read_text())[0]
    assert train["fits"]
    assert train["memory"]["program"] > 0 or train["machine"].startswith("h100")
    assert "all-reduce" in train["collectives"]
    assert not train["activations_moved"]


def test_more_classes_than_a_label_map_can_hold_are_refused():
    from experiments import tiny_config

    from jaxseg.benchmarks.random_batches import random_batch

    assert random_batch(tiny_config(), 255, (32, 32)).label.max() > 200
    with pytest.raises(ValueError, match="--classes is 300; expected at most 255"):
        random_batch(tiny_config(), 300, (32, 32))
