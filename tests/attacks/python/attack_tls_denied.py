"""Moves plain bytes on sockets that were connected with `tls-connect` alone, in every way that Python's modules have.

The arguments are `attack` or `twin`, the server's name and its port. Each way of the attack has to raise PermissionError. The twin has
`tcp-connect`, and may do it all. Prints how many ways there are.
"""

import array
import asyncio
import http.client
import socket
import ssl
import sys
import threading

twin, NAME, PORT = sys.argv[1] == "twin", sys.argv[2], int(sys.argv[3])
PLAIN = b"plain"


def connected(timeout=20):
    return socket.create_connection((NAME, PORT), timeout=timeout)


def hello(name=NAME, context=None):
    """A session without I/O, and its first bytes."""
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = (context or ssl.create_default_context()).wrap_bio(received, sent, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return session, sent.read()


def unverified():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def without_waiting(name, *arguments):
    def way():
        made = connected()
        made.setblocking(False)
        return getattr(made, name)(*arguments)

    return way


def by_file(mode, use):
    def way():
        made = connected()
        with made.makefile(mode) as file:
            use(file)
            if "w" in mode:
                file.flush()

    return way


def opening():
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.settimeout(20)
    try:
        made.sendto(PLAIN, socket.MSG_FASTOPEN, (NAME, PORT))
    except BlockingIOError:
        # The bytes follow the connection.
        pass


def by_connect_ex():
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.settimeout(20)
    assert made.connect_ex((NAME, PORT)) == 0
    made.send(PLAIN)


def by_number():
    with connected() as made:
        socket.fromfd(made.fileno(), socket.AF_INET, socket.SOCK_STREAM).send(PLAIN)


def handed():
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with here, there, connected() as made:
        here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [made.fileno()]))])


def sent_away():
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with here, there, connected() as made:
        socket.send_fds(here, [b"x"], [made.fileno()])


def by_loop(name, *arguments):
    async def act():
        with connected() as made:
            made.setblocking(False)
            await getattr(asyncio.get_running_loop(), name)(made, *arguments)

    return lambda: asyncio.run(act())


def by_bytes(change):
    """Sends bytes that come of the first ones of a session."""

    def way():
        session, first = hello()
        connected().sendall(change(first))
        # The session lives until its bytes were sent.
        return session

    return way


def of_session(name, context=None):
    def way():
        session, first = hello(name, context)
        connected().sendall(first)
        return session

    return way


def after_hello():
    session, first = hello()
    made = connected()
    made.sendall(first)
    made.sendall(PLAIN)
    return session


def again():
    session, first = hello()
    made = connected()
    made.sendall(first)
    made.sendall(first)
    return session


def by_two_threads():
    """Two threads send one session's first bytes on two sockets. Only one socket can have the session."""
    session, first = hello()
    errors = []

    def send(made):
        try:
            made.sendall(first)
        except PermissionError as error:
            errors.append(error)

    threads = [threading.Thread(target=send, args=(connected(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) <= 1, errors
    if errors:
        raise errors[0]
    return session


def beside_a_thread():
    """A thread sends a session's first bytes, and another plain ones on a duplicate."""
    session, first = hello()
    made = connected()
    copy = made.dup()
    thread = threading.Thread(target=made.sendall, args=(first,))
    thread.start()
    try:
        copy.sendall(PLAIN)
    finally:
        thread.join()
    return session


WAYS = {
    "send": lambda: connected().send(PLAIN),
    "sendall": lambda: connected().sendall(PLAIN),
    "sendto": lambda: connected().sendto(PLAIN, (NAME, PORT)),
    "sendmsg": lambda: connected().sendmsg([PLAIN]),
    "an urgent byte": lambda: connected().send(PLAIN, socket.MSG_OOB),
    "sendfile": lambda: connected().sendfile(open(__file__, "rb")),
    "send without waiting": without_waiting("send", PLAIN),
    "recv without waiting": without_waiting("recv", 10) if not twin else lambda: None,
    "a connect that opens": opening,
    "connect_ex": by_connect_ex,
    "dup": lambda: connected().dup().send(PLAIN),
    "fromfd": by_number,
    "detach": lambda: socket.socket(fileno=connected().detach()).send(PLAIN),
    "a file to write": by_file("wb", lambda file: file.write(PLAIN)),
    "a file to read": by_file("rb", lambda file: file.read(5)),
    "recv": lambda: connected().recv(10),
    "recv_into": lambda: connected().recv_into(bytearray(10)),
    "recvfrom": lambda: connected().recvfrom(10),
    "recvmsg": lambda: connected().recvmsg(10, 100),
    "recvmsg_into": lambda: connected().recvmsg_into([bytearray(10)]),
    "a look": lambda: connected().recv(10, socket.MSG_PEEK),
    "SCM_RIGHTS": handed,
    "send_fds": sent_away,
    "sock_sendall": by_loop("sock_sendall", PLAIN),
    "sock_recv": by_loop("sock_recv", 10),
    "http.client": lambda: http.client.HTTPConnection(NAME, PORT, timeout=20).request("GET", "/plain"),
    "plain bytes after a header of TLS": by_bytes(lambda first: first[:5] + PLAIN),
    "a changed first record": by_bytes(lambda first: first[:20] + bytes([first[20] ^ 1]) + first[21:]),
    "plain bytes in the first send": by_bytes(lambda first: first + PLAIN),
    "a session of another name": of_session("other.test"),
    "a session of the address": of_session("127.0.0.1"),
    "an unverified session of another name": of_session("other.test", unverified()),
    "plain bytes after the first record": after_hello,
    "the first record again": again,
    "two threads with one session": by_two_threads,
    "plain bytes beside a thread": beside_a_thread,
}

for what, way in WAYS.items():
    try:
        way()
    except PermissionError as error:
        assert not twin, f"{what}: {error}"
        assert "tls-connect" in str(error) or "tcp-connect" in str(error), f"{what}: {error}"
    else:
        assert twin, f"{what} is open"
print(len(WAYS))
