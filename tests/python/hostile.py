"""Calls everything of the extension with wrong arguments, from some threads at once. It ends with `ok` if each call ends, with a result
or an exception.

    hostile.py [SEED [COUNT]]
"""

import contextlib
import fcntl
import gc
import os
import random
import select
import sys
import threading
import warnings

import _sandsock
import _socket
import conversions

# These end the guest, give up its rights, or set up its interpreter.
SPARED = {"panic", "restrict", "start_threads", "configure", "set_flag", "wait_for_stdin"}
# These wait for ever, or print what the arguments say.
WAITING = {"_accept", "accept", "read", "write", "select", "poll", "getaddrinfo", "gethostbyaddr", "gethostbyname", "gethostbyname_ex",
           "getnameinfo", "sethostname", "connect", "connect_ex"}  # fmt: skip
OF_FILES = ("close", "dup", "dup2", "get_blocking", "get_inheritable", "set_blocking", "set_inheritable", "stat", "unlink", "pipe2")
POOLS = (conversions.ANY, conversions.ANY, conversions.NUMBERS, ["s", "s.fileno()", "s"])


def functions_of(module, names=None):
    """Returns the functions of a module that may be called with anything."""
    wanted = names or [name for name in vars(module) if not name.startswith("__")]
    return [f"{module.__name__}.{name}" for name in wanted if name not in SPARED | WAITING and callable(getattr(module, name))]


def methods_of(variable, kind):
    """Returns the methods of a type."""
    return [f"{variable}.{name}" for name in dir(kind) if name not in WAITING and callable(getattr(kind, name))]


CALLS = [
    *functions_of(_socket),
    *functions_of(_sandsock),
    *functions_of(os, OF_FILES),
    *functions_of(fcntl, ["fcntl", "ioctl", "flock", "lockf"]),
    *methods_of("s", _socket.socket),
    *methods_of("p", type(select.poll())),
    *methods_of("e", select.epoll),
]


def attack(seed, count):
    """Makes a number of calls."""
    rng = random.Random(seed)
    for _ in range(count):
        s, peer = _socket.socketpair()
        s.setblocking(False)
        names = {**vars(conversions), "fcntl": fcntl, "os": os, "select": select, "_sandsock": _sandsock, "_socket": _socket, "s": s}
        names.update(p=select.poll(), e=select.epoll())
        words = [rng.choice(rng.choice(POOLS)) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4, 6)))]
        # The standard streams stay as they are.
        expression = f"{rng.choice(CALLS)}({', '.join(words)})"
        if not expression.startswith(("os.", "_sandsock.", "fcntl.", "_socket.close", "_socket.dup")) or "s.fileno()" in words[:1]:
            with contextlib.suppress(Exception):
                eval(expression, names)
        for one in (s, peer):
            with contextlib.suppress(OSError):
                one.close()
        _socket.setdefaulttimeout(None)


def main():
    """Makes the calls in some threads."""
    seed, count = (int(word) for word in (*sys.argv[1:], 1, 4000)[:2])
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    threads = [threading.Thread(target=attack, args=(seed + at, count // 4)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    print("ok")


main()
