"""Bytecode: that of the installation's modules, beside them, and that of a program's own modules, in a folder of its own.

A program writes neither of them. `sandsock python-setup` and `sandsock python` start instances of the runner that compile, and in
which nothing else runs. In a program's run the folders are read-only.
"""

import os
from collections.abc import Callable, Iterable
from importlib import _bootstrap_external as external
from importlib.util import source_hash

# Where the bytecode of the program's own modules is. `sandsock python` has the same name.
OWN = "/python-cache"

beside = external.cache_from_source


def own(path: str) -> str:
    """Returns the place of the bytecode of one of the program's own modules, whose path is absolute."""
    return OWN + beside(path)


def use(installation: tuple[str, ...]) -> None:
    """Lets imports find the bytecode of the program's own modules. That of the installation's modules stays where it is."""

    def cache_from_source(path, debug_override=None, *, optimization=None):
        place = beside(path, debug_override, optimization=optimization)
        is_own = place.startswith("/") and not place.startswith(tuple(f"{folder}/" for folder in installation))
        return OWN + place if is_own else place

    external.cache_from_source = cache_from_source


def compile_all(folders: list[str]) -> None:
    """Writes the bytecode of all modules in the folders. It is never compared with the source again, which nobody changes."""
    for top in folders:
        for folder, _, files in os.walk(top):
            for name in files:
                if name.endswith(".py"):
                    compile_file(os.path.join(folder, name), beside, checked=False)


def compile_listed(paths: Iterable[str]) -> None:
    """Writes the bytecode of a program's modules, one path a line. An import compares it with the source by a hash."""
    for line in paths:
        try:
            compile_file(line.rstrip("\n"), own, checked=True)
        except Exception:
            # The program gets the error if it imports the module: some are for other versions of Python, or are templates.
            pass


def compile_file(path: str, place: Callable[[str], str], checked: bool) -> None:
    """Writes the bytecode of one module. py_compile fails if a file takes more than one write, as large ones do here."""
    with open(path, "rb") as file:
        source = file.read()
    code = compile(source, path, "exec", dont_inherit=True)
    target = place(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    # The file gets its name when it is whole, because a program may be reading it, and another instance may write it too.
    new = f"{target}.{os.urandom(4).hex()}.new"
    with open(new, "wb") as file:
        file.write(external._code_to_hash_pyc(code, source_hash(source), checked=checked))
    os.replace(new, target)
