"""Repeats requests that a bucket refuses for a while: it is busy, or the network is down."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

PATIENCE = 600.0  # seconds after which a refusal is an error
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds
# Errors of files and rights, which waiting does not change.
LASTING = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
# Refusals of a request itself (4xx) last, but for these: timeout, conflict with another request, too many requests.
PASSING = ("408", "409", "429")
# The libraries below raise types of their own, not all of them OSErrors.
LIBRARIES = ("gcsfs", "s3fs", "botocore", "aiobotocore", "aiohttp", "google", "requests", "urllib3")


def retried(work: Callable[[], Result], patience: float | None = None) -> Result:
    """Does some work again until no refusal that may pass ends it.

    Args:
      work: what to do; doing it twice must do no harm.
      patience: seconds until the last attempt; None takes ``PATIENCE``.

    Raises:
      PermissionError: the credentials do not allow it.
      OSError: it was refused for too long, or for a reason that does not pass.
    """
    end, pause = time.monotonic() + (PATIENCE if patience is None else patience), FIRST_PAUSE
    while True:
        try:
            return work()
        except Exception as error:
            if is_forbidden(error):
                raise PermissionError(first_line(error)) from error
            if not may_pass(error):
                raise
            if time.monotonic() + pause > end:
                raise OSError(f"refused for too long: {first_line(error)}") from error
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def is_forbidden(error: BaseException) -> bool:
    """Returns whether an error says that the credentials are missing or do not suffice.

    Example:
      >>> is_forbidden(OSError("Forbidden: bucket/run")), is_forbidden(OSError("Service Unavailable"))
      (True, False)
    """
    known = ("NoCredentialsError", "CredentialRetrievalError", "RefreshError", "DefaultCredentialsError")
    return (
        isinstance(error, PermissionError)
        or status_of(error) in ("401", "403")
        or type(error).__name__ in known
        or str(error).startswith("Forbidden")
        or "PERMISSION_DENIED" in str(error)
    )


def is_refused_by_bucket(error: BaseException) -> bool:
    """Returns whether an error says that a bucket does not accept the credentials, and not the disk."""
    libraries = any(_is_of_library(one) for one in (error, error.__cause__))
    return is_forbidden(error) and (libraries or getattr(error, "filename", None) is None)


def status_of(error: BaseException) -> str:
    """Returns the HTTP status that an error of a library, or its cause, has; "" where there is none."""
    for one in (error, error.__cause__):
        answer = getattr(one, "response", None)
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, dict) else None
        if code := getattr(one, "code", None) or status:
            return str(code)
    return ""


def may_pass(error: BaseException) -> bool:
    """Returns whether the same request may succeed later.

    Example:
      >>> may_pass(TimeoutError("no answer")), may_pass(FileNotFoundError("bucket/run"))
      (True, False)
    """
    status = status_of(error)
    lasting = status.startswith("4") and status not in PASSING
    if isinstance(error, LASTING) or is_forbidden(error) or lasting:
        return False
    return isinstance(error, OSError | TimeoutError) or _is_of_library(error)


def _is_of_library(error: BaseException | None) -> bool:
    return type(error).__module__.split(".")[0] in LIBRARIES


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
