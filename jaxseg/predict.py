"""Segments photographs with a trained run: ``python -m jaxseg.predict --workdir W --input photo.jpg --output out``."""

import functools
import itertools
import json
import pathlib
import sys
from collections.abc import Callable
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

    For each image it writes ``NAME_mask.png``, an indexed PNG, and ``NAME_overlay.png``, both of the image's own size;
    and for all of them ``predictions.json``.

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
    from jaxseg import photographs, pictures

    paths = photographs.find(inputs)
    predictor = of_run(folder, checkpoint)
    output.mkdir(parents=True, exist_ok=True)
    results, failed = [], []
    for number, (path, name) in enumerate(zip(paths, output_names(paths), strict=True), start=1):
        try:
            prediction = predictor(photographs.read(path))
        except ValueError as error:
            failed.append(str(error))
            print(f"jaxseg: {error}", file=sys.stderr)
            continue
        pictures.write_mask(output / f"{name}_mask.png", prediction.mask, prediction.palette)
        pictures.write(output / f"{name}_overlay.png", prediction.overlay)
        results += [{"image_id": number, "file_name": str(path), **result} for result in prediction.results]
        print(f"{path}: {prediction.summary}")
    (output / "predictions.json").write_text(json.dumps(results, indent=2) + "\n")
    print(f"{len(paths) - len(failed)} of {len(paths)} images segmented into {output}")
    return failed


def of_run(folder: pathlib.Path, checkpoint: str) -> Callable[[Any], Any]:
    """The predictor of a run's checkpoint: a photograph, uint8 ``[h, w, 3]``, to a ``Prediction``."""
    from jaxseg import workdir
    from jaxseg.evaluate import load_state
    from jaxseg.experiment import build
    from jaxseg.predictors import PREDICTORS

    config, class_names, palette = workdir.load(folder)
    experiment = build(config, class_names, palette)
    state = load_state(experiment, folder, checkpoint)
    model = functools.partial(experiment.steps.predict, state)
    return PREDICTORS[config.task](config, class_names, palette, model)


def output_names(paths: list[pathlib.Path]) -> list[str]:
    """A name for each file's results: its stem, with a number where two files share one."""
    names: list[str] = []
    for path in paths:
        candidates = itertools.chain([path.stem], (f"{path.stem}_{number}" for number in itertools.count(2)))
        names.append(next(name for name in candidates if name not in names))
    return names


if __name__ == "__main__":
    app.run(main)
