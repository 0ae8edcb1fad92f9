"""A conversation with itself over TCP and UDP, step by step; the guest `oracle_conversation_same` has the same."""

import select
from socket import *

ports = {}


def plain(value):
    """Ports by the order in which they were seen, descriptors by their kind alone."""
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, tuple) and len(value) in (2, 4) and isinstance(value[0], str) and isinstance(value[1], int):
        return (value[0], ports.setdefault(value[1], len(ports)), *value[2:])
    if isinstance(value, (tuple, list)):
        return type(value)(map(plain, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def step(name, call):
    try:
        print(name, "=", repr(plain(call())))
    except Exception as error:
        print(name, "!", type(error).__name__, getattr(error, "errno", None), str(error))


def filled(call, *lengths):
    """What a call left in buffers of dots."""
    buffers = [bytearray(b"." * length) for length in lengths]
    result = call(buffers)
    return (result, *buffers)


def tcp(family, host):
    listener = socket(family, SOCK_STREAM)
    listener.bind((host, 0))
    step("listener", listener.getsockname)
    step("accept early", listener.accept)
    listener.listen()
    client = socket(family, SOCK_STREAM)
    step("unconnected recv", lambda: client.recv(1))
    step("unconnected send", lambda: client.send(b"x"))
    step("connect", lambda: client.connect(listener.getsockname()))
    server, peer = listener.accept()
    step("accepted", lambda: peer)
    step("names", lambda: (client.getsockname(), client.getpeername(), server.getsockname(), server.getpeername()))
    step("again", lambda: [client.connect_ex(listener.getsockname()) for _ in range(2)])
    step("listen connected", lambda: client.listen())
    step("bind connected", lambda: client.bind((host, 0)))
    step("accept connected", lambda: client.accept())
    step("send", lambda: client.send(b"hello, world"))
    step("peek", lambda: server.recv(5, MSG_PEEK))
    step("recv", lambda: server.recv(5, MSG_WAITALL))
    step("recvfrom", lambda: server.recvfrom(2))
    step("recv_into", lambda: filled(lambda b: server.recv_into(b[0], 0, MSG_PEEK), 7))
    step("recvfrom_into", lambda: filled(lambda b: server.recvfrom_into(b[0]), 3))
    step("recvmsg", lambda: server.recvmsg(100, 64))
    step("sendmsg", lambda: client.sendmsg([b"one", b"", b"three"]))
    step("recvmsg_into", lambda: filled(lambda b: server.recvmsg_into(b), 2, 0, 4, 5))
    step("sendto connected", lambda: client.sendto(b"xy", listener.getsockname()))
    step("recvmsg trunc", lambda: filled(lambda b: server.recvmsg_into(b, 0, MSG_TRUNC), 2))
    step("sendall", lambda: client.sendall(b"all"))
    step("recvall", lambda: server.recv(3, MSG_WAITALL))
    step("oob none", lambda: server.recv(1, MSG_OOB))
    step("oob send", lambda: client.send(b"u!", MSG_OOB))
    step("oob select", lambda: [len(ready) for ready in select.select([], [], [server], 20)])
    step("oob recv", lambda: server.recv(1, MSG_OOB))
    step("oob rest", lambda: server.recv(9))
    server.settimeout(0)
    step("nonblocking", lambda: server.recv(1))
    server.settimeout(0.02)
    step("timed", lambda: server.recv(1))
    step("timed dontwait", lambda: server.recv(1, MSG_DONTWAIT))
    server.settimeout(None)
    step("dontwait", lambda: server.recv(1, MSG_DONTWAIT))
    copy = server.dup()
    copy.settimeout(0.02)
    step("shared", lambda: server.recv(1))
    step("timeouts", lambda: (server.gettimeout(), "%.2f" % copy.gettimeout(), server.getblocking()))
    server.setblocking(True)
    step("copy", lambda: copy.getpeername() == server.getpeername())
    copy.close()
    poll = select.poll()
    poll.register(client)
    step("poll client", lambda: [event for _, event in poll.poll(20000)])
    step("shutdown", lambda: client.shutdown(SHUT_WR))
    step("epipe", lambda: client.send(b"x"))
    step("epipe all", lambda: client.sendall(b"x"))
    step("end", lambda: server.recv(1))
    step("end from", lambda: server.recvfrom(1))
    step("end message", lambda: server.recvmsg(1))
    poll.register(server)
    step("poll server", lambda: sorted(event for _, event in poll.poll(20000)))
    step("answer", lambda: server.send(b"bye"))
    step("answered", lambda: client.recv(3, MSG_WAITALL))
    closed = server.fileno()
    server.close()
    step("both ended", lambda: client.recv(3))
    poll.unregister(closed)
    step("poll ended", lambda: [event for _, event in poll.poll(20000)])
    step("server closed", lambda: server.getpeername())
    step("error", lambda: client.getsockopt(SOL_SOCKET, SO_ERROR))
    client.close()
    address = listener.getsockname()
    other = socket(family, SOCK_STREAM)
    step("in use", lambda: other.bind(address))
    listener.close()
    step("time wait", lambda: other.bind(address))
    with socket(family, SOCK_STREAM) as client:
        step("refused", lambda: [client.connect_ex(address) for _ in range(3)])
        client.settimeout(20)
        step("refused timed", lambda: [client.connect_ex(address) for _ in range(4)])
    with create_server((host, 0), family=family) as server:
        step("server", lambda: (server.getsockname(), server.gettimeout(), server.getsockopt(SOL_SOCKET, SO_REUSEADDR)))
        with socket(family, SOCK_STREAM) as client:
            client.settimeout(20)
            step("timed connect", lambda: [client.connect_ex(server.getsockname()) for _ in range(3)])
        with socket(family, SOCK_STREAM) as client:
            client.setblocking(False)
            step("zero connect", lambda: client.connect(server.getsockname()))
            step("writable", lambda: [len(ready) for ready in select.select([], [client], [], 20)])
            step("zero again", lambda: [client.connect_ex(server.getsockname()) for _ in range(2)])


def udp(family, host):
    one, two = (socket(family, SOCK_DGRAM) for _ in range(2))
    step("unbound", one.getsockname)
    two.bind((host, 0))
    step("two", two.getsockname)
    step("listen", lambda: two.listen())
    step("send", lambda: one.send(b"x"))
    step("sendto", lambda: one.sendto(b"first", two.getsockname()))
    step("recvfrom", lambda: plain(two.recvfrom(100))[1][0])
    step("empty", lambda: one.sendto(b"", two.getsockname()))
    step("recv", lambda: two.recv(100))
    step("sendmsg", lambda: one.sendmsg([b"some", b"thing"], [], 0, two.getsockname()))
    step("recvmsg", lambda: two.recvmsg(3)[:3])
    step("sendto", lambda: one.sendto(b"second", two.getsockname()))
    step("recv_into", lambda: filled(lambda b: two.recv_into(b[0], 0, MSG_TRUNC), 3))
    step("sendto", lambda: one.sendto(b"third", two.getsockname()))
    step("recvmsg_into", lambda: filled(lambda b: two.recvmsg_into(b)[::2], 2, 2))
    step("sendto", lambda: one.sendto(b"fourth", two.getsockname()))
    step("recvfrom0", lambda: two.recvfrom(0)[0])
    two.settimeout(0)
    step("nothing", lambda: two.recv(1))
    step("too long", lambda: one.sendto(bytes(65536), two.getsockname()))
    step("connect", lambda: one.connect(two.getsockname()))
    step("peer", lambda: one.getpeername())
    step("send", lambda: one.send(b"direct"))
    step("select", lambda: [len(ready) for ready in select.select([two], [two], [], 20)])
    step("recv", lambda: two.recv(100))
    step("unconnected", lambda: two.getpeername())
    two.close()
    one.settimeout(20)
    step("to nobody", lambda: one.send(b"x"))
    step("refused", lambda: one.recv(1))
    step("to nobody", lambda: one.send(b"x"))
    step("poll", lambda: [len(ready) for ready in select.select([one], [], [], 20)])
    step("error", lambda: [one.getsockopt(SOL_SOCKET, SO_ERROR) for _ in range(2)])
    one.shutdown(SHUT_RD)
    one.settimeout(0)
    step("shut", lambda: one.recv(1))
    one.settimeout(None)
    step("shut", lambda: one.recv(1))
    step("shut", lambda: one.recvfrom(1))
    step("shut", lambda: one.recvmsg(1))
    step("shut", lambda: one.recv(1, MSG_DONTWAIT))


for family, host in ((AF_INET, "127.0.0.1"), (AF_INET6, "::1")):
    tcp(family, host)
    udp(family, host)
