"""Runs a program as `python3` does: its names, its first folder of modules, its tracebacks and its status."""

import code
import linecache
import os
import runpy
import sys
import types
import warnings
from importlib.machinery import SourceFileLoader

import _sandsock_os

from . import bytecode, end, reasons, streams
from .options import Options

# The folders of the installation, under the names that `sandsock python` gives them. The build has the first one by the same name.
STDLIB = "/python"
STAND_INS = "/python-lib"

# python3 finds these in its own folder before the script's can matter: they are imported at its start.
FIRST = frozenset(sys.builtin_module_names) | {
    "abc", "codecs", "encodings", "genericpath", "io", "os", "posixpath", "site", "stat", "zipimport", "_collections_abc", "_sitebuiltins"
}  # fmt: skip


def main(options: Options) -> None:
    """Runs the program to its end. An end with another status than 0 does not return."""
    streams.open_all(bool(options.flag("unbuffered") or options.variable("PYTHONUNBUFFERED")), options.variable("PYTHONIOENCODING"))
    settings(options)
    try:
        status = 0
        run(options)
    except BaseException as error:
        reasons.add(error)
        status = end.of_exception(without_runner(error))
    status = end.finish(status)
    if status:
        end.leave(status)


def settings(options: Options) -> None:
    """Sets what the interpreter's options and environment decide."""
    sys.executable = sys._base_executable = "python3"
    sys.orig_argv = ["python3"] + [word for word in sys.argv[1:] if not word.startswith("-Xsandsock-")]
    # A guest can't write to the folders of its code.
    sys.dont_write_bytecode = True
    sys._xoptions.update(options.implementation)
    words = [word for word in (options.variable("PYTHONWARNINGS") or "").split(",") if word] + options.warnings
    sys.warnoptions[:] = words
    warnings._processoptions(words)
    if options.implementation.get("linux"):
        _sandsock_os.as_linux()
    directory = options.implementation.get("sandsock-cwd")
    if directory:
        try:
            os.chdir(directory)
        except OSError:
            # No folder that the guest has leads there.
            pass
    paths = (options.variable("PYTHONPATH") or "").split(os.pathsep)
    sys.path[:] = [path for path in paths if path] + [STAND_INS, STDLIB] + options.sites


def first_folder(options: Options, folder: str) -> None:
    """Puts the program's folder before all others, and lets its modules replace those of the snapshot."""
    if not (options.flag("safe_path") or options.flag("isolated") or options.variable("PYTHONSAFEPATH")):
        sys.path.insert(0, folder)
    loaded = {name.partition(".")[0] for name in sys.modules} - FIRST
    for path in sys.path:
        if path in (STAND_INS, STDLIB):
            break
        try:
            names = os.listdir(path or ".")
        except OSError:
            continue
        own = {name.partition(".")[0] for name in names if is_module(path, name)} & loaded
        for name in [name for name in sys.modules if name.partition(".")[0] in own]:
            del sys.modules[name]


def is_module(folder: str, name: str) -> bool:
    """Returns whether an entry of a folder is a module or a package. A folder of data is neither."""
    stem, dot, ending = name.partition(".")
    if dot:
        return ending in ("py", "pyc")
    return stem in sys.modules and os.path.exists(os.path.join(folder, name, "__init__.py"))


def run(options: Options) -> None:
    """Runs the program in a fresh `__main__`, or does what the set-up asks for."""
    if options.implementation.get("sandsock-compile"):
        return bytecode.compile_all([STAND_INS, STDLIB])
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__builtins__ = sys.modules["builtins"]
    sys.argv = [options.target, *options.args]
    match options.kind:
        case "code":
            sys.argv[0] = "-c"
            first_folder(options, "")
            text = options.target + "\n"
            linecache.cache["<string>"] = (len(text), None, text.splitlines(True), "<string>")
            exec(compile(text, "<string>", "exec", dont_inherit=True), vars(main))
        case "module":
            sys.argv[0] = "-m"
            first_folder(options, os.getcwd())
            # runpy warns of a module that was imported before it is run. python3 has none of the snapshot's.
            for name in (options.target, f"{options.target}.__main__"):
                sys.modules.pop(name, None)
            runpy._run_module_as_main(options.target)
        case "stdin":
            first_folder(options, "")
            if sys.stdin is None:
                return
            if sys.stdin.isatty():
                code.interact(local=vars(main), exitmsg="")
            else:
                exec(compile(sys.stdin.buffer.read(), "<stdin>", "exec", dont_inherit=True), vars(main))
        case _:
            run_file(options, main)


def run_file(options: Options, main: types.ModuleType) -> None:
    """Runs a script, or the `__main__` of a folder or an archive."""
    path = options.implementation.get("sandsock-file") or os.path.abspath(options.target)
    try:
        with open(path, "rb") as file:
            source = file.read()
    except IsADirectoryError:
        source = None
    except OSError as error:
        end.usage(f"can't open file '{path}': [Errno {error.errno}] {error.strerror}")
    # CPython: what an importer can read is run as a package's __main__ is.
    if source is None or source.startswith(b"PK\x03\x04"):
        sys.path.insert(0, path)
        runpy._run_module_as_main("__main__", alter_argv=False)
        return
    first_folder(options, os.path.dirname(path))
    main.__file__ = path
    main.__loader__ = SourceFileLoader("__main__", path)
    exec(compile(source, path, "exec", dont_inherit=True), vars(main))


def without_runner(error: BaseException) -> BaseException:
    """Removes the runner's own frames from the top of a traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__package__") == __package__:
        trace = trace.tb_next
    return error.with_traceback(trace)
