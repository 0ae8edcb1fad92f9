"""Adds to an error that ends a program, if the sandbox is the reason for it. CPython prints notes after the error's text."""

import errno
import os
import signal
import sys

import _sandsock

# The endings of files with native code.
NATIVE = (".so", ".pyd", ".dylib")

# Names of `os` and `signal` that python3 has on Linux, for other processes and their signals.
OF_PROCESSES = frozenset({
    "alarm", "execl", "execle", "execlp", "execv", "execve", "execvp", "fork", "forkpty", "kill", "killpg", "pause", "pidfd_open", "popen",
    "posix_spawn", "posix_spawnp", "pthread_kill", "setitimer", "setpgid", "setsid", "spawnl", "spawnv", "system", "wait", "wait3", "wait4",
    "waitid", "waitpid",
})  # fmt: skip
NO_PROCESSES = "a program in the sandbox has no other processes and no signals but that of Ctrl-C"

# The modules that install packages.
INSTALLERS = ("ensurepip", "pip", "venv")

# What a program was refused and no traceback has shown is listed up to this number.
LISTED = 20


def add(error: BaseException) -> None:
    """Adds a note to the error, or nothing."""
    reason = of_error(error)
    if reason:
        error.add_note(f"sandsock: {reason}")


def of_error(error: BaseException) -> str | None:
    """Returns what about the sandbox is the reason for an error, or None."""
    match error:
        case ModuleNotFoundError(name=str(name)) if name:
            return of_module(name)
        case ImportError(path=str(path)) if path.endswith(NATIVE):
            return text_of_native_code(path)
        case ImportError(name=str(package), name_from=str(name)):
            return of_native_code(package, name)
        case FileNotFoundError(filename=str(path)):
            there = os.path.isdir(os.path.dirname(os.path.abspath(path)))
            return None if there else "the program has only the folders of its code and those of --dir"
        case OSError(errno=errno.EPERM | errno.EROFS, filename=str(path)):
            return "the program can't write there; give it a folder for its data with --dir"
        case OSError(errno=errno.ENOTSUP, strerror=str(text)) if text.endswith("does not support processes."):
            return NO_PROCESSES
        case KeyError() if type(error).__name__ == "ZoneInfoNotFoundError":
            return "time zones are files of the system; give them with --dir /usr/share/zoneinfo:ro"
        case AttributeError(name=str(name), obj=obj) if (obj is os or obj is signal) and name in OF_PROCESSES:
            return NO_PROCESSES
        case RuntimeError(args=("can't start new thread",)):
            return "the limit of threads is --limit threads=N, by default 1024"
    return None


def of_native_code(package: str, name: str) -> str | None:
    """Returns that a module of a package is there as native code, or None."""
    for folder in getattr(sys.modules.get(package), "__path__", ()) if package else sys.path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in entries:
            if entry.startswith(f"{name}.") and entry.endswith(NATIVE):
                return text_of_native_code(os.path.join(folder, entry))
    return None


def text_of_native_code(path: str) -> str:
    return f"{path} is native code, and the sandbox runs packages of Python alone"


def of_module(name: str) -> str:
    """Returns why a module is not there."""
    package, _, last = name.rpartition(".")
    if reason := of_native_code(package, last):
        return reason
    if name in INSTALLERS:
        return "packages are installed outside of the sandbox, with `pip install --target DIR`, and a program gets them by --site DIR"
    if name in ("_multiprocessing", "_posixsubprocess", "_posixshmem"):
        return NO_PROCESSES
    if name in sys.stdlib_module_names:
        return "this module of the standard library is not part of the sandbox's Python"
    return "modules come from the program's folder and from those of --site DIR"


def of_refusals(shown: str) -> list[str]:
    """Returns what the policy has refused the program, without that in `shown`. Its handlers may have hidden the reason for its end."""
    return [text for text in _sandsock.refusals(LISTED) if text not in shown]
