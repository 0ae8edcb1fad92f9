"""The runner's arguments, which are those of the command `python3`.

The option -X has names of the runner's own, which `sandsock python` sets: `sandsock-cwd`, `sandsock-file`, `sandsock-source`,
`sandsock-site`, `sandsock-bytecode`, `sandsock-compile` and `linux`.
"""

import os
import sys
from dataclasses import dataclass, field

from . import end

# python3 --help: letters without a value. Most have the name of their flag in sys.flags.
LETTERS = {
    "b": "bytes_warning",
    "B": "dont_write_bytecode",
    "d": "debug",
    "E": "ignore_environment",
    "i": "interactive",
    "I": "isolated",
    "O": "optimize",
    "P": "safe_path",
    "q": "quiet",
    "s": "no_user_site",
    "S": "no_site",
    "u": "unbuffered",
    "V": "version",
    "x": "skip_first_line",
}


@dataclass
class Options:
    """A parsed command line."""

    kind: str = "stdin"
    """What runs: `file`, `module`, `code` or `stdin`."""
    target: str = "-"
    """The script's file as it was given, the module's name, or the code."""
    args: list[str] = field(default_factory=list)
    """The arguments after it."""
    flags: dict[str, int] = field(default_factory=dict)
    """How often each letter was given, by its name in sys.flags."""
    warnings: list[str] = field(default_factory=list)
    """The values of -W."""
    implementation: dict[str, str | bool] = field(default_factory=dict)
    """The values of -X by their names."""
    sites: list[str] = field(default_factory=list)
    """The folders of packages, in their order."""

    def flag(self, name: str) -> int:
        """Returns how often a letter was given."""
        return self.flags.get(name, 0)

    def number(self, name: str) -> int:
        """Returns what one of the variables PYTHON* sets a flag to. CPython: _Py_get_env_flag. A text is 1."""
        value = self.variable(name)
        return int(value) if value and value.isdecimal() else int(value is not None)

    def variable(self, name: str) -> str | None:
        """Returns one of the variables PYTHON*, unless an option ignores them or it is empty."""
        ignored = self.flag("ignore_environment") or self.flag("isolated")
        return (os.environ.get(name) or None) if not ignored else None


def parse() -> Options:
    """Parses the arguments of this instance. A wrong one ends the run with python3's status."""
    options, words = Options(), sys.argv[1:]
    while words:
        word = words[0]
        if word == "-" or not word.startswith("-"):
            break
        del words[0]
        if word == "--":
            break
        for at, letter in enumerate(word[1:], start=1):
            if letter in LETTERS:
                options.flags[LETTERS[letter]] = options.flag(LETTERS[letter]) + 1
                continue
            if letter not in "cmWX":
                end.usage(f"unknown option -{word[1:]}")
            if not word[at + 1 :] and not words:
                end.usage(f"argument expected for the -{letter} option")
            value = word[at + 1 :] or words.pop(0)
            if letter in "cm":
                options.kind = "code" if letter == "c" else "module"
                options.target, options.args = value, words
                return options
            if letter == "W":
                options.warnings.append(value)
            else:
                implementation(options, value)
            break
    if words:
        options.target, options.args = words[0], words[1:]
        options.kind = "stdin" if options.target == "-" else "file"
    return options


def implementation(options: Options, value: str) -> None:
    """Reads the value of one -X."""
    name, equals, rest = value.partition("=")
    if name == "sandsock-site":
        options.sites.append(rest)
    else:
        options.implementation[name] = rest if equals else True
