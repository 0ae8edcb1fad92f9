"""How a run ends: the status, and what CPython does before it."""

import atexit
import gc
import os
import sys
import threading
import traceback
from typing import NoReturn

from wit_world.imports import exit as wasi_exit

# CPython: main.c and pylifecycle.c have these statuses.
USAGE = 2
FLUSH_FAILED = 120
# The shell's statuses for a program that SIGINT or SIGABRT ended.
INTERRUPTED = 130
ABORTED = 134


def usage(text: str) -> NoReturn:
    """Ends the run for a wrong argument."""
    print(f"python3: {text}", file=sys.stderr, flush=True)
    leave(USAGE)


def leave(status: int) -> NoReturn:
    """Ends the instance at once."""
    wasi_exit.exit_with_code(status & 0xFF)
    raise AssertionError("WIT: exit-with-code does not return")


def abort() -> NoReturn:
    """Abort the interpreter immediately."""
    leave(ABORTED)


# libc's own has two statuses, because it calls the older `exit`. Its abort is a trap of the guest.
os._exit = leave
os.abort = abort


def of_exception(error: BaseException, inspects: bool) -> int:
    """Reports the exception that a program ended with, and returns the status. With -i, SystemExit is an exception as any other."""
    if isinstance(error, SystemExit) and not inspects:
        return of_system_exit(error.code)
    sys.last_exc = error
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit as raised:
        return of_system_exit(raised.code)
    except BaseException as raised:
        print("Error in sys.excepthook:", file=sys.stderr)
        traceback.print_exception(raised)
        print("\nOriginal exception was:", file=sys.stderr)
        traceback.print_exception(error)
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def of_system_exit(code: object) -> int:
    """Returns the status of SystemExit. CPython: a text is printed, and is status 1."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    try:
        sys.stdout.flush()
        print(code, file=sys.stderr, flush=True)
    except Exception:
        pass
    return 1


def report(refusals: list[str]) -> None:
    """Prints what the policy has refused a program that failed."""
    try:
        for text in refusals:
            print(f"sandsock: {text}", file=sys.stderr, flush=True)
    except Exception:
        pass


def finish(status: int) -> int:
    """Does what CPython does after the main thread's program, and returns the status."""
    try:
        threading._shutdown()
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    atexit._run_exitfuncs()
    status = flush(status)
    # Files that are still open are flushed by their finalizers.
    vars(sys.modules["__main__"]).clear()
    gc.collect()
    return flush(status)


def flush(status: int) -> int:
    """Flushes both streams. CPython: an error is ignored for standard error, and is a status for standard output."""
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except BaseException as error:
        if status == 0:
            status = FLUSH_FAILED
        # Nothing can be written to the stream any more, so the second flush does not try it.
        sys.stdout = None
        try:
            print(f"Exception ignored while flushing sys.stdout:\n{type(error).__name__}: {error}", file=sys.stderr)
        except Exception:
            pass
    try:
        if sys.stderr is not None and not sys.stderr.closed:
            sys.stderr.flush()
    except Exception:
        pass
    return status
