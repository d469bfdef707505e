"""Segments photographs with a trained run: ``python -m jaxseg.predict --workdir W --input photo.jpg --output out``."""

import json
import pathlib
import sys
from typing import Any

from absl import app, flags, logging

WORKDIR = flags.DEFINE_string("workdir", None, "The folder of a trained run.", required=True)
INPUT = flags.DEFINE_multi_string("input", None, "An image, or a folder of images.", required=True)
OUTPUT = flags.DEFINE_string("output", "out", "Where masks, overlays and predictions.json go.")
CHECKPOINT = flags.DEFINE_string("checkpoint", "latest", "Which to use: latest, best, or a step.")


def main(arguments: list[str]) -> None:
    """Segments all images; ends with status 1 if one of them could not be read, and 2 if nothing could be done."""
    logging.set_verbosity(logging.ERROR)  # what the libraries say of their inner life is not for the console
    try:
        failed = predict(
            pathlib.Path(WORKDIR.value), [*INPUT.value, *arguments[1:]], pathlib.Path(OUTPUT.value), CHECKPOINT.value
        )
    except (ValueError, OSError) as error:
        print(f"jaxseg: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(1 if failed else 0)


def predict(folder: pathlib.Path, inputs: list[str], output: pathlib.Path, checkpoint: str) -> list[str]:
    """Segments images with a run's model.

    For each image it writes ``NAME_mask.png``, whose pixels are class numbers, and ``NAME_overlay.png``, both of the
    image's own size; and for all of them ``predictions.json``, with the pixels of each class.

    Args:
      folder: the run's workdir.
      inputs: images and folders of images.
      output: the folder to write to, made if need be.
      checkpoint: "latest", "best" or a step number.

    Returns:
      What went wrong, a line for each image that could not be read; the others are done.

    Raises:
      ValueError: there is no such run, checkpoint or input.
    """
    # Imported here so that --help answers at once.
    from jaxseg import photographs, pictures, workdir
    from jaxseg.evaluate import load_state
    from jaxseg.experiment import build

    paths = photographs.find(inputs)
    config, class_names, palette = workdir.load(folder)
    experiment = build(config, class_names, palette)
    state = load_state(experiment, folder, checkpoint)
    output.mkdir(parents=True, exist_ok=True)

    results, failed = [], []
    for path, name in zip(paths, output_names(paths), strict=True):
        try:
            image = photographs.read(path)
        except ValueError as error:
            failed.append(str(error))
            print(f"jaxseg: {error}", file=sys.stderr)
            continue
        label = segment(experiment, state, image)
        pictures.write_mask(output / f"{name}_mask.png", label, palette)
        pictures.write(output / f"{name}_overlay.png", pictures.overlay(image, label, palette))
        results.append(describe(path, label, class_names))
        print(f"{path}: " + ", ".join(f"{c['name']} {c['share']:.1%}" for c in results[-1]["classes"]))
    (output / "predictions.json").write_text(json.dumps(results, indent=2) + "\n")
    print(f"{len(results)} of {len(paths)} images segmented into {output}")
    return failed


def segment(experiment: Any, state: Any, image: Any) -> Any:
    """The class of every pixel of an image of any size: uint8 ``[h, w]`` for uint8 ``[h, w, 3]``.

    The model sees the image at the size that it was trained at; its logits are brought back to the image's own size,
    and the largest wins there.
    """
    import cv2
    import numpy as np

    height, width = experiment.config.data.image_size
    seen = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
    )
    logits = np.asarray(experiment.steps.predict(state, seen[None]))[0]
    return cv2.resize(logits, image.shape[1::-1], interpolation=cv2.INTER_LINEAR).argmax(axis=-1).astype(np.uint8)


def output_names(paths: list[pathlib.Path]) -> list[str]:
    """A name for each file's results: its stem, with a number where two files share one."""
    seen: dict[str, int] = {}
    names = []
    for path in paths:
        seen[path.stem] = seen.get(path.stem, 0) + 1
        names.append(path.stem if seen[path.stem] == 1 else f"{path.stem}_{seen[path.stem]}")
    return names


def describe(path: pathlib.Path, label: Any, class_names: tuple[str, ...]) -> dict:
    """An image's entry in predictions.json: its size, and for each class its pixels and their share."""
    height, width = label.shape
    areas = [int((label == index).sum()) for index in range(len(class_names))]
    classes = [
        {"id": index, "name": name, "area": area, "share": area / label.size}
        for index, (name, area) in enumerate(zip(class_names, areas, strict=True))
    ]
    return {"file_name": str(path), "height": height, "width": width, "classes": classes}


if __name__ == "__main__":
    app.run(main)
