"""What `os`, `errno` and `sys` lack in this CPython, whose C library is wasi-libc.

A guest's sockets and pollers have numbers that wasi-libc does not know. So the functions of `os` that take a number ask the sockets
first. `errno` and `os.strerror` get the errnos that WASI lacks, under 1000 and Linux's number.

The runner calls `install` before anything else is imported, and `as_linux` for its option of this name.
"""

import _stat
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
    for function in (
        close, dup, read, readinto, write, lseek, get_blocking, set_blocking, get_inheritable, set_inheritable, unlink, remove,
        stat, lstat, fstat,
    ):  # fmt: skip
        _wrap(function)
    _files["fdopen"] = os.fdopen
    os.fdopen = fdopen
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
    files = _files[function.__name__] = getattr(posix, function.__name__)
    function.__doc__ = files.__doc__
    for supports in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if files in supports:
            supports.add(function)
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
    if fd == 0:
        _sandsock.wait_for_stdin()
    return _files["read"](fd, length)


def readinto(fd, buffer, /):
    if not _is_ours(fd):
        if fd == 0:
            _sandsock.wait_for_stdin()
        return _files["readinto"](fd, buffer)
    with memoryview(buffer) as view, view.cast("B") as octets:
        data = _sandsock.read(fd, len(octets))
        octets[: len(data)] = data
    return len(data)


def write(fd, data, /):
    if _is_ours(fd):
        # Another thread could change the buffer while this one waits.
        return _sandsock.write(fd, data if type(data) is bytes else bytes(memoryview(data)))
    return _files["write"](fd, data)


def lseek(fd, position, whence, /):
    if _is_ours(fd):
        raise OSError(errno.ESPIPE, strerror(errno.ESPIPE))
    return _files["lseek"](fd, position, whence)


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


def unlink(path, *, dir_fd=None):
    _remove("unlink", path, dir_fd)


def remove(path, *, dir_fd=None):
    _remove("remove", path, dir_fd)


def _remove(function, path, dir_fd):
    try:
        _files[function](path, dir_fd=dir_fd)
    except OSError:
        # The name of a UNIX socket is not in a folder of wasi-libc's.
        try:
            _sandsock.unlink(os.fsencode(path))
        except OSError:
            pass
        else:
            return
        raise


def fstat(fd):
    return _status(fd) if _is_ours(fd) else _files["fstat"](fd)


def _status(number):
    """Returns the status of a socket. Its number, or that of the bind that made its file, stands for that of the inode."""
    return os.stat_result((_SOCKET, number, 0, 1, USER, USER, 0, 0, 0, 0))


def stat(path, *, dir_fd=None, follow_symlinks=True):
    if _is_ours(path):
        return _status(path)
    return _look("stat", path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)


def lstat(path, *, dir_fd=None):
    return _look("lstat", path, dir_fd=dir_fd)


def _look(function, path, **options):
    try:
        found = _files[function](path, **options)
    except OSError:
        bind = _bind_of(path)
        if bind is None or _is_visible(os.path.dirname(path)):
            raise
        return _status(bind)
    # WASI has no kind of file for a socket.
    if found.st_mode == 0 and _bind_of(path) is not None:
        return os.stat_result((_SOCKET, *found[1:]))
    return found


# The mode of a UNIX socket's file.
_SOCKET = _stat.S_IFSOCK | 0o755


def _bind_of(path):
    """Returns the number of the bind that made the file of a UNIX socket, or None."""
    return _sandsock.bind_of(os.fsencode(path)) if type(path) in (str, bytes) else None


def _is_visible(folder):
    """Returns whether the guest has a folder, so that it sees whether a file is there."""
    try:
        _files["stat"](folder or os.curdir)
    except OSError:
        return False
    return True


def fdopen(fd, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    if not _is_ours(fd):
        return _files["fdopen"](fd, mode, buffering, encoding, errors, newline, closefd, opener)
    # The file of `io` calls wasi-libc. This one calls the functions of `os`.
    import _pyio
    import io

    binary = "b" in mode
    if binary and (encoding or errors or newline):
        raise ValueError("binary mode doesn't take an encoding, errors or newline argument")
    if buffering == 0 and not binary:
        raise ValueError("can't have unbuffered text I/O")
    raw = _pyio.FileIO(fd, "".join(letter for letter in mode if letter not in "bt"), closefd)
    if buffering == 0:
        return raw
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    if raw.readable() and raw.writable():
        buffer = io.BufferedRWPair(raw, raw, size)
    else:
        buffer = (io.BufferedWriter if raw.writable() else io.BufferedReader)(raw, size)
    return buffer if binary else io.TextIOWrapper(buffer, io.text_encoding(encoding), errors, newline, buffering == 1)


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
