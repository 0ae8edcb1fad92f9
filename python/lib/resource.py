"""The module `resource`. The command limits a guest (`--limit`), which can neither see nor change that."""

import errno
import operator
import os
import time
from collections import namedtuple

error = OSError

# Linux's numbers.
RLIM_INFINITY = -1
RLIMIT_CPU = 0
RLIMIT_FSIZE = 1
RLIMIT_DATA = 2
RLIMIT_STACK = 3
RLIMIT_CORE = 4
RLIMIT_RSS = 5
RLIMIT_NPROC = 6
RLIMIT_NOFILE = RLIMIT_OFILE = 7
RLIMIT_MEMLOCK = 8
RLIMIT_AS = 9
RLIMIT_MSGQUEUE = 12
RLIMIT_NICE = 13
RLIMIT_RTPRIO = 14
RLIMIT_RTTIME = 15
RLIMIT_SIGPENDING = 11
RUSAGE_SELF = 0
RUSAGE_CHILDREN = -1
RUSAGE_THREAD = 1

# The default of the limit `descriptors`.
_limits = {RLIMIT_NOFILE: (1024, 1024)}

_PAGE = 65536


class struct_rusage(
    namedtuple(
        "struct_rusage",
        "ru_utime ru_stime ru_maxrss ru_ixrss ru_idrss ru_isrss ru_minflt ru_majflt ru_nswap ru_inblock ru_oublock ru_msgsnd ru_msgrcv"
        " ru_nsignals ru_nvcsw ru_nivcsw",
    )
):
    """The result of getrusage. Everything but the time is 0."""

    __slots__ = ()


struct_rusage.__module__ = __name__


def _number(resource) -> int:
    resource = operator.index(resource)
    if not 0 <= resource < 16:
        raise ValueError("invalid resource specified")
    return resource


def getrlimit(resource, /):
    """Return the soft and the hard limit of a resource."""
    return _limits.get(_number(resource), (RLIM_INFINITY, RLIM_INFINITY))


def setrlimit(resource, limits, /):
    """Keep a soft and a hard limit, which must not be above the present hard limit. They have no effect."""
    resource = _number(resource)
    soft, hard = tuple(limits)
    soft, hard = operator.index(soft), operator.index(hard)

    def size(limit: int) -> float:
        return float("inf") if limit == RLIM_INFINITY else limit

    if size(soft) > size(hard):
        raise ValueError("current limit exceeds maximum limit")
    if size(hard) > size(getrlimit(resource)[1]):
        raise ValueError("not allowed to raise maximum limit")
    _limits[resource] = soft, hard


def prlimit(pid, resource, limits=None, /):
    """As getrlimit and setrlimit. A guest has no other processes."""
    if operator.index(pid) != 0:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    old = getrlimit(resource)
    if limits is not None:
        setrlimit(resource, limits)
    return old


def getrusage(who, /):
    """Return the time that the guest has used."""
    if operator.index(who) not in (RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD):
        raise ValueError("invalid who parameter")
    # The clock of a snapshot can begin below 0.
    used = 0.0 if who == RUSAGE_CHILDREN else max(0.0, time.process_time())
    return struct_rusage(used, 0.0, *[0] * 14)


def getpagesize():
    """Return the size of a page of memory."""
    return _PAGE
