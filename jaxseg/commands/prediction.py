"""What ``jaxseg predict`` prints while it segments files."""

import pathlib
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from jaxseg import ctrl_c
from jaxseg.commands import settings

if TYPE_CHECKING:
    from jaxseg.inference import Predictor
    from jaxseg.inference.pipeline import Outcome


def predict(make_predictor: "Callable[[], Predictor]", inputs: list[str], output: pathlib.Path, **options: Any) -> int:
    """Segments images, prints a line per image, and returns the exit status.

    For each image it writes ``NAME_mask.png``, an indexed PNG, and ``NAME_overlay.png``, and for all of them
    ``predictions.json``.

    Args:
      make_predictor: makes the predictor; called when the inputs are known to exist.
      inputs: images and folders of images.
      output: the folder to write to.
      **options: see ``inference.predict_files``.

    Returns:
      0; 1 if an image could not be read, 130 after Ctrl-C.

    Raises:
      ValueError: there is no such run, checkpoint or input.
    """
    # Imported here so that --help answers at once.
    from jaxseg.data.images import printable
    from jaxseg.inference.predict_files import predict_files
    from jaxseg.inference.video import is_video

    if output.exists() and not output.is_dir():
        raise ValueError(f"--output is {output}, which is a file; expected a folder. Choose another name.")
    videos = [one for one in inputs if is_video(one)]
    if videos:
        if len(videos) < len(inputs):
            raise ValueError(f"--input has images and the video {videos[0]}; expected either. Run the command twice.")
        return predict_videos(make_predictor, videos, output, **options)

    progress = Progress("images")

    def say(outcome: "Outcome") -> None:
        if outcome.error is None:
            progress.line(f"{printable(outcome.item.path)}: {outcome.value}")
        else:
            progress.line(f"jaxseg: {outcome.value}", sys.stderr)
        progress.step()

    def make() -> "Predictor":
        predictor = make_predictor()
        for note in predictor.notes:
            print(f"weights: {note}")
        return predictor

    received: list[signal.Signals] = []
    with ctrl_c.first_noted(received.append):
        try:
            summary = predict_files(
                make, inputs, output, say=say, begin=progress.begin, stopped=lambda: bool(received), **options
            )
        finally:
            progress.close()
    print(f"{summary.done} of {summary.total} images segmented into {printable(output)}")
    if received:
        name = "Ctrl-C" if received[0] == signal.SIGINT else received[0].name
        print(f"jaxseg: stopped by {name}; predictions.json has the images that are done", file=sys.stderr)
        return 128 + received[0]
    return 1 if summary.failed else 0


def predict_videos(
    make_predictor: "Callable[[], Predictor]", videos: list[str], output: pathlib.Path, **options: Any
) -> int:
    """Segments videos, cameras and streams, and returns the exit status.

    For each it writes ``NAME_overlay.mp4`` and ``NAME.jsonl``, which has a line per frame. Videos of the same name get
    numbers.

    Raises:
      ValueError: files are asked for that are written for images only, or a video cannot be read.
    """
    from jaxseg.inference.predict_files import numbered
    from jaxseg.inference.result_writer import DEFAULT_OUTPUTS
    from jaxseg.inference.video import predict_video, video_name

    outputs = options.pop("outputs", DEFAULT_OUTPUTS)
    for flag, given, usual in zip(outputs._fields, outputs, DEFAULT_OUTPUTS, strict=True):
        if given != usual:
            raise ValueError(f"--{flag} is given for the video {videos[0]}; expected images. Leave the flag out.")
    predictor = make_predictor()
    received: list[signal.Signals] = []
    with ctrl_c.first_noted(received.append):
        for video, name in zip(videos, numbered(map(video_name, videos)), strict=True):
            progress = Progress("frames")

            def say(number: int, summary: str, progress: Progress = progress) -> None:
                progress.step()

            def begin(count: int | None, progress: Progress = progress) -> None:
                progress.begin(count, "")

            try:
                calls: dict[str, Any] = {"begin": begin, "say": say, "stopped": lambda: bool(received)}
                paths = predict_video(predictor, video, output, name=name, **calls, **options)
            finally:
                progress.close()
            print(f"{video}: {paths['overlay']} and {paths['frames']}")
            if received:
                return 128 + received[0]
    return 0


class Progress:
    """A progress bar with images per second and the time left, on a terminal; else only lines."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: Any = None

    def begin(self, total: int | None, note: str) -> None:
        """Starts with the number of images and says what was left out."""
        if note:
            print(note)
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit=f" {self._unit}", file=sys.stderr, dynamic_ncols=True)

    def line(self, text: str, file: Any = None) -> None:
        """Prints a line without tearing the bar."""
        file = file or sys.stdout
        if self._bar is None:
            print(text, file=file, flush=True)
        else:
            self._bar.write(text, file=file)

    def step(self) -> None:
        """Counts an image."""
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()


def of_run(folder: pathlib.Path, checkpoint: str, changes: Sequence[tuple[str, str]] = ()) -> "Predictor":
    """Returns the predictor of a run's checkpoint.

    Args:
      folder: the workdir.
      checkpoint: "latest", "best" or a step.
      changes: names and values of fields of the run's config, as text of the command line.
    """
    from jaxseg.inference import load

    return load(folder, checkpoint=checkpoint, change=partial(settings.change, given=list(changes), as_text=True))


def of_weights(config: Any, weights: str, class_names: str | None = None) -> "Predictor":
    """Returns the predictor of a config with weights from elsewhere."""
    from jaxseg.inference import load

    return load(config, weights, class_names=class_names)


def of_export(path: str) -> "Predictor":
    """Returns the predictor of a file of ``jaxseg export``."""
    from jaxseg.inference.exported import load_export

    return load_export(path)
