"""The module `fcntl`, for a guest's sockets. On other files it knows the flags that `os` knows, and no locks."""

import errno
import operator
import os

import _sandsock

# The numbers are Linux's.
F_DUPFD = 0
F_GETFD = 1
F_SETFD = 2
F_GETFL = 3
F_SETFL = 4
F_GETLK = 5
F_SETLK = 6
F_SETLKW = 7
F_SETOWN = 8
F_GETOWN = 9
F_SETSIG = 10
F_GETSIG = 11
F_RDLCK = 0
F_WRLCK = 1
F_UNLCK = 2
F_SETLEASE = 1024
F_GETLEASE = 1025
F_NOTIFY = 1026
F_DUPFD_CLOEXEC = 1030
F_SETPIPE_SZ = 1031
F_GETPIPE_SZ = 1032
F_ADD_SEALS = 1033
F_GET_SEALS = 1034
FD_CLOEXEC = 1
LOCK_SH = 1
LOCK_EX = 2
LOCK_NB = 4
LOCK_UN = 8
FASYNC = 0x2000

# Linux's O_NONBLOCK, for programs that write the number. os.O_NONBLOCK is WASI's.
_LINUX_NONBLOCK = 0o4000

_LIMIT = 1024


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def _fileno(fd) -> int:
    """Returns the number of an argument, as PyObject_AsFileDescriptor does."""
    if not isinstance(fd, int):
        method = getattr(fd, "fileno", None)
        if method is None:
            raise TypeError("argument must be an int, or have a fileno() method.")
        fd = method()
        if not isinstance(fd, int):
            raise TypeError("fileno() returned a non-integer")
    if fd < 0:
        raise ValueError(f"file descriptor cannot be a negative integer ({fd})")
    if fd > 0x7FFFFFFF:
        raise OverflowError("Python int too large to convert to C int")
    return int(fd)


def fcntl(fd, cmd, arg=0, /):
    """Perform the operation `cmd` on file descriptor fd: F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD or F_DUPFD_CLOEXEC."""
    fd = _fileno(fd)
    cmd = operator.index(cmd)
    if isinstance(arg, (str, bytes, bytearray, memoryview)):
        # Only locks, owners and leases have a structure.
        os.get_inheritable(fd)
        raise _error(errno.EINVAL)
    arg = operator.index(arg)
    match cmd:
        case 0 | 1030:
            # The numbers of this guest's sockets are above any minimum that a program asks for.
            new = os.dup(fd)
            if new < arg:
                os.close(new)
                raise _error(errno.EINVAL)
            os.set_inheritable(new, cmd == F_DUPFD)
            return new
        case 1:
            return 0 if os.get_inheritable(fd) else FD_CLOEXEC
        case 2:
            os.set_inheritable(fd, not arg & FD_CLOEXEC)
            return 0
        case 3:
            # A socket is open for both directions.
            mode = os.O_RDWR if _sandsock.is_open(fd) else os.O_RDONLY
            return mode if os.get_blocking(fd) else mode | os.O_NONBLOCK
        case 4:
            os.set_blocking(fd, not arg & (os.O_NONBLOCK | _LINUX_NONBLOCK))
            return 0
    os.get_inheritable(fd)
    raise _error(errno.EINVAL)


def ioctl(fd, request, arg=0, mutate_flag=True, /):
    """Perform the operation `request` on a socket. The policy decides which requests need a grant."""
    fd = _fileno(fd)
    request = operator.index(request) & 0xFFFFFFFF
    if isinstance(arg, str):
        arg = arg.encode()
    if isinstance(arg, int):
        if not _sandsock.is_open(fd):
            os.get_inheritable(fd)
            raise _error(errno.ENOTTY)
        # All requests of sockets have a structure, and a number is no address of one.
        raise _error(errno.EFAULT)
    view = memoryview(arg).cast("B")
    mutate = not view.readonly and mutate_flag
    if not mutate and len(view) > _LIMIT:
        raise ValueError("ioctl string arg too long")
    if not _sandsock.is_open(fd):
        os.get_inheritable(fd)
        raise _error(errno.ENOTTY)
    value, result = _sandsock.ioctl(fd, request, bytes(view))
    result = result[: len(view)]
    if mutate:
        view[: len(result)] = result
        return value
    return result + bytes(view[len(result) :])


def flock(fd, operation, /):
    """Perform the lock operation on file descriptor fd. WASI has no locks."""
    fd = _fileno(fd)
    operator.index(operation)
    os.get_inheritable(fd)
    raise _error(errno.ENOLCK)


def lockf(fd, cmd, len=0, start=0, whence=0, /):
    """Lock a part of a file. WASI has no locks."""
    fd = _fileno(fd)
    if not operator.index(cmd) & (LOCK_SH | LOCK_EX | LOCK_UN):
        raise ValueError("unrecognized lockf argument")
    os.get_inheritable(fd)
    raise _error(errno.ENOLCK)
