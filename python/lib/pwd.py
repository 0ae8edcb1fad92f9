"""The module `pwd`. A guest has one user, whose name and home come from its environment."""

import operator
import os
from collections import namedtuple


class struct_passwd(namedtuple("struct_passwd", "pw_name pw_passwd pw_uid pw_gid pw_gecos pw_dir pw_shell")):
    """An entry of the user database."""

    __slots__ = ()


struct_passwd.__module__ = __name__


def getpwall():
    """Return the entries of all users."""
    name = os.environ.get("LOGNAME") or os.environ.get("USER") or "root"
    return [struct_passwd(name, "x", os.getuid(), os.getgid(), "", os.environ.get("HOME") or "/", "/bin/sh")]


def getpwuid(uid, /):
    """Return the entry of a user id."""
    uid = operator.index(uid)
    for entry in getpwall():
        if entry.pw_uid == uid:
            return entry
    raise KeyError(f"getpwuid(): uid not found: {uid}")


def getpwnam(name, /):
    """Return the entry of a user name."""
    if not isinstance(name, str):
        raise TypeError(f"getpwnam() argument must be str, not {type(name).__name__}")
    for entry in getpwall():
        if entry.pw_name == name:
            return entry
    raise KeyError(f"getpwnam(): name not found: {name!r}")
