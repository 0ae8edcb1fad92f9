"""The module's functions and objects, as its arguments name them; the guest `oracle_module_same` does the same."""

import array
import re
import socket
import sys
import warnings
from urllib.parse import unquote_to_bytes


def seconds(text):
    return None if text == "-" else float(text)


def state(sock):
    timeout = sock.gettimeout()
    return ("%.3f" % (-1 if timeout is None else timeout), sock.getblocking())


def attempt(call):
    try:
        return repr(call())
    except Exception as error:
        return f"! {type(error).__name__} {getattr(error, 'errno', None)} {error}"


def plain(text):
    """Without numbers that are chosen anew each time."""
    text = re.sub(r"fd=\d+", "fd=N", text)
    return re.sub(r"('(?:127\.0\.0\.1|::1)'), \d+", r"\1, P", text)


def closed_port(family, host):
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        return sock.getsockname()[1]


def default(how):
    if how == "new":
        with socket.socket() as sock:
            return state(sock)
    if how == "nonblock":
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
            return state(sock)
    left, right = socket.socketpair()
    with left, right:
        if how == "pair":
            return state(left), state(right)
        if how == "dup":
            left.settimeout(3)
            with left.dup() as copy:
                return state(copy)
        if how == "fromfd":
            with socket.fromfd(left.fileno(), 1, 1) as copy:
                return state(copy)
        if how == "adopt":
            with socket.socket(fileno=left.detach()) as copy:
                return state(copy)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.settimeout(20)
        client.connect(server.getsockname())
        server.settimeout(20)
        with server.accept()[0] as accepted:
            return state(accepted)


