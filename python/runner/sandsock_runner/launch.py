"""Runs a program as `python3` does: its names, its first folder of modules, its tracebacks and its status."""

import code
import linecache
import os
import runpy
import sys
import traceback
import types
from importlib.machinery import SourceFileLoader

import _sandsock_os

from . import bytecode, end, flags, reasons, streams
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
    status = attempt(options, run)
    if options.kind != "stdin" and inspects() and is_interactive(options):
        status = attempt(options, interact)
    status = end.finish(status)
    if status:
        end.leave(status)


def attempt(options: Options, step) -> int:
    """Runs a step of the program. Returns its status, after it has reported the exception that ended it."""
    try:
        step(options)
        return 0
    except BaseException as error:
        reasons.add(error)
        status = end.of_exception(without_runner(error), step is run and inspects())
        if status:
            # SystemExit shows its text alone, and not the errors before it.
            shown = [str(error.code)] if isinstance(error, SystemExit) else traceback.format_exception(error)
            end.report(reasons.of_refusals("".join(shown)))
        return status


def inspects() -> bool:
    """Returns whether statements follow the program. CPython: the program may have set the variable itself."""
    return bool(sys.flags.inspect or (not sys.flags.ignore_environment and os.environ.get("PYTHONINSPECT")))


def is_interactive(options: Options) -> bool:
    """Returns whether standard input has statements to read one by one."""
    return sys.stdin is not None and bool(options.flag("interactive") or sys.stdin.isatty())


def interact(options: Options) -> None:
    """Reads and runs statements."""
    banner = None if options.kind == "stdin" and not sys.flags.quiet else ""
    code.interact(banner=banner, local=vars(sys.modules["__main__"]), exitmsg="")


def settings(options: Options) -> None:
    """Sets what the interpreter's options and environment decide."""
    sys.executable = sys._base_executable = "python3"
    sys.orig_argv = ["python3"] + [word for word in sys.argv[1:] if not word.startswith("-Xsandsock-")]
    # A guest can't write to the folders of its code.
    sys.dont_write_bytecode = True
    sys._xoptions.update({name: value for name, value in options.implementation.items() if not name.startswith("sandsock-")})
    flags.apply(options)
    if options.implementation.get("sandsock-bytecode"):
        bytecode.use((STAND_INS, STDLIB))
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
    sites = [] if sys.flags.no_site else options.sites
    sys.path[:] = [path for path in paths if path] + [STAND_INS, STDLIB] + sites


def first_folder(options: Options, folder: str) -> None:
    """Puts the program's folder before all others, and lets its modules replace those of the snapshot."""
    if not sys.flags.safe_path:
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
    match options.implementation.get("sandsock-compile"):
        case True:
            return bytecode.compile_all([STAND_INS, STDLIB])
        case str():
            return bytecode.compile_listed(sys.stdin)
    if options.flag("version"):
        long = options.flag("version") > 1
        return print("Python", sys.version if long else sys.version.partition(" ")[0])
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
            try:
                runpy._run_module_as_main(options.target)
            except SystemExit as error:
                # CPython: runpy.
                if isinstance(error.code, str) and error.code.endswith(f": No module named {options.target}"):
                    error.code += f"\nsandsock: {reasons.of_module(options.target)}"
                raise
        case "stdin":
            first_folder(options, "")
            if sys.stdin is None:
                return
            if is_interactive(options):
                interact(options)
            else:
                exec(compile(sys.stdin.buffer.read(), "<stdin>", "exec", dont_inherit=True), vars(main))
        case _:
            run_file(options, main)


def run_file(options: Options, main: types.ModuleType) -> None:
    """Runs a script, or the `__main__` of a folder or an archive."""
    path = options.implementation.get("sandsock-file") or os.path.abspath(options.target)
    source = options.implementation.get("sandsock-source")
    if source is not None:
        # The command has read the script from a pipe. There is no file that a traceback could show.
        linecache.cache[path] = (len(source), None, source.splitlines(True), path)
        source = source.encode()
    else:
        source = read_script(path)
    # CPython: what an importer can read is run as a package's __main__ is.
    if source is None or source.startswith(b"PK\x03\x04"):
        sys.path.insert(0, path)
        runpy._run_module_as_main("__main__", alter_argv=False)
        return
    first_folder(options, os.path.dirname(path))
    if options.flag("skip_first_line"):
        # CPython: the numbers of the lines stay.
        source = b"\n" + source.partition(b"\n")[2]
    main.__file__ = path
    main.__loader__ = SourceFileLoader("__main__", path)
    exec(compile(source, path, "exec", dont_inherit=True), vars(main))


def read_script(path: str) -> bytes | None:
    """Returns the contents of a script, or None for a folder."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except IsADirectoryError:
        return None
    except OSError as error:
        end.usage(f"can't open file '{path}': [Errno {error.errno}] {error.strerror}")


def without_runner(error: BaseException) -> BaseException:
    """Removes the runner's own frames from the top of a traceback."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__package__") == __package__:
        trace = trace.tb_next
    return error.with_traceback(trace)
