"""Checks the images of a data set before anything is trained: files that cannot be read, pages, value ranges."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import ml_collections

from jaxseg.data.image_scan import ImageSummary, scan_images
from jaxseg.data.images import read_options
from jaxseg.data.report import Notices

Key = TypeVar("Key")


def scan_cache(data_config: ml_collections.ConfigDict) -> Path:
    """Returns the folder that keeps what scans of files have seen."""
    return Path(data_config.dir).expanduser() / "cache"


def check_images(
    paths: Mapping[Key, Path], data_config: ml_collections.ConfigDict, notices: Notices
) -> dict[Key, ImageSummary]:
    """Returns what is known of each image that can be read.

    Args:
      paths: the files of a split, by any key.
      data_config: ``config.data``; ``bad_files`` says what happens to files that cannot be read.
      notices: get the number of images that are left out, that have several pages or a narrow value range.

    Raises:
      ValueError: a file cannot be read, and ``config.data.bad_files`` is "error"; or no file can be read.
    """
    summaries = summarize_images(list(paths.values()), data_config)
    found = dict(zip(paths, summaries, strict=True))
    errors = [summary.error for summary in summaries if summary.error]
    report_bad(errors, data_config.bad_files, notices)
    if errors and len(errors) == len(paths):
        raise ValueError(f"none of {len(paths)} image(s) can be read: {errors[0]}")
    found = {key: summary for key, summary in found.items() if not summary.error}
    for key, summary in found.items():
        note_image(paths[key], summary, notices)
    return found


def summarize_images(paths: Sequence[Path], data_config: ml_collections.ConfigDict) -> list[ImageSummary]:
    """Returns what is known of images, in the order of ``paths``.

    Headers and the ends of files are read. Where ``config.data.bad_files`` is "skip", pixels are decoded, since a file
    that is damaged in the middle is left out too.
    """
    decode = data_config.bad_files == "skip"
    return scan_images(paths, read_options(data_config), scan_cache(data_config), decode)


def report_bad(errors: Sequence[str], bad_files: str, notices: Notices) -> None:
    """Counts files that cannot be read where ``bad_files`` is "skip".

    Args:
      errors: one per file, which it names.
      bad_files: ``config.data.bad_files``.
      notices: get the number of files.

    Raises:
      ValueError: there is an error and ``bad_files`` is "error"; or it is neither.
    """
    if bad_files not in ("error", "skip"):
        raise ValueError(f"config.data.bad_files is {bad_files!r}; expected error or skip")
    if errors and bad_files == "error":
        first, *others = errors
        more = f" ({len(others)} more file(s) have errors, the next: {others[0]})" if others else ""
        raise ValueError(f"{first}{more}. Replace the file, or set config.data.bad_files=skip to leave it out")
    for error in errors:
        notices.add("cannot be read and are left out", "files", error)


def note_image(path: Path, summary: ImageSummary, notices: Notices) -> None:
    """Adds notices about the pages and the value range of an image."""
    if summary.pages > 1:
        remedy = f"It has {summary.pages}; config.data.page chooses one"
        notices.add("have several pages and only one is read", "images", path, remedy=remedy)
    if summary.note:
        remedy = f"The first {summary.note}"
        notices.add("use less than a tenth of their value range", "images", path, remedy=remedy)
