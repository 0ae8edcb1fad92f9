"""Compares two outputs of conversions.py: CPython's own on this machine, and that in the sandbox. Prints each difference that has no
known reason, and a count.

    conversions_compare.py VERSION OURS THEIRS

VERSION is that of the machine's CPython, for example 3.13. The sandbox has 3.14.
"""

import re
import sys

# What changed after CPython 3.13: the call, the outcome there, the outcome in 3.14.
AFTER_3_13 = [
    # These have converters of their own since 3.14.
    (r"_socket\.(htonl|htons|ntohl|ntohs|if_indextoname)\(", r"", r""),
    # A unit of several values takes a tuple alone.
    (r"", r"TypeError: \('\[sendmsg\(\) ancillary data items\]\(\) .*sequence", r"TypeError: .*tuple|TypeError: .*not str"),
    # Unsigned units, and the port of getaddrinfo, take __index__.
    (r"Index\(|Number\(", r"TypeError: \('argument \d must be int, not Index'", r""),
    (r"_socket\.getaddrinfo\(", r"OSError: \('Int or String expected'", r""),
    # The events of a poll object take __index__, and have other texts.
    (r"p\.(register|modify)\(", r"TypeError: \('an integer|ValueError: \('value must|OverflowError: \('Python int too large", r""),
    (r"NotImplemented", r"", r"TypeError: \('NotImplemented should not be used in a boolean context'"),
]
# The beginning of an abstract name of AF_UNIX, a zero byte, in each form that conversions.py has for it.
ABSTRACT = r"(b?'\\(0|x00)|bytearray\(\d|memoryview\(bytearray\(\d)"
# The outcomes of a call to such a name: whether nobody, this program or another one has it.
TAKEN = r"None$|\d+$|(ConnectionRefused|Permission|BlockingIO|OS)Error: (ECONNREFUSED|EPERM|EAGAIN|EPROTOTYPE)|ECONNREFUSED|EPERM|EPROTOTYPE"
# What the sandbox does otherwise than the kernel.
SANDBOX = [
    # No memory is taken for bytes that do not come.
    (r"", r"MemoryError|OverflowError: \('byte string is too large'", r".*"),
    # Options have a table, and others are denied.
    (r"getsockopt|setsockopt", r"OSError: \w+:", r"PermissionError: EACCES: .* is not in the table of options"),
    # glibc reports the first of several wrong hints. The host and the service are found wrong before.
    (r"_socket\.get(addr|name)info", r"gaierror", r"gaierror"),
    # The kernel does not look at unknown flags, or at those for other sockets.
    (r"recv", r"(BlockingIO|OS)Error: (EAGAIN|EOPNOTSUPP)|\(|b'|\d", r"OSError: EINVAL"),
    # The host looks for a path before the kernel looks at flags.
    (r"send", r"OSError: (EOPNOTSUPP|EINVAL)", r"FileNotFoundError"),
    # The kernel makes a datagram socket of SOCK_RAW.
    (r"_socket\.socket\(", r"a socket", r"OSError: ESOCKTNOSUPPORT"),
    # The host closes a UNIX socket on a thread. For a moment it is still connected to its peer, and takes no other.
    (r"connect|send", r"(ConnectionRefusedError|ECONNREFUSED)", r"PermissionError: EPERM|EPERM"),
    # An abstract name is the machine's. Another program may have it during one of the runs.
    (rf"(AF_UNIX|a pair): s\.bind\({ABSTRACT}", r"None$|OSError: EADDRINUSE", r"None$|OSError: EADDRINUSE"),
    (rf"(AF_UNIX|a pair): s\.(connect|connect_ex|sendto|sendmsg)\((.*, )?{ABSTRACT}[^,]*\)$", TAKEN, TAKEN),
    # A descriptor of the pair was sent, so its holder could let an accept block. It runs on a thread, which is not waited for.
    (r"a pair: s\._accept\(", r"OSError: EOPNOTSUPP", r"BlockingIOError: EAGAIN"),
    # Unknown events mean nothing. The kernel refuses some of them before it looks whether the descriptor is registered.
    (r"e\.(register|modify)\(", r"OSError: EINVAL", r"FileExistsError|None"),
    # The kernel receives on a socket of any family. The host compares the families.
    (r"AF_KEY", r"OSError", r"OSError"),
    # A socket of another family than the kernel's takes any address there. The host compares the families.
    (r"AF_", r"None$|0$|\d+$|OSError by the system call|an errno", r"OSError by the system call|an errno|OSError: EAFNOSUPPORT"),
]


def known(call, ours, theirs, differences):
    """Returns whether a difference has a known reason."""
    return any(re.search(c, call) and re.match(o, ours) and re.match(t, theirs) for c, o, t in differences)


def main():
    """Compares the lines of two files."""
    version, first, second = sys.argv[1:]
    differences = SANDBOX + (AFTER_3_13 if tuple(map(int, version.split("."))) < (3, 14) else [])
    with open(first, encoding="utf-8") as ours, open(second, encoding="utf-8") as theirs:
        pairs = list(zip(ours, theirs, strict=True))
    count = 0
    for one, other in pairs:
        call, _, ours = one.rstrip("\n").rpartition(" -> ")
        same, _, theirs = other.rstrip("\n").rpartition(" -> ")
        if call != same:
            sys.exit(f"the calls differ: {one}{other}")
        if ours != theirs and not known(call, ours, theirs, differences):
            print(f"{call}\n    CPython {version}: {ours}\n    sandbox: {theirs}")
            count += 1
    print(f"{len(pairs)} calls, {count} differences without a reason")
    sys.exit(bool(count))


main()
