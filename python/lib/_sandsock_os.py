"""What `os`, `errno` and `sys` lack in this CPython, whose C library is wasi-libc.

A guest's sockets and pollers have numbers that wasi-libc does not know. So the functions of `os` that take a number ask the sockets
first. `errno` and `os.strerror` get the errnos that WASI lacks, under 1000 and Linux's number.

The runner calls `install` before anything else is imported, and `as_linux` for its option of this name.
"""

import errno
import os
import posix
import sys

import _sandsock

# The guest has one user, who owns the files that it sees: os.stat reports this number.
USER = 0


def install() -> None:
    """Adds the functions and the errnos."""
    _add_errnos()
    for function in (close, dup, read, write, get_blocking, set_blocking, get_inheritable, set_inheritable):
        _wrap(function)
    for function in (dup2, pipe, pipe2, getuid, geteuid, getgid, getegid, getgroups, getresuid, getresgid, getppid, uname):
        _add(function)


def as_linux() -> None:
    """Lets `sys.platform` and `os.uname` say Linux, for packages that ask."""
    # CPython: the module decides at its import whether there are processes, by the platform's name.
    import subprocess  # noqa: F401

    sys.platform = "linux"
    _system[:] = "Linux", "6.1.0"
    platform = sys.modules.get("platform")
    if platform is not None:
        platform.invalidate_caches()


def _add(function) -> None:
    function.__module__ = "posix"
    function.__qualname__ = function.__name__
    for module in (os, posix):
        setattr(module, function.__name__, function)
    if function.__name__ not in os.__all__:
        os.__all__.append(function.__name__)


# The functions of wasi-libc's files.
_files = {}


def _wrap(function) -> None:
    _files[function.__name__] = getattr(posix, function.__name__)
    function.__doc__ = _files[function.__name__].__doc__
    _add(function)


# Functions that take a number. CPython's own function raises the errors of wrong arguments.


def _is_ours(fd) -> bool:
    return type(fd) is int and 0 <= fd <= 0x7FFFFFFF and _sandsock.is_open(fd)


def close(fd):
    return _sandsock.close(fd) if _is_ours(fd) else _files["close"](fd)


def dup(fd, /):
    return _sandsock.dup(fd) if _is_ours(fd) else _files["dup"](fd)


def read(fd, length, /):
    if _is_ours(fd) and type(length) is int:
        if length < 0:
            raise OSError(errno.EINVAL, strerror(errno.EINVAL))
        return _sandsock.read(fd, length)
    return _files["read"](fd, length)


def write(fd, data, /):
    if _is_ours(fd):
        # Another thread could change the buffer while this one waits.
        return _sandsock.write(fd, data if type(data) is bytes else bytes(memoryview(data)))
    return _files["write"](fd, data)


def get_blocking(fd, /):
    return _sandsock.get_blocking(fd) if _is_ours(fd) else _files["get_blocking"](fd)


def set_blocking(fd, blocking, /):
    return _sandsock.set_blocking(fd, bool(blocking)) if _is_ours(fd) else _files["set_blocking"](fd, blocking)


def get_inheritable(fd, /):
    return _sandsock.get_inheritable(fd) if _is_ours(fd) else _files["get_inheritable"](fd)


def set_inheritable(fd, inheritable, /):
    if _is_ours(fd):
        return _sandsock.set_inheritable(fd, bool(inheritable))
    return _files["set_inheritable"](fd, inheritable)


# Functions that WASI lacks


def dup2(fd, fd2, inheritable=True):
    """Duplicate file descriptor of a socket to another number, which must be 1024 or more."""
    for number in (fd, fd2):
        if not isinstance(number, int):
            raise TypeError(f"'{type(number).__name__}' object cannot be interpreted as an integer")
        if not 0 <= number <= 0x7FFFFFFF:
            raise OSError(errno.EBADF, strerror(errno.EBADF))
    return _sandsock.dup2(fd, fd2, bool(inheritable))


def pipe():
    """Create a pipe. It is a pair of connected sockets, each shut down for one direction.

    Returns a tuple of two file descriptors: (read_fd, write_fd)
    """
    import _socket

    reader, writer = _socket.socketpair()
    reader.shutdown(_socket.SHUT_WR)
    writer.shutdown(_socket.SHUT_RD)
    return reader.detach(), writer.detach()


def pipe2(flags, /):
    """Create a pipe with flags set atomically: O_NONBLOCK and O_CLOEXEC."""
    pair = pipe()
    for fd in pair:
        _sandsock.set_blocking(fd, not flags & os.O_NONBLOCK)
        _sandsock.set_inheritable(fd, not flags & os.O_CLOEXEC)
    return pair


def getuid():
    """Return the current process's user id."""
    return USER


def geteuid():
    """Return the current process's effective user id."""
    return USER


def getgid():
    """Return the current process's group id."""
    return USER


def getegid():
    """Return the current process's effective group id."""
    return USER


def getgroups():
    """Return list of supplemental group IDs for the process."""
    return [USER]


def getresuid():
    """Return a tuple of the current process's real, effective, and saved user ids."""
    return USER, USER, USER


def getresgid():
    """Return a tuple of the current process's real, effective, and saved group ids."""
    return USER, USER, USER


def getppid():
    """Return the parent's process id. A guest has no parent."""
    return 0


_system = ["wasi", "0.2"]


def uname():
    """Return an object identifying the current operating system."""
    import _socket

    system, release = _system
    return os.uname_result((system, _socket.gethostname(), release, "sandsock", "wasm32"))


# Errnos

_texts = {}


def strerror(code, /):
    """Translate an error code to a message string."""
    text = _texts.get(code) if type(code) is int else None
    if text is None:
        text = _files["strerror"](code)
        # wasi-libc has one text for all numbers that it does not know.
        if code and text == _files["strerror"](0):
            text = f"Unknown error {code}"
    return text


def _add_errnos() -> None:
    for name, number, text in _sandsock.errnos():
        # CPython: ESHUTDOWN is EPIPE here.
        if name != "ESHUTDOWN":
            errno.errorcode[number] = name
            _texts[number] = text
        if not hasattr(errno, name):
            setattr(errno, name, number)
    errno.EDEADLOCK = errno.EDEADLK
    _wrap(strerror)
