"""Makes the calls that its arguments name, and says what each gave; the guest `oracle_calls_same` does the same."""

import socket
import sys
from urllib.parse import unquote_to_bytes


def text(part):
    return unquote_to_bytes(part).decode("utf-8", "surrogateescape")


def address(family, parts):
    if family == socket.AF_UNIX:
        return unquote_to_bytes(parts[0])
    return (text(parts[0]), *map(int, parts[1:]))


def masked(name, parts):
    """Without the port that the kernel chose."""
    if isinstance(name, tuple) and parts[1:2] == ["0"]:
        return (name[0], 0, *name[2:])
    return name


def call(parts):
    verb, *rest = parts
    if verb in ("bind", "connect", "connect_ex", "sendto"):
        family, *rest = rest
        with socket.socket(int(family), socket.SOCK_DGRAM) as s:
            where = address(s.family, rest)
            if verb == "sendto":
                return s.sendto(b"", where)
            result = getattr(s, verb)(where)
            if verb == "connect_ex":
                return result
            return masked(s.getsockname() if verb == "bind" else s.getpeername(), rest)
    if verb == "form":
        # An address of the other kind of form.
        with socket.socket(int(rest[0]), socket.SOCK_DGRAM) as s:
            s.bind("text" if s.family != socket.AF_UNIX else ("text", 1))
    if verb == "socket":
        with socket.socket(*map(int, rest)) as s:
            return (int(s.family), int(s.type), s.proto, "%.9f" % -1 if s.gettimeout() is None else "%.9f" % s.gettimeout())
    if verb == "settimeout":
        with socket.socket() as s:
            s.settimeout(float(rest[0]))
            return "%.9f" % s.gettimeout(), s.getblocking()
    if verb == "setdefaulttimeout":
        try:
            socket.setdefaulttimeout(float(rest[0]))
            return "%.9f" % socket.getdefaulttimeout()
        finally:
            socket.setdefaulttimeout(None)
    if verb == "option":
        kind, level, name, value, length = rest
        with socket.socket(socket.AF_INET, int(kind)) as s:
            if value:
                value = bytes.fromhex(value[1:]) if value[0] == "x" else int(value)
                s.setsockopt(int(level), int(name), value)
            if length:
                return s.getsockopt(int(level), int(name), int(length)).hex()
            return s.getsockopt(int(level), int(name))
    if verb == "null":
        with socket.socket() as s:
            s.setsockopt(int(rest[0]), int(rest[1]), None, int(rest[2]))
            return None
    with socket.socket(socket.AF_INET, int(rest[0])) as s:
        if verb == "listen":
            s.listen(int(rest[1]))
            return s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if verb == "shutdown":
            return s.shutdown(int(rest[1]))
        if rest[1] == "closed":
            s.close()
        else:
            s.settimeout(float(rest[1]))
        return METHODS[verb](s)


METHODS = {
    "accept": lambda s: s.accept(),
    "recv": lambda s: s.recv(4),
    "recv0": lambda s: s.recv(0),
    "recvfrom": lambda s: s.recvfrom(4),
    "recvfrom0": lambda s: s.recvfrom(0),
    "recv_into": lambda s: s.recv_into(bytearray(4)),
    "recv_into0": lambda s: s.recv_into(bytearray()),
    "recvfrom_into": lambda s: s.recvfrom_into(bytearray(4)),
    "recvmsg": lambda s: s.recvmsg(4),
    "recvmsg_huge": lambda s: s.recvmsg(4, 1 << 31),
    "recvmsg_into": lambda s: s.recvmsg_into([bytearray(4)]),
    "recv_oob": lambda s: s.recv(1, socket.MSG_OOB),
    "recv_errqueue": lambda s: s.recv(1, socket.MSG_ERRQUEUE),
    "send": lambda s: s.send(b"x"),
    "send0": lambda s: s.send(b""),
    "sendall": lambda s: s.sendall(b"x"),
    "sendall0": lambda s: s.sendall(b""),
    "sendmsg": lambda s: s.sendmsg([b"x", b"y"]),
    "sendmsg0": lambda s: s.sendmsg([]),
    "sendmsg_many": lambda s: s.sendmsg([b"x"] * 1025),
    "getsockname": lambda s: s.getsockname(),
    "getpeername": lambda s: s.getpeername(),
    "getinheritable": lambda s: s.get_inheritable(),
    "detach": lambda s: s.detach() > 0,
    "dup": lambda s: s.dup().close(),
    "settimeout_1": lambda s: s.settimeout(1),
    "setblocking": lambda s: s.setblocking(False),
    "gettimeout": lambda s: "%.9f" % s.gettimeout(),
    "getsockopt": lambda s: s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE),
    "getsockopt_long": lambda s: s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE, 1025),
    "setsockopt": lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    "bind_bad": lambda s: s.bind("text"),
    "connect_ex_1": lambda s: s.connect_ex(("127.0.0.1", 1)),
    "connect_ex_bad": lambda s: s.connect_ex(("127.0.0.1", -1)),
    "close": lambda s: s.close(),
}

for argument in sys.argv[1:]:
    try:
        print(argument, "=", repr(call(argument.split("|"))))
    except Exception as error:
        print(argument, "!", type(error).__name__, getattr(error, "errno", None), str(error))
