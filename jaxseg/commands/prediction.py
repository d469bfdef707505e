"""Segments files into files, for the command ``predict``."""

import functools
import itertools
import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any


def predict(make_predictor: Callable[[], Callable], inputs: list[str], output: pathlib.Path) -> list[str]:
    """Segments images.

    For each image it writes ``NAME_mask.png``, an indexed PNG of the image's own size, and ``NAME_overlay.png``, which
    has the legend of a label map below the image; and for all of them ``predictions.json``.

    Args:
      make_predictor: makes what turns a photograph into a ``Prediction``; called when the inputs are known to exist.
      inputs: images and folders of images.
      output: the folder to write to, made if need be.

    Returns:
      What went wrong, a line for each image that could not be read; the others are done.

    Raises:
      ValueError: there is no such run, checkpoint or input.
    """
    # Imported here so that --help answers at once.
    from jaxseg.inference import image_files as photographs
    from jaxseg.reporting import pictures

    paths = photographs.find(inputs)
    predictor = make_predictor()
    output.mkdir(parents=True, exist_ok=True)
    results, failed = [], []
    for number, (path, name) in enumerate(zip(paths, output_names(paths), strict=True), start=1):
        try:
            image = photographs.read(path)
        except ValueError as error:
            failed.append(str(error))
            print(f"jaxseg: {error}", file=sys.stderr)
            continue
        prediction = predictor(image)
        pictures.write_mask(output / f"{name}_mask.png", prediction.mask, prediction.palette)
        pictures.write(output / f"{name}_overlay.png", prediction.overlay)
        results += [{"image_id": number, "file_name": str(path), **result} for result in prediction.results]
        print(f"{path}: {prediction.summary}")
    (output / "predictions.json").write_text(json.dumps(results, indent=2) + "\n")
    print(f"{len(paths) - len(failed)} of {len(paths)} images segmented into {output}")
    return failed


def of_run(folder: pathlib.Path, checkpoint: str) -> Callable[[Any], Any]:
    """Returns the predictor of a run's checkpoint, which turns an image, uint8 ``[h, w, 3]``, into a ``Prediction``."""
    from jaxseg.evaluate import load_state
    from jaxseg.inference import PREDICTORS
    from jaxseg.run import workdir
    from jaxseg.run.experiment import build

    config, class_names, palette = workdir.load(folder)
    experiment = build(config, class_names, palette)
    state = load_state(experiment, folder, checkpoint)
    model = functools.partial(experiment.steps.predict, state)
    return PREDICTORS[config.task](config, class_names, palette, model, workdir.category_ids(folder))


def of_weights(config: Any, weights: str) -> Callable[[Any], Any]:
    """Returns the predictor of a config with weights from elsewhere, see ``inference.pretrained``."""
    from jaxseg.inference.pretrained import from_weights

    return from_weights(config, weights)


def output_names(paths: list[pathlib.Path]) -> list[str]:
    """Returns a name for the results of each file: its stem, with a number if two files share one."""
    names: list[str] = []
    for path in paths:
        candidates = itertools.chain([path.stem], (f"{path.stem}_{number}" for number in itertools.count(2)))
        names.append(next(name for name in candidates if name not in names))
    return names
