"""Plans of a config on a machine, as a table for people and as rows for programs."""

import json
import math
import pathlib
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import ml_collections

from jaxseg.benchmarks.classes import class_count
from jaxseg.benchmarks.machines import GB, Machine, topology_devices
from jaxseg.benchmarks.plan import StepPlan, largest_batch, mesh_shapes, plan_step
from jaxseg.config.resolution import microbatches
from jaxseg.parallel.mesh import AXES, make_mesh
from jaxseg.storage import write_text


class Request(NamedTuple):
    """What to plan.

    Attributes:
      images: per device; 0 uses ``train.batch_size``.
      classes: number of classes; 0 uses the data set's.
      compare_meshes: compile the training step for several meshes.
      search_largest: search the largest batch that fits.
    """

    images: int = 0
    classes: int = 0
    compare_meshes: bool = False
    search_largest: bool = False


def make_plans(config: ml_collections.ConfigDict, machine: Machine, request: Request) -> list[StepPlan]:
    """Compiles the steps that a request asks for.

    Args:
      config: the experiment.
      machine: what is compiled for; its ``limit`` counts, not ``config.memory_limit``.
      request: what to plan.

    Returns:
      The training step and the prediction step; then the training step of the largest batch, or of each mesh.

    Raises:
      ValueError: nothing can be compiled for the machine, or the config does not fit it.
    """
    if config.parallel != "jit":
        raise ValueError(f"parallel is {config.parallel!r}; expected 'jit', since a plan compiles the steps of jit.")
    if request.search_largest and not math.isfinite(machine.chip.memory):
        raise ValueError(
            f"--largest is set for {machine.name}; expected a machine with known memory, such as v5e:2x4, or a "
            "config.memory_limit."
        )
    devices = topology_devices(machine)
    classes = request.classes or class_count(config)
    shape = make_mesh(config.mesh, devices).shape
    shares = shape["data"] * shape["fsdp"]
    images = request.images or max(1, math.ceil(config.train.batch_size / shares / microbatches(config)))
    if request.compare_meshes:
        return _compare_meshes(config, classes, machine, devices, images)
    plans = [plan_step(config, classes, machine, devices, images, what) for what in ("train", "predict")]
    if request.search_largest:
        train = partial(plan_step, config, classes, machine, devices)
        found = largest_batch(train, machine.chip.memory, plans[0])
        plans += [found] if found else []
    return plans


def _compare_meshes(
    config: ml_collections.ConfigDict, classes: int, machine: Machine, devices: Sequence[jax.Device], images: int
) -> list[StepPlan]:
    """Compiles the training step for each mesh; prints which meshes the config does not fit.

    Raises:
      ValueError: the config fits none.
    """
    plans, errors = [], []
    for sides in mesh_shapes(len(devices), semantic=config.task == "semantic"):
        changed = config.copy_and_resolve_references()
        with changed.unlocked():
            changed.mesh.update(dict(zip(AXES, sides, strict=True)))
        try:
            # A mesh with "spatial" has fewer images per batch; each device still works on as many pixels.
            plans.append(plan_step(changed, classes, machine, devices, images * sides[2]))
        except ValueError as error:
            errors.append(f"mesh {mesh_text(sides)} is left out: {error}")
    if not plans:
        raise ValueError(errors[0])
    for error in errors:
        print(error)
    return plans


def recommended(plans: Sequence[StepPlan], machine: Machine) -> StepPlan | None:
    """Returns the plan that fits and takes the least time by its estimates; None where no plan fits or has any."""
    fitting = [plan for plan in plans if plan.memory.total <= machine.chip.memory and math.isfinite(step_seconds(plan))]
    return min(fitting, key=step_seconds, default=None)


def step_seconds(plan: StepPlan) -> float:
    """Returns the estimated seconds of a step, with no overlap of communication and computation."""
    return (plan.estimate or plan.roofline) + plan.communication


