"""Checks images and masks against each other by their headers, before anything is trained."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxseg.data.image_checks import report_bad
from jaxseg.data.image_scan import ImageSummary
from jaxseg.data.images import printable
from jaxseg.data.masks.scan import MaskSummary
from jaxseg.data.report import Notices
from jaxseg.data.sources.pairs import Pair

MOST_LISTED = 20  # files of wrong size that an error names


class CheckedPair(NamedTuple):
    """An image and its mask, and what was seen of both; without a mask, ``mask`` is None."""

    name: str
    image: Path
    mask: Path | None
    image_summary: ImageSummary
    mask_summary: MaskSummary | None


def files_of(pairs: Sequence[CheckedPair]) -> list[Pair]:
    """Returns the files of pairs, as ``PairedRecords`` reads them."""
    return [Pair(pair.name, pair.image, pair.mask) for pair in pairs]


def readable_masks(pairs: Iterable[CheckedPair]) -> dict[Path, MaskSummary]:
    """Returns the masks that can be read, and what was seen of them."""
    found = {pair.mask: pair.mask_summary for pair in pairs if pair.mask is not None and pair.mask_summary is not None}
    return {mask: summary for mask, summary in found.items() if not summary.error}


def leave_out_bad(pairs: Sequence[CheckedPair], bad_files: str, notices: Notices) -> list[CheckedPair]:
    """Returns the pairs with readable files.

    Args:
      pairs: all of a split.
      bad_files: "error" raises for the first file that cannot be read, "skip" leaves such files out.
      notices: get what was left out.

    Raises:
      ValueError: a file cannot be read; or ``bad_files`` is neither.
    """
    errors = {pair.name: _error(pair) for pair in pairs if _error(pair)}
    report_bad(list(errors.values()), bad_files, notices)
    return [pair for pair in pairs if pair.name not in errors]


def _error(pair: CheckedPair) -> str:
    return pair.image_summary.error or (pair.mask_summary.error if pair.mask_summary else "")


def check_sizes(pairs: Sequence[CheckedPair], tolerance: int, notices: Notices) -> None:
    """Checks that every mask has the size of its image, upright or as the file stores it.

    Args:
      pairs: readable ones.
      tolerance: difference in pixels up to which masks are resized.
      notices: get turned photographs, pages, value ranges and masks that will be resized.

    Raises:
      ValueError: sizes differ. The message lists the files.
    """
    wrong = []
    for pair in pairs:
        if pair.mask_summary is None:
            continue
        mask, (size, stored) = pair.mask_summary.size, (pair.image_summary.size, pair.image_summary.stored_size)
        if pair.image_summary.orientation > 1:
            _note_orientation(pair, mask == size, mask == stored, notices)
        if mask in (size, stored):
            continue
        if max(abs(a - b) for a, b in zip(mask, size, strict=True)) <= tolerance:
            notices.add("of another size than their image are resized", "masks", pair.mask)
        else:
            shown = f"{printable(pair.mask)} is {mask[1]}x{mask[0]}, its image {pair.image.name} {size[1]}x{size[0]}"
            wrong.append(shown)
    if wrong:
        more = f"; and {len(wrong) - MOST_LISTED} more" if len(wrong) > MOST_LISTED else ""
        raise ValueError(
            f"{len(wrong)} of {len(pairs)} masks have another size than their image: {'; '.join(wrong[:MOST_LISTED])}"
            f"{more}. Correct them, or set config.data.tolerate_size_difference to the pixels by which masks may "
            "differ, which resizes them"
        )


def _note_orientation(pair: CheckedPair, fits_upright: bool, fits_stored: bool, notices: Notices) -> None:
    if fits_upright and fits_stored:
        notices.add(
            "are turned by EXIF and their masks fit both ways: masks are taken as drawn on the upright view",
            "photographs",
            pair.image,
        )
    elif fits_stored:
        notices.add("are drawn on photographs as stored, and are turned upright with them", "masks", pair.mask)


def note_unmatched(
    without_mask: Sequence[Path], without_image: Sequence[Path], total: int, unlabeled: str, notices: Notices
) -> None:
    """Adds notices about images without a mask and masks without an image.

    Raises:
      ValueError: ``unlabeled`` is neither "skip" nor "background".
    """
    if unlabeled not in ("skip", "background"):
        raise ValueError(f"config.data.unlabeled is {unlabeled!r}; expected skip or background")
    texts: Mapping[str, tuple[str, str]] = {
        "skip": ("have no mask and are left out", "config.data.unlabeled=background trains on them as background"),
        "background": ("have no mask and count as background", "config.data.unlabeled=skip leaves them out"),
    }
    if without_mask:
        text, remedy = texts[unlabeled]
        notices.add(text, "images", without_mask[0], count=len(without_mask), of=total, remedy=remedy)
    if without_image:
        notices.add("have no image and are left out", "masks", without_image[0], count=len(without_image))
