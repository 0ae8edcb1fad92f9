"""Puts the modules of the extension in place of the interpreter's own `_socket` and `select`. This comes before the first import of
`socket`."""

import importlib
import sys
from importlib.machinery import ExtensionFileLoader, PathFinder
from importlib.util import module_from_spec, spec_from_file_location

# One file has them all.
MODULES = ("_socket", "_ssl", "select", "_sandsock")


def install() -> None:
    """Loads the modules. The import system by itself would find the built-in ones first."""
    path = PathFinder.find_spec("_socket").origin
    for name in MODULES:
        loader = ExtensionFileLoader(name, path)
        module = module_from_spec(spec_from_file_location(name, path, loader=loader))
        sys.modules[name] = module
        loader.exec_module(module)
    # `os` and `errno` get what they lack before any module copies their names.
    importlib.import_module("_sandsock_os").install()
    importlib.import_module("_sandsock_hashlib").install()


install()