def rows_of(plans: Sequence[StepPlan], machine: Machine, name: str) -> list[dict[str, Any]]:
    """Returns one row per plan; times are estimates in seconds, memory is in bytes."""
    return [
        {
            "config": name,
            "machine": machine.name,
            "what": plan.what,
            "mesh": dict(zip(AXES, plan.mesh, strict=True)),
            "images_per_device": plan.images,
            "memory": {kind: _finite(size) for kind, size in _memory_by_kind(plan, machine).items()},
            "fits": plan.memory.total <= machine.chip.memory,
            "collectives": _by_kind(plan.collectives),
            "activations_moved": _by_kind(plan.activations_moved),
            "estimated_seconds": plan.estimate,
            "roofline_seconds": _finite(plan.roofline),
            "communication_seconds": _finite(plan.communication),
            "compile_seconds": plan.compile_seconds,
        }
        for plan in plans
    ]


def print_plans(plans: Sequence[StepPlan], machine: Machine, name: str) -> None:
    """Prints a table with one line per plan, and what it means."""
    memory = (
        f"{machine.chip.memory / GB:.3g} GB per device" if math.isfinite(machine.chip.memory) else "memory of the host"
    )
    print(f"{name} on {machine.name} ({memory}); compiled, not run: times are estimates\n")
    head = (
        "step",
        "mesh",
        "images",
        "memory",
        "of it state",
        "activations",
        "program",
        "fits",
        "estimate",
        "roofline",
        "collectives",
        "moves activations",
        "compiled in",
    )
    lines = [head, *(_cells(plan, machine) for plan in plans)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if any(math.isinf(plan.memory.total) for plan in plans):
        print("\nrefused: by the compiler, since the step needs more memory than a device has")
    if len({plan.mesh for plan in plans}) > 1:
        print(f"\n{_recommendation(plans, machine)}")


def write_plans(path: pathlib.Path, plans: Sequence[StepPlan], machine: Machine, name: str) -> None:
    """Writes the rows as JSON."""
    write_text(path, json.dumps(rows_of(plans, machine, name), indent=2) + "\n")


def _cells(plan: StepPlan, machine: Machine) -> tuple[str, ...]:
    memory = plan.memory
    refused = not math.isfinite(memory.total)  # Only the state is known then.
    milliseconds = "-" if plan.estimate is None else f"{plan.estimate * 1e3:.1f} ms"
    roofline = f"{plan.roofline * 1e3:.1f} ms" if math.isfinite(plan.roofline) else "-"
    return (
        plan.what,
        mesh_text(plan.mesh),
        str(plan.images),
        "refused" if refused else f"{memory.total / GB:.2f} GB",
        f"{(memory.parameters + memory.optimizer) / GB:.2f} GB",
        "-" if refused else f"{memory.activations / GB:.2f} GB",
        "-" if refused else f"{memory.program / 1e6:.0f} MB",
        "yes" if memory.total <= machine.chip.memory else "NO",
        milliseconds,
        roofline,
        "-" if refused else _summary(plan.collectives),
        "-" if refused else _summary(plan.activations_moved),
        f"{plan.compile_seconds:.0f} s",
    )


def _memory_by_kind(plan: StepPlan, machine: Machine) -> dict[str, float]:
    return plan.memory._asdict() | {"total": plan.memory.total, "device": machine.chip.memory}


def _recommendation(plans: Sequence[StepPlan], machine: Machine) -> str:
    best = recommended(plans, machine)
    if best:
        return f"recommended: mesh {mesh_text(best.mesh)}, by the estimates of time and of communication"
    if any(plan.memory.total <= machine.chip.memory for plan in plans):
        return f"no mesh is recommended: there are no estimates of time for {machine.kind}"
    return "no mesh fits: take fewer images per device"


def mesh_text(mesh: Sequence[int]) -> str:
    """Returns a mesh as tables show it.

    Example:
      >>> mesh_text((4, 2, 1))
      '4 x 2 x 1'
    """
    return " x ".join(map(str, mesh))


def _by_kind(collectives: Sequence[Any]) -> dict[str, dict[str, int]]:
    kinds = sorted({each.kind for each in collectives})
    of_kind = {kind: [each.size for each in collectives if each.kind == kind] for kind in kinds}
    return {kind: {"count": len(sizes), "bytes": sum(sizes)} for kind, sizes in of_kind.items()}


def _summary(collectives: Sequence[Any]) -> str:
    parts = [f"{value['count']} {kind} {value['bytes'] / 1e6:.1f} MB" for kind, value in _by_kind(collectives).items()]
    return ", ".join(parts) or "none"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
