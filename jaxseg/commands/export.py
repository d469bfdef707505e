"""Exports a trained model as one file that runs without jaxseg.

jaxseg export runs/unet_pets --output pets.jaxseg
jaxseg export runs/mask_rcnn --format onnx --size 480,640 --output mask_rcnn.onnx
jaxseg export runs/mask_rcnn --format torchvision --output mask_rcnn.pth

``--config.data.resize=none`` changes a field of the run's config, for this export.
``jaxseg predict --model pets.jaxseg --input photo.jpg`` runs the file. So do jax and numpy alone, on CPUs, CUDA GPUs
and TPUs; jaxseg/inference/stablehlo.py shows the ten lines. onnxruntime runs an ONNX file, see
jaxseg/inference/onnx_files.py. The file is written only if it answers as the run does on ten images.
"""

import pathlib
from typing import TYPE_CHECKING

from jaxseg.commands import process
from jaxseg.commands.arguments import Parser
from jaxseg.storage import as_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxseg.inference import Predictor
    from jaxseg.inference.stablehlo import Export

# Largest differences between a run and its export that are accepted, see inference.export_comparison.
LIMITS = {"pixels": 0.01, "missing": 0.02, "score": 0.02}


def main(arguments: list[str]) -> None:
    """Exports a run, compares the export with it, and writes the file."""
    parser = Parser("export", __doc__)
    parser.add_config(required=False, positional=False, of_run=True)
    parser.add_argument("run", nargs="?", metavar="RUN", help="Folder of a trained run, such as runs/unet_pets.")
    parser.add_argument("--workdir", help="The same as RUN.")
    parser.add_argument("--weights", help="Weights for --config, instead of a run, such as model.pth.")
    parser.add_argument(
        "--format",
        choices=["stablehlo", "onnx", "torchvision"],
        default="stablehlo",
        help="A program of jax.export, an ONNX model, or a state dict (.pth, .safetensors) for torchvision. "
        "Default: stablehlo.",
    )
    parser.add_argument("--output", help="File to write, such as model.jaxseg or model.pth.")
    parser.add_argument("--checkpoint", default="latest", help="Checkpoint: latest, best or a step. Default: latest.")
    parser.add_argument(
        "--size",
        help="Height and width of all images, such as 480,640. Default: any size; for ONNX data.image_size.",
    )
    options = parser.parse(arguments)
    if not options.output:
        parser.error("--output is missing. Give the file to write, such as model.jaxseg.")
    if (options.format == "onnx") != (pathlib.Path(options.output).suffix == ".onnx"):
        parser.error(f"--output is {options.output}; expected a name that ends in .onnx with --format onnx only")
    given = sum(map(bool, (options.run, options.workdir, options.weights)))
    if given != 1 or bool(options.weights) != (options.config is not None):
        parser.error("give either the folder of a run, or --config and --weights")
    folder = options.run or options.workdir
    size = _pair(parser, options.size)
    process.prepare()

    from jaxseg.commands import prediction

    output = pathlib.Path(options.output).expanduser()
    output.parent.mkdir(parents=True, exist_ok=True)  # before minutes of work
    if folder:
        model = prediction.of_run(as_path(folder), options.checkpoint, options.changes)
    else:
        model = prediction.of_weights(options.config, options.weights)
    if options.format == "torchvision":
        from jaxseg.inference.export import export_torchvision

        print(export_torchvision(model, output))
    elif options.format == "onnx":
        from jaxseg.inference import onnx_export, onnx_files

        onnx_files.check_libraries("jax2onnx", "onnx", "onnxruntime")
        write_checked(model, output, onnx_export.export_onnx(model.trained, size), onnx_files.write_onnx)
    else:
        from jaxseg.inference import stablehlo

        write_checked(model, output, stablehlo.export_model(model.trained, size), stablehlo.write_export)


def write_checked(
    model: "Predictor", output: pathlib.Path, export: "Export", write: "Callable[[pathlib.Path, Export], None]"
) -> None:
    """Writes an export after comparing it with the model.

    Args:
      model: the model that was exported.
      output: the file to write.
      export: what to write.
      write: writes it.

    Raises:
      ValueError: their answers differ by more than ``LIMITS``.
    """
    from jaxseg.inference.export_comparison import compare_results
    from jaxseg.inference.exported import ExportedPredictor
    from jaxseg.inference.trial_images import trial_images

    exported = ExportedPredictor(export)
    images, origin = trial_images(model.trained.config.data, exported.size)
    differences = compare_results(model.predict(images), exported.predict(images))
    shown = ", ".join(f"{name} {value:.2g}" for name, value in differences.items())
    print(f"largest differences on {len(images)} {origin}: {shown}")
    for name, value in differences.items():
        if value > LIMITS[name]:
            raise ValueError(
                f"the export's {name} differ by {value:.3g}; expected at most {LIMITS[name]}. A model that is hardly "
                "trained rounds many ties. Train it longer, or give the --size of its images."
            )
    export.description["differences"] = {"images": f"{len(images)} {origin}", **differences}
    write(output, export)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB, input {export.description['input']}")


def _pair(parser: Parser, text: str | None) -> tuple[int, int] | None:
    """Returns the two numbers of ``--size``."""
    if text is None:
        return None
    sides = text.split(",")
    if len(sides) != 2 or not all(side.isdigit() and int(side) for side in sides):
        parser.error(f"--size is {text}; expected height and width, such as 480,640")
    return int(sides[0]), int(sides[1])