def call(parts):
    verb, *rest = parts
    if verb == "adopted":
        family, kind, proto = map(int, rest)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        fd = sock.detach()
        with socket.socket(family, kind, proto, fileno=fd) as sock:
            calls = [sock.getsockname, sock.getpeername, sock.accept]
            results = [attempt(one) for one in calls]
            if family not in (-1, 1, 2, 10) and family not in (16, 17, 21, 29, 30, 31, 38, 40, 42):
                results.append(attempt(lambda: sock.connect("x")))
            return int(sock.family), int(sock.type), sock.proto, results
    if verb == "fileno":
        return socket.socket(fileno=int(rest[0]))
    if verb == "closefd":
        return socket.close(int(rest[0]))
    if verb == "dupfd":
        return socket.dup(int(rest[0]))
    if verb == "fromfd":
        return socket.fromfd(int(rest[0]), 2, 1)
    if verb == "cmsg":
        length = int(rest[0])
        return [attempt(lambda: socket.CMSG_LEN(length)), attempt(lambda: socket.CMSG_SPACE(length))]
    if verb == "byteorder":
        value = int(rest[0])
        return socket.ntohs(value), socket.htons(value), socket.ntohl(value), socket.htonl(value)
    if verb == "afalg":
        family, op, assoclen = int(rest[0]), int(rest[1]), rest[2]
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            more = {} if assoclen == "-" else {"assoclen": int(assoclen)}
            return sock.sendmsg_afalg([b"x"], op=op, **more)
    if verb == "default":
        socket.setdefaulttimeout(seconds(rest[0]))
        try:
            return default(rest[1])
        finally:
            socket.setdefaulttimeout(None)
    if verb == "accepted":
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
            client.connect(server.getsockname())
            server.settimeout(20)
            socket.setdefaulttimeout(seconds(rest[1]))
            try:
                while True:
                    server.settimeout(seconds(rest[0]))
                    try:
                        accepted, peer = server.accept()
                        break
                    except BlockingIOError:
                        pass
            finally:
                socket.setdefaulttimeout(None)
            with accepted:
                return state(accepted), peer == client.getsockname(), int(accepted.family), accepted.proto
    if verb == "server":
        family, host, port, reuse, dual = rest
        with socket.create_server(
            (host, int(port)), family=int(family), reuse_port=reuse == "1", dualstack_ipv6=dual == "1"
        ) as server:
            only = server.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) if server.family == socket.AF_INET6 else None
            return server.getsockname()[0], server.getsockopt(1, 2), server.getsockopt(1, 15), only, state(server)
    if verb == "connection":
        host, port, timeout, source, every = rest
        host = unquote_to_bytes(host).decode()
        number = closed_port(socket.AF_INET6 if ":" in host else socket.AF_INET, host) if port == "closed" else int(port)
        arguments = {"all_errors": every == "1"}
        if source == "s":
            arguments["source_address"] = (host, 0)
        if timeout != "-":
            arguments["timeout"] = float(timeout)
        try:
            socket.create_connection((host, number), **arguments)
        except ExceptionGroup as group:
            return str(group), [(type(error).__name__, str(error)) for error in group.exceptions]
    if verb == "option":
        with socket.socket() as sock:
            sock.setsockopt(*map(int, rest))
            return sock.getsockopt(int(rest[0]), int(rest[1]))
    if verb == "cut":
        sent, room = map(int, rest)
        left, right = socket.socketpair()
        with left, right, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [left.fileno()] * sent))] if sent else []
            left.sendmsg([b"data"], rights)
            data, ancillary, flags, _ = right.recvmsg(10, room)
            for *_, fds in ancillary:
                for fd in array.array("i", fds[: len(fds) // 4 * 4]):
                    socket.close(fd)
            texts = [str(warning.message) for warning in caught]
            return data, [(level, kind, len(fds)) for level, kind, fds in ancillary], int(flags & ~socket.MSG_CMSG_CLOEXEC), texts
    if verb == "fds":
        sent, most = map(int, rest)
        left, right = socket.socketpair()
        with left, right:
            length = socket.send_fds(left, [b"one", b"two"], [left.fileno()] * sent)
            data, fds, flags, address = socket.recv_fds(right, 10, most)
            for fd in fds:
                socket.close(fd)
            return length, data, len(fds), int(flags & ~socket.MSG_CMSG_CLOEXEC), address
    if verb == "lifetime":
        return lifetime(rest[0])
    if verb == "repr":
        return plain(represented(int(rest[0]), int(rest[1]), rest[2]))
    if verb == "pairs":
        left, right = socket.socketpair(*map(int, rest))
        with left, right:
            left.send(b"x")
            return int(left.family), int(left.type), left.proto, state(left), right.recv(1)
    count, timeout, flags = rest
    left, right = socket.socketpair()
    with left, right:
        right.settimeout(seconds(timeout))
        left.send(b"0123456789")
        left.shutdown(socket.SHUT_WR)
        size, flags = int(count), int(flags)
        return [attempt(lambda: right.recv(size, flags)), attempt(lambda: right.recvfrom(size, flags)), attempt(lambda: right.recv(3, flags))]


def lifetime(how):
    left, right = socket.socketpair()
    right.settimeout(20)
    if how == "close":
        return left.close(), left.close(), left.fileno(), left.detach(), right.recv(1)
    if how == "detach":
        fd = left.detach()
        with socket.socket(fileno=fd) as again:
            again.send(b"x")
        return left.fileno(), left.detach(), right.recv(1), right.recv(1)
    if how == "dup":
        copy = left.dup()
        left.close()
        copy.send(b"x")
        copy.close()
        return right.recv(1), right.recv(1)
    if how in ("file", "filefirst"):
        file = left.makefile("wb")
        other = left.makefile("rb")
        file.write(b"abc")
        (left if how == "file" else file).close()
        open_still = left.fileno() != -1
        (file if how == "file" else left).close()
        still = left.fileno() != -1
        other.close()
        return open_still, still, left.fileno(), right.recv(10), right.recv(1)
    if how == "inherit":
        results = [left.get_inheritable(), left.set_inheritable(True), left.get_inheritable(), right.get_inheritable()]
        return results
    left.set_inheritable(True)
    with left.dup() as copy, socket.fromfd(left.fileno(), 1, 1) as third:
        return copy.get_inheritable(), third.get_inheritable()


def represented(family, kind, how):
    sock = socket.socket(family, kind)
    if how == "closed":
        sock.close()
    elif how == "detached":
        socket.close(sock.detach())
    elif how == "bound":
        sock.bind({1: b"\0sandsock-oracle\xff", 2: ("127.0.0.1", 0), 10: ("::1", 0)}[family])
    elif how == "pair":
        sock.close()
        sock, other = socket.socketpair(socket.AF_UNIX, kind)
        other.close()
    elif how == "file":
        file = sock.makefile("rb")
        sock.close()
        text = repr(sock)
        file.close()
        return text + repr(sock)
    text = repr(sock)
    sock.close()
    return text


for argument in sys.argv[1:]:
    try:
        print(argument, "=", repr(call(argument.split("|"))))
    except Exception as error:
        print(argument, "!", type(error).__name__, getattr(error, "errno", None), str(error))
