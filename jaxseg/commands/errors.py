"""Ends commands: one line per error, and one exit status per kind of error."""

import contextlib
import os
import select
import signal
import sys
import traceback

USER_ERRORS = (ValueError, OSError, FloatingPointError)
FULL_DISK = "No space left on device"


class UsageError(ValueError):
    """An error in the flags of a command."""


def report(error: BaseException, show_traceback: bool = False) -> int:
    """Prints an error in one line on stderr and returns the exit status for it.

    Args:
      error: what ended the command.
      show_traceback: print the traceback first.

    Returns:
      2 for mistakes of users, 130 for Ctrl-C, 1 for everything else. 141, without a line, if nobody reads the output.
    """
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        return 128 + signal.SIGPIPE
    if show_traceback:
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        complain("stopped by Ctrl-C")
        return 128 + signal.SIGINT
    if FULL_DISK in str(error):  # storage libraries raise it as other types than OSError
        return complain(message_of(error))
    if "jax" in sys.modules:  # without it, no device, worker or run can have failed
        from jaxseg.run.errors import explain

        if explained := explain(error):
            complain(explained.line)
            return explained.status
    if isinstance(error, USER_ERRORS):
        return complain(message_of(error))
    hint = "" if show_traceback else ". Run the command again with --traceback to see where it comes from"
    complain(f"internal error: {type(error).__name__}: {error}{hint}; `jaxseg doctor` prints what a bug report needs")
    return 1


def end_output(status: int) -> int:
    """Writes what is still to be printed, and returns the exit status of the process.

    Args:
      status: the one so far.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        status = report(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python writes the rest when it ends, and would complain.
    return status


def _nobody_reads() -> bool:
    """Returns whether the reader of standard output, such as ``head``, has ended."""
    output = select.poll()
    output.register(1, 0)
    return bool(output.poll(0))


def message_of(error: BaseException) -> str:
    """Returns the message of an error, with a remedy for a full disk.

    Examples:
      >>> message_of(OSError(28, "No space left on device"))
      '[Errno 28] No space left on device. Make room on this disk, and run the same command again.'
    """
    message = str(error)
    if FULL_DISK not in message or "make room" in message.lower():
        return message
    return f"{message}. Make room on this disk, and run the same command again."


def complain(message: str) -> int:
    """Prints a message in one line on stderr and returns the exit status of a user's mistake."""
    with contextlib.suppress(BrokenPipeError):  # nobody reads it
        print(f"jaxseg: {' '.join(message.split())}", file=sys.stderr)
    return 2
