"""The standard streams. Those of the snapshot were made when the build's own streams were open."""

import builtins
import io
import sys

import _sandsock


def open_all(unbuffered: bool, encoding: str | None) -> None:
    """Makes sys.stdin, sys.stdout and sys.stderr anew, as CPython does at its start. `encoding` is PYTHONIOENCODING."""
    name, _, errors = (encoding or "").partition(":")
    name = name or "utf-8"
    sys.stdin = sys.__stdin__ = stream(0, "<stdin>", False, name, errors or "strict")
    sys.stdout = sys.__stdout__ = stream(1, "<stdout>", unbuffered, name, errors or "strict")
    # CPython: standard error escapes what it can't encode, whatever the variable says.
    sys.stderr = sys.__stderr__ = stream(2, "<stderr>", unbuffered, name, "backslashreplace")
    if sys.stdin is not None and sys.stdin.isatty():
        builtins.input = terminal_input


class Input(io.FileIO):
    """Standard input. It waits while other threads run, and then reads what is there."""

    def read(self, size=-1, /):
        if size is None or size < 0:
            return self.readall()
        _sandsock.wait_for_stdin()
        return super().read(size)

    def readinto(self, buffer, /):
        _sandsock.wait_for_stdin()
        return super().readinto(buffer)

    # FileIO's own reads to the end in one call.
    readall = io.RawIOBase.readall


plain_input = builtins.input


def terminal_input(prompt="", /):
    """Read a string from standard input.  The trailing newline is stripped.

    The prompt string, if given, is printed to standard output without a
    trailing newline before reading input.

    If the user hits EOF (*nix: Ctrl-D), raise EOFError.
    """
    # CPython: at a terminal the function reads by C's own stream, in which all threads would wait.
    if sys.stdin is not sys.__stdin__ or sys.stdin is None:
        return plain_input(prompt)
    sys.audit("builtins.input", prompt)
    sys.stderr.flush()
    sys.stdout.write(str(prompt))
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError("EOF when reading a line")
    line = line.removesuffix("\n")
    sys.audit("builtins.input/result", line)
    return line


def stream(number: int, name: str, unbuffered: bool, encoding: str, errors: str) -> io.TextIOWrapper | None:
    """Returns the stream of a descriptor, or none if it is closed."""
    mode = "w" if number else "r"
    try:
        raw = (io.FileIO if number else Input)(number, mode, closefd=False)
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
