"""Errors of libraries while an image is prepared or scored, as errors that name its file."""

import contextlib
from collections.abc import Iterator, Sequence

from jaxseg.data.images import printable


@contextlib.contextmanager
def named_errors(files: Sequence[str], index: int) -> Iterator[None]:
    """Turns any error of its block into one that names the file, unless it names it already.

    Args:
      files: of the source, see ``types.Source``; () names images by their numbers.
      index: which image is worked on.

    Raises:
      ValueError: the block has failed.

    Example:
      >>> with named_errors(["photos/a.jpg"], 0):
      ...     raise IndexError("list index out of range")
      Traceback (most recent call last):
      ...
      ValueError: photos/a.jpg cannot be used: IndexError: list index out of range
    """
    try:
        yield
    except MemoryError:  # No matter of this file.
        raise
    except Exception as error:
        name = printable(files[index]) if len(files) else f"image {index}"
        text = " ".join(str(error).split())
        if name in text:
            raise
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{name} cannot be used: {kind}{text}") from error
