"""Sends that open the connection themselves, step by step; the guest `oracle_fastopen_same` has the same.

Arguments: the port of a server that counts what it gets, and that of a listener whose backlog is full; each is also a case's name.
"""

import select
import struct
import sys
from socket import *

# Not every version of the module has it.
TCP_FASTOPEN_CONNECT = 30

SERVER, FULL = (int(port) for port in sys.argv[1:3])


def step(name, call):
    try:
        print(name, "=", repr(call()))
    except Exception as error:
        print(name, "!", type(error).__name__, getattr(error, "errno", None), str(error))


def listening(backlog):
    listener = socket(AF_INET, SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    if backlog is not None:
        listener.setsockopt(IPPROTO_TCP, TCP_FASTOPEN, 5)
        listener.listen(backlog)
    return listener


def client(timeout):
    made = socket(AF_INET, SOCK_STREAM)
    made.settimeout(timeout)
    return made


def decided(made):
    select.select([], [made], [], 20)


def got(listener, length):
    peer, _ = listener.accept()
    peer.settimeout(20)
    data = b""
    while len(data) < length:
        data += peer.recv(length - len(data))
    peer.settimeout(0)
    step("more", lambda: peer.recv(1))
    return data


def sendto(made, data, address):
    return made.sendto(data, MSG_FASTOPEN, address)


def sendmsg(made, data, address):
    return made.sendmsg([data[:2], data[2:]], [], MSG_FASTOPEN, address)


def opens(name, timeout, send):
    listener = listening(5)
    to = listener.getsockname()
    made = client(timeout)
    sent = []

    def count(call):
        taken = call()
        sent.append(taken)
        return taken

    step(f"{name} first", lambda: count(lambda: send(made, b"first", to)))
    decided(made)
    step(f"{name} again", lambda: count(lambda: send(made, b"again", to)))
    step(f"{name} once more", lambda: count(lambda: send(made, b"more", to)))
    step(f"{name} plain", lambda: count(lambda: made.send(b"plain")))
    step(f"{name} all", lambda: made.sendall(b"all"))
    step(f"{name} got", lambda: got(listener, sum(sent) + 3))
    # Nobody listens.
    closed = listening(None)
    to = closed.getsockname()
    made = client(timeout)
    step(f"{name} refused", lambda: send(made, b"first", to))
    decided(made)
    step(f"{name} refused then", lambda: made.send(b"x"))
    step(f"{name} refused connect", lambda: made.connect(to))
    decided(made)
    step(f"{name} refused again", lambda: made.connect(to))
    made = client(timeout)
    step(f"{name} denied", lambda: send(made, b"", to))
    step(f"{name} no address", lambda: client(timeout).send(b"x", MSG_FASTOPEN))
    # The connect is put off.
    listener = listening(5)
    to = listener.getsockname()
    made = client(timeout)
    step(f"{name} late", lambda: made.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1))
    step(f"{name} late connect", lambda: made.connect(to))
    decided(made)
    step(f"{name} late send", lambda: made.send(b"first"))
    step(f"{name} late got", lambda: got(listener, 5))
    made = client(timeout)
    made.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    to = closed.getsockname()
    step(f"{name} late refused", lambda: made.connect(to))
    decided(made)
    step(f"{name} late refused then", lambda: made.send(b"first"))
    decided(made)
    step(f"{name} late refused send", lambda: made.send(b"first"))


for timeout in (None, 20, 0):
    for send in (sendto, sendmsg):
        opens(f"{send.__name__} {timeout}", timeout, send)

for send in (sendto, sendmsg):
    made = client(None)
    step(f"much {send.__name__}", lambda: send(made, bytes(3_000_000), ("127.0.0.1", SERVER)))
    made.shutdown(SHUT_WR)
    step("counted", lambda: made.recv(100))

for seconds in (0, 100_000):
    made = client(None)
    made.setsockopt(SOL_SOCKET, SO_SNDTIMEO, struct.pack("qq", 0, seconds))
    made.setblocking(seconds > 0)
    step("in time", lambda: made.sendto(b"x", MSG_FASTOPEN, ("127.0.0.1", FULL)))
    step("and then", lambda: made.sendto(b"x", MSG_FASTOPEN, ("127.0.0.1", FULL)))
    made.settimeout(0.02)
    step("room", lambda: made.send(b"x"))
