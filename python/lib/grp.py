"""The module `grp`. A guest has one group, of its one user."""

import operator
import os
import pwd
from collections import namedtuple


class struct_group(namedtuple("struct_group", "gr_name gr_passwd gr_gid gr_mem")):
    """An entry of the group database."""

    __slots__ = ()


struct_group.__module__ = __name__


def getgrall():
    """Return the entries of all groups."""
    return [struct_group(user.pw_name, "x", os.getgid(), []) for user in pwd.getpwall()]


def getgrgid(id):
    """Return the entry of a group id."""
    id = operator.index(id)
    for entry in getgrall():
        if entry.gr_gid == id:
            return entry
    raise KeyError(f"getgrgid(): gid not found: {id}")


def getgrnam(name):
    """Return the entry of a group name."""
    if not isinstance(name, str):
        raise TypeError(f"getgrnam() argument must be str, not {type(name).__name__}")
    for entry in getgrall():
        if entry.gr_name == name:
            return entry
    raise KeyError(f"getgrnam(): name not found: {name!r}")
