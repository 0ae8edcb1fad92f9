"""The standard streams. Those of the snapshot were made when the build's own streams were open."""

import io
import sys


def open_all(unbuffered: bool, encoding: str | None) -> None:
    """Makes sys.stdin, sys.stdout and sys.stderr anew, as CPython does at its start. `encoding` is PYTHONIOENCODING."""
    name, _, errors = (encoding or "").partition(":")
    name = name or "utf-8"
    sys.stdin = sys.__stdin__ = stream(0, "<stdin>", False, name, errors or "strict")
    sys.stdout = sys.__stdout__ = stream(1, "<stdout>", unbuffered, name, errors or "strict")
    # CPython: standard error escapes what it can't encode, whatever the variable says.
    sys.stderr = sys.__stderr__ = stream(2, "<stderr>", unbuffered, name, "backslashreplace")


def stream(number: int, name: str, unbuffered: bool, encoding: str, errors: str) -> io.TextIOWrapper | None:
    """Returns the stream of a descriptor, or none if it is closed."""
    mode = "w" if number else "r"
    try:
        raw = io.FileIO(number, mode, closefd=False)
    except OSError:
        return None
    raw.name = name
    buffer = raw if unbuffered else io.BufferedWriter(raw) if number else io.BufferedReader(raw)
    text = io.TextIOWrapper(
        buffer,
        encoding=encoding,
        errors=errors,
        newline="\n" if number else None,
        line_buffering=not unbuffered and (number == 2 or raw.isatty()),
        write_through=unbuffered,
    )
    text.mode = mode
    return text
