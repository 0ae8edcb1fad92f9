"""What the options and the variables of `python3` set in the interpreter: `sys.flags` and its own settings.

The flags were made before the snapshot. The compiler and others look at the interpreter's settings, which the same names have.
"""

import builtins
import sys
import warnings

import _sandsock

from .options import Options

# CPython: PyConfig_Set. Flags of the first kind are settings that it can change. It changes the flag too.
SETTINGS = {
    "bytes_warning": "bytes_warning",
    "debug": "parser_debug",
    "inspect": "inspect",
    "interactive": "interactive",
    "optimize": "optimization_level",
    "quiet": "quiet",
    "verbose": "verbose",
}
# Modules of Python look at these flags.
PLAIN = ("dont_write_bytecode", "ignore_environment", "isolated", "no_site", "no_user_site")
SWITCHES = ("dev_mode", "safe_path")
# python3's variables, and the flags that they set as their letters do.
VARIABLES = {
    "debug": "PYTHONDEBUG",
    "dont_write_bytecode": "PYTHONDONTWRITEBYTECODE",
    "inspect": "PYTHONINSPECT",
    "no_user_site": "PYTHONNOUSERSITE",
    "optimize": "PYTHONOPTIMIZE",
    "safe_path": "PYTHONSAFEPATH",
    "verbose": "PYTHONVERBOSE",
}
# What `site` adds for the interactive interpreter.
OF_SITE = ("copyright", "credits", "exit", "help", "license", "quit")


def apply(options: Options) -> None:
    """Sets the flags, the settings and the filters of warnings."""
    values = wanted(options)
    for name, setting in SETTINGS.items():
        if values[name] != getattr(sys.flags, name):
            _sandsock.configure(setting, values[name])
    names = type(sys.flags).__match_args__
    for name in PLAIN + SWITCHES:
        _sandsock.set_flag(names.index(name), values[name])
    if values["optimize"]:
        vars(builtins)["__debug__"] = False
    if values["no_site"]:
        for name in OF_SITE:
            vars(builtins).pop(name, None)
    warn(options, values)
    extras(options)


def wanted(options: Options) -> dict[str, int]:
    """Returns the flags by their names."""
    values = {name: options.flag(name) for name in (*SETTINGS, *PLAIN, *SWITCHES)}
    for name, variable in VARIABLES.items():
        values[name] = max(values[name], options.number(variable))
    for name in PLAIN:
        values[name] = min(values[name], 1)
    # CPython: preconfig and config_read. -i looks at the program's variables afterwards, and -I stands for three others.
    values["inspect"] = max(values["inspect"], values["interactive"])
    if values["isolated"]:
        values["ignore_environment"] = values["no_user_site"] = values["safe_path"] = 1
    values["dev_mode"] = bool(options.implementation.get("dev") or options.variable("PYTHONDEVMODE"))
    values["safe_path"] = bool(values["safe_path"])
    return values


def warn(options: Options, values: dict[str, int]) -> None:
    """Sets the filters of warnings, of which the last ones come first. CPython: config_init_warnoptions."""
    words = ["default"] if values["dev_mode"] else []
    words += [word for word in (options.variable("PYTHONWARNINGS") or "").split(",") if word]
    words += options.warnings
    if values["bytes_warning"]:
        words.append("error::BytesWarning" if values["bytes_warning"] > 1 else "default::BytesWarning")
    sys.warnoptions[:] = words
    warnings._processoptions(words)


def extras(options: Options) -> None:
    """Does what some names of -X ask for. The others are in sys._xoptions alone."""
    digits = options.implementation.get("int_max_str_digits") or options.variable("PYTHONINTMAXSTRDIGITS")
    if isinstance(digits, str):
        try:
            sys.set_int_max_str_digits(int(digits))
        except ValueError as error:
            from . import end

            end.usage(f"-X int_max_str_digits: invalid limit; {error}")
    cpus = options.implementation.get("cpu_count") or options.variable("PYTHON_CPU_COUNT")
    if isinstance(cpus, str) and cpus.isdecimal() and int(cpus) > 0:
        _sandsock.configure("cpu_count", int(cpus))
    frames = options.implementation.get("tracemalloc") or options.variable("PYTHONTRACEMALLOC")
    if frames:
        import tracemalloc

        tracemalloc.start(int(frames) if isinstance(frames, str) and frames.isdecimal() else 1)
