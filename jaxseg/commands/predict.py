"""Segments images with a trained run, or with weights from elsewhere.

jaxseg predict --workdir runs/unet_pets --input photo.jpg
jaxseg predict --workdir runs/unet_pets --checkpoint best --input photo.jpg folder/ --output out/
jaxseg predict --config mask_rcnn_coco --weights MaskRCNN_ResNet50_FPN_Weights.COCO_V1 --input photo.jpg

``--config.data.resize=none`` changes a field of the run's config, for this prediction.
"""

import argparse
import pathlib
from functools import partial

from jaxseg.commands import process, view_flags
from jaxseg.commands.arguments import Parser
from jaxseg.storage import as_path


def main(arguments: list[str]) -> int:
    """Segments all images. Returns 1 if one of them could not be read."""
    parser = Parser("predict", __doc__)
    parser.add_config(required=False, positional=False, of_run=True)
    parser.add_argument("--workdir", help="Folder of a trained run, such as runs/unet_pets.")
    parser.add_argument(
        "--weights",
        help="Weights for --config, without a run: a .pth or .safetensors file, or torchvision's name of one.",
    )
    parser.add_argument("--model", help="File of `jaxseg export`, instead of a run, such as pets.jaxseg.")
    parser.add_argument(
        "--input",
        action="extend",
        nargs="+",
        default=[],
        help="Images and folders of images; or videos, the number of a camera, or addresses such as rtsp://...",
    )
    parser.add_argument("more", nargs="*", metavar="INPUT", help=argparse.SUPPRESS)
    parser.add_argument(
        "--output", default="out", help="Folder for masks, overlays and predictions.json. Default: out."
    )
    parser.add_argument("--checkpoint", default="latest", help="Checkpoint: latest, best or a step. Default: latest.")
    parser.add_argument(
        "--class_names", help="Text file with a class name per line, for --weights. Example: names.txt."
    )
    view_flags.add_flags(parser)
    _add_outputs(parser)
    options = parser.parse(arguments)
    inputs = options.input + options.more
    if not inputs:
        parser.error("--input is missing. Give an image or a folder of images.")
    given = [bool(options.workdir), bool(options.weights), bool(options.model)]
    if sum(given) != 1 or bool(options.weights) != (options.config is not None):
        parser.error("give either --workdir, or --config and --weights, or --model")
    for flag, needs in (("class_names", "weights"), ("checkpoint", "workdir")):
        if getattr(options, flag) != parser.get_default(flag) and not getattr(options, needs):
            parser.error(f"--{flag} is given without --{needs}; expected both, or neither")
    if options.model:
        parser.refuse_changes(options, "Leave it out: an exported file keeps the config of its run.")
    process.prepare()

    from jaxseg.commands import prediction
    from jaxseg.inference.result_writer import Outputs

    if options.model:
        make = partial(prediction.of_export, options.model)
    elif options.workdir:
        make = partial(prediction.of_run, as_path(options.workdir), options.checkpoint, options.changes)
    else:
        make = partial(prediction.of_weights, options.config, options.weights, options.class_names)
    output = pathlib.Path(options.output).expanduser()
    wanted = Outputs(options.confidence, options.probabilities, options.polygons, options.format)
    return prediction.predict(make, inputs, output, outputs=wanted, **view_flags.read_flags(options))


def _add_outputs(parser: Parser) -> None:
    """Adds the flags that say which files are written besides masks and overlays."""
    parser.add_argument("--confidence", action="store_true", help="Write the largest softmax probability as a picture.")
    parser.add_argument(
        "--probabilities",
        nargs="?",
        const="png",
        default="",
        help="Write softmax probabilities: png (a 16-bit picture per class, the default) or npy (one array).",
    )
    parser.add_argument("--polygons", action="store_true", help="Write outlines in pixels as GeoJSON.")
    parser.add_argument("--format", default="", help="Write annotations for a tool: coco, yolo or labelme.")
