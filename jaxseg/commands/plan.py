"""Says what a config needs on a machine that you do not have: memory, largest batch, communication and time estimates.

jaxseg plan unet_pets --on v5e:4x4
jaxseg plan mask_rcnn_coco --on h100:8 --images 2 --config.precision=bfloat16
jaxseg plan unet_pets --on v5e:2x4 --meshes --output plan.json

The steps are compiled by the machine's own compiler and never run. Times are estimates. TPUs need the extra [plan-tpu],
NVIDIA GPUs the extra [plan-gpu]; cpu:N needs neither.
"""

import pathlib

from jaxseg.commands.arguments import Parser


def main(arguments: list[str]) -> int:
    """Compiles the steps that the flags ask for and prints a table."""
    parser = Parser("plan", __doc__)
    parser.add_config()
    parser.add_argument(
        "--on", default="", help="Machine, such as v5e:4x4, v5p:2x2x1, v6e:2x4, 7x:2x2x1, h100:8, h200 or cpu:8."
    )
    parser.add_argument("--images", type=int, default=0, help="Images per device; 0 uses train.batch_size. Default: 0.")
    parser.add_argument("--classes", type=int, default=0, help="Number of classes; 0 uses the data set's. Default: 0.")
    parser.add_argument("--slices", type=int, default=1, help="TPU slices, joined over a network. Default: 1.")
    parser.add_argument("--meshes", action="store_true", help="Compare meshes and recommend one.")
    parser.add_argument("--largest", action="store_true", help="Search the largest batch per device that fits.")
    parser.add_argument("--output", help="File for the rows, such as plan.json. Default: none.")
    options = parser.parse(arguments)
    if options.images < 0 or options.classes < 0 or options.slices < 1:
        parser.error("--images and --classes must be at least 0, --slices at least 1")

    from jaxseg.benchmarks.machines import GB, parse_machine, prepare_process

    machine = parse_machine(options.on, options.slices)
    if options.config.memory_limit:
        machine = machine._replace(limit=options.config.memory_limit * GB)
    prepare_process(machine)

    from jaxseg.benchmarks.plan_report import Request, make_plans, print_plans, write_plans

    request = Request(options.images, options.classes, options.meshes, options.largest)
    plans = make_plans(options.config, machine, request)
    print_plans(plans, machine, options.config_name)
    if options.output:
        write_plans(pathlib.Path(options.output).expanduser(), plans, machine, options.config_name)
    return 0 if any(plan.memory.total <= machine.chip.memory for plan in plans) else 1
