"""`python.py OPERATION PORT SIZE COUNT`: does the work of the program `bench_transfer_ok` with CPython's socket. Prints nanoseconds."""

import socket
import struct
import sys
import time

BURST = 64
operation, port, size, count = sys.argv[1], *map(int, sys.argv[2:])


def connect():
    return socket.create_connection(("127.0.0.1", port))


def control(kind, total, size):
    sock = connect()
    sock.sendall(kind + struct.pack("<QQ", total, size))
    sock.recv(1, socket.MSG_WAITALL)
    return sock


def stream():
    total = count * size
    sock = control({"send": b"s", "receive": b"r"}.get(operation, b"e"), total, size)
    buffer = bytearray(size)
    start = time.monotonic_ns()
    if operation == "send":
        for _ in range(count):
            sock.sendall(buffer)
        sock.recv(1)
    elif operation == "receive":
        left = total
        while left > 0:
            got = sock.recv_into(buffer)
            assert got, "the peer ended too soon"
            left -= got
    else:
        view = memoryview(buffer)
        for _ in range(count):
            sock.sendall(buffer)
            filled = 0
            while filled < size:
                got = sock.recv_into(view[filled:])
                assert got, "the peer ended too soon"
                filled += got
    return time.monotonic_ns() - start


def connects():
    keep = control(b"c", count, 0)
    start = time.monotonic_ns()
    for _ in range(count):
        sock = socket.socket()
        sock.connect(("127.0.0.1", port))
        sock.close()
    return time.monotonic_ns() - start


def accepts():
    listener = socket.create_server(("127.0.0.1", size))
    keep = control(b"a", count, size)
    start = time.monotonic_ns()
    for _ in range(count):
        listener.accept()[0].close()
    return time.monotonic_ns() - start


def datagrams():
    a, b = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
    for sock in a, b:
        sock.bind(("127.0.0.1", 0))
    address = b.getsockname()
    data = bytes(size)
    sending = receiving = 0
    for _ in range(count // BURST):
        start = time.monotonic_ns()
        for _ in range(BURST):
            a.sendto(data, address)
        sending += time.monotonic_ns() - start
        start = time.monotonic_ns()
        for _ in range(BURST):
            b.recvfrom(size)
        receiving += time.monotonic_ns() - start
    return sending if operation == "datagram-send" else receiving


works = {"connect": connects, "accept": accepts, "datagram-send": datagrams, "datagram-receive": datagrams}
print(works.get(operation, stream)())
