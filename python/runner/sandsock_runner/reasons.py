"""Adds to an error that ends a program, if the sandbox is the reason for it. CPython prints notes after the error's text."""

import os
import sys

# The endings of files with native code.
NATIVE = (".so", ".pyd", ".dylib")


def add(error: BaseException) -> None:
    """Adds a note to the error, or nothing."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        reason = of_module(error.name)
    elif isinstance(error, FileNotFoundError) and isinstance(error.filename, str):
        there = os.path.isdir(os.path.dirname(os.path.abspath(error.filename)))
        reason = None if there else "the program has only the folders of its code and those of --dir"
    else:
        return
    if reason:
        error.add_note(f"sandsock: {reason}")


def of_module(name: str) -> str | None:
    """Returns why a module is not there."""
    package, _, last = name.rpartition(".")
    folders = getattr(sys.modules.get(package), "__path__", ()) if package else sys.path
    for folder in folders:
        try:
            entries = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in entries:
            if entry.startswith(f"{last}.") and entry.endswith(NATIVE):
                return f"{os.path.join(folder, entry)} is native code, and the sandbox runs packages of Python alone"
    if name in sys.stdlib_module_names:
        return "this module of the standard library is not part of the sandbox's Python"
    return None
