"""Turns the numeric addresses that its arguments name to and fro; the guest `oracle_numbers_same` does the same."""

import socket
import sys
from urllib.parse import unquote_to_bytes


def call(parts):
    verb, *rest = parts
    if verb == "pton":
        return socket.inet_pton(int(rest[0]), unquote_to_bytes(rest[1]).decode()).hex()
    if verb == "ntop":
        return socket.inet_ntop(int(rest[0]), bytes.fromhex(rest[1]))
    if verb == "aton":
        return socket.inet_aton(unquote_to_bytes(rest[0]).decode()).hex()
    if verb == "ntoa":
        return socket.inet_ntoa(bytes.fromhex(rest[0]))
    host, port, family, kind, protocol, flags = rest
    host = None if host == "-" else unquote_to_bytes(host).decode()
    port = None if port == "-" else port[1:] if port.startswith("s") else int(port)
    answers = socket.getaddrinfo(host, port, int(family), int(kind), int(protocol), int(flags))
    return [(int(f), int(t), p, name, where) for f, t, p, name, where in answers]


for argument in sys.argv[1:]:
    try:
        print(argument, "=", repr(call(argument.split("|"))))
    except Exception as error:
        print(argument, "!", type(error).__name__, getattr(error, "errno", None), str(error))
