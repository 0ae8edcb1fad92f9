"""Compiles the modules of the installation, for `sandsock python-setup`. In a program's run their folders are read-only."""

import os
from importlib import _bootstrap_external as external
from importlib.util import cache_from_source, source_hash


def compile_all(folders: list[str]) -> None:
    """Writes the bytecode of all modules in the folders. It is never compared with the source again, which nobody changes."""
    for top in folders:
        for folder, _, files in os.walk(top):
            for name in files:
                if name.endswith(".py"):
                    compile_file(os.path.join(folder, name))


def compile_file(path: str) -> None:
    """Writes the bytecode of one module. py_compile fails if a file takes more than one write, as large ones do here."""
    with open(path, "rb") as file:
        source = file.read()
    code = compile(source, path, "exec", dont_inherit=True)
    target = cache_from_source(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(external._code_to_hash_pyc(code, source_hash(source), checked=False))
