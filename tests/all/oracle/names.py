"""Makes the calls for names that its arguments name, and says what each gave; the guest `oracle_names_same` does the same."""

import socket
import sys
from urllib.parse import unquote_to_bytes


def text(part):
    return unquote_to_bytes(part).decode()


def call(parts):
    verb, *rest = parts
    texts = [text(part) for part in rest]
    if verb == "gai":
        host, port, family, kind, protocol, flags = rest
        host = None if host == "-" else text(host)
        port = None if port == "-" else text(port[1:]) if port.startswith("s") else int(port)
        answers = socket.getaddrinfo(host, port, int(family), int(kind), int(protocol), int(flags))
        # In the order of their texts: which one of several comes first is the resolver's own choice, each time anew.
        return "[" + ", ".join(sorted(repr((int(f), int(t), p, name, where)) for f, t, p, name, where in answers)) + "]"
    if verb == "info":
        address = (texts[0], int(rest[1]), *map(int, rest[3:]))
        return repr(socket.getnameinfo(address, int(rest[2])))
    if verb in ("connect", "bind", "sendto"):
        with socket.socket(int(rest[0]), socket.SOCK_DGRAM) as sock:
            address = (texts[1], int(rest[2]))
            if verb == "sendto":
                return repr(sock.sendto(b"x", address))
            getattr(sock, verb)(address)
            return repr((sock.getpeername() if verb == "connect" else sock.getsockname())[0])
    simple = {
        "byname": socket.gethostbyname,
        "byname_ex": socket.gethostbyname_ex,
        "byaddr": socket.gethostbyaddr,
        "fqdn": socket.getfqdn,
        "service": socket.getservbyname,
        "protocol": socket.getprotobyname,
        "interfaces": socket.if_nameindex,
        "index": socket.if_nametoindex,
        "hostname": socket.gethostname,
    }
    if verb in simple:
        return ascii(simple[verb](*texts))
    if verb == "port":
        return repr(socket.getservbyport(int(rest[0]), *texts[1:]))
    if verb == "interface":
        return repr(socket.if_indextoname(int(rest[0])))
    return repr(socket.sethostname(unquote_to_bytes(rest[0])))


for argument in sys.argv[1:]:
    try:
        print(argument, "=", call(argument.split("|")))
    except UnicodeError:
        # Its texts, and a class of its own, are of CPython's later versions.
        print(argument, "! UnicodeError")
    except Exception as error:
        print(argument, "!", type(error).__name__, getattr(error, "errno", None), str(error))
