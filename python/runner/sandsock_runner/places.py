"""The places of the snapshot's modules. The build has the folders of the installation under other names than a run."""

import _imp
import gc
import os
import sys
import types

from .launch import STAND_INS, STDLIB


def rename() -> None:
    """Gives modules and their code the paths that they have in a run, so that tracebacks show their lines."""
    places = {os.path.dirname(sys.modules["_sandsock_os"].__file__): STAND_INS, os.path.dirname(os.__file__): STDLIB}

    def new(path: str) -> str:
        folder = next((folder for folder in places if path.startswith(f"{folder}/")), None)
        return places[folder] + path.removeprefix(folder) if folder else path

    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and new(path) != path:
            module.__file__ = new(path)
            if module.__spec__ is not None:
                module.__spec__.origin = module.__file__
    for function in gc.get_objects():
        if isinstance(function, types.FunctionType):
            _imp._fix_co_filename(function.__code__, new(function.__code__.co_filename))
