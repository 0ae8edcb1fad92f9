"""`sandbox_work.py WORK PORT SIZE COUNT`: one row's work, which sandbox.py runs natively and in the sandbox.

A server prints its port, and serves until it is killed. The programs of `sandsock python --listen` print nothing. Any other work prints the nanoseconds of one operation.
"""

import io
import sys
import time

WARM_UP = 10


def timed(act, count):
    """Returns the nanoseconds of one of `count` operations. `act` does as many as its argument says."""
    act(max(count // WARM_UP, 1))
    start = time.monotonic_ns()
    act(count)
    return (time.monotonic_ns() - start) / count


def control(kind, port, total, size):
    """Opens a connection to the peer, which knows what to do on it and is ready."""
    import socket
    import struct

    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(kind + struct.pack("<QQ", total, size))
    assert sock.recv(1) == b"+"
    return sock


def tls_control():
    """Returns what `control` is over TLS: with the default roots, and the name verified."""
    import socket
    import ssl

    context = ssl.create_default_context()

    def control_over_tls(kind, port, total, size):
        sock = socket.create_connection(("127.0.0.1", port))
        # A client's last message and its first bytes are two small pieces.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = context.wrap_socket(sock, server_hostname="localhost")
        sock.sendall(kind + total.to_bytes(8, "little") + size.to_bytes(8, "little"))
        assert sock.recv(1) == b"+"
        return sock

    return control_over_tls


def send(port, size, count, control=control):
    data = bytes(size)

    def act(count):
        with control(b"s", port, count * size, size) as sock:
            for _ in range(count):
                sock.sendall(data)
            sock.recv(1)

    return timed(act, count)


def receive(port, size, count, control=control):
    def act(count):
        with control(b"r", port, count * size, size) as sock:
            left = count * size
            while left:
                left -= len(sock.recv(size))

    return timed(act, count)


def tls_handshake(port, size, count):
    control = tls_control()

    def act(count):
        for _ in range(count):
            control(b"e", port, 0, 0).close()

    return timed(act, count)


def tls_send(port, size, count):
    return send(port, size, count, tls_control())


def tls_receive(port, size, count):
    return receive(port, size, count, tls_control())


def round_trip(port, size, count):
    data = bytes(size)

    def act(count):
        with control(b"e", port, count * size, size) as sock:
            for _ in range(count):
                sock.sendall(data)
                left = size
                while left:
                    left -= len(sock.recv(left))

    return timed(act, count)


def connect(port, size, count):
    import socket

    def act(count):
        for _ in range(count):
            sock = socket.socket()
            sock.connect(("127.0.0.1", port))
            sock.close()

    return timed(act, count)


def select_one(port, size, count):
    import select
    import socket

    reader, writer = socket.socketpair()
    writer.send(b"x")
    wanted = [reader]

    def act(count):
        for _ in range(count):
            select.select(wanted, [], [])

    return timed(act, count)


def epoll(ready):
    """Polls 1,000 sockets, of which some are ready at all times."""

    def work(port, size, count):
        import select
        import socket

        pairs = [socket.socketpair() for _ in range(500)]
        poller = select.epoll()
        for reader, writer in pairs:
            poller.register(reader, select.EPOLLIN)
            poller.register(writer, select.EPOLLIN)
        for _, writer in pairs[:ready]:
            writer.send(b"x")

        def act(count):
            for _ in range(count):
                assert len(poller.poll()) == ready

        return timed(act, count)

    return work


class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def moved(self, by):
        return Point(self.x + by, self.y - by)


def interpreter(port, size, count):
    """Calls, objects, dictionaries, strings and numbers: nothing outside of the interpreter."""
    words = "one two three four five six seven".split()

    def act(count):
        table, total = {}, 0
        for number in range(count):
            point = Point(number, total).moved(3)
            total = (total + point.x * 7) % 1_000_003
            word = words[number % 7]
            table[word] = table.get(word, 0) + 1
            left, _, right = f"{word}:{total}".partition(":")
            total += len(left) + int(right) % 3

    return timed(act, count)


def handler_class():
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"hello\n"
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    return Handler


class MemorySocket:
    """What http.server needs of a connection, without a call of the system."""

    def makefile(self, mode, buffering):
        return io.BytesIO(b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")

    def sendall(self, data):
        assert data


def http_memory(port, size, count):
    handler = handler_class()

    def act(count):
        for _ in range(count):
            handler(MemorySocket(), ("127.0.0.1", 1), None)

    return timed(act, count)


def http_server(kind):
    def work(port, size, count):
        import http.server

        with getattr(http.server, kind)(("127.0.0.1", 0), handler_class()) as server:
            print(server.server_address[1], flush=True)
            server.serve_forever()

    return work


def served_listener(port, size, count):
    """A server on the listening socket of `sandsock python --listen --instances`."""
    import http.server
    import socket

    server = http.server.HTTPServer(("127.0.0.1", 0), handler_class(), bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=3)
    server.serve_forever()


def served_connection(port, size, count):
    """The answer to one connection of `sandsock python --listen`."""
    import socket

    with socket.socket(fileno=0) as connection:
        handler_class()(connection, connection.getpeername(), None)
    sys.exit()


async def echo(reader, writer):
    while data := await reader.read(1024):
        writer.write(data)
        await writer.drain()
    writer.close()


def asyncio_server(port, size, count):
    import asyncio

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(main())


def asyncio_memory(port, size, count):
    """The server's coroutine and streams, 100 at once, on transports without a socket. So 100 echoes share a call of epoll."""
    import asyncio

    class Transport(asyncio.Transport):
        def __init__(self, reader):
            super().__init__()
            self.reader, self.left, self.done = reader, 0, None

        def write(self, data):
            self.left -= 1
            if self.left:
                asyncio.get_running_loop().call_soon(self.reader.feed_data, data)
            else:
                self.done.set_result(None)

        def is_closing(self):
            return False

    async def main():
        loop = asyncio.get_running_loop()
        transports, tasks = [], []
        for _ in range(100):
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            transports.append(Transport(reader))
            tasks.append(loop.create_task(echo(reader, asyncio.StreamWriter(transports[-1], protocol, reader, loop))))

        async def run(count):
            for transport in transports:
                transport.left, transport.done = count, loop.create_future()
                transport.reader.feed_data(bytes(64))
            await asyncio.gather(*[transport.done for transport in transports])

        await run(max(count // 1000, 1))
        start = time.monotonic_ns()
        await run(count // 100)
        taken = time.monotonic_ns() - start
        for task in tasks:
            task.cancel()
        return taken / (count // 100 * 100)

    return asyncio.run(main())


def queues(port, size, count):
    """A message to another thread and back."""
    import queue
    import threading

    there, back = queue.SimpleQueue(), queue.SimpleQueue()

    def serve():
        while (message := there.get()) is not None:
            back.put(message)

    thread = threading.Thread(target=serve)
    thread.start()

    def act(count):
        for number in range(count):
            there.put(number)
            back.get()

    taken = timed(act, count)
    there.put(None)
    thread.join()
    return taken


def starts(port, size, count):
    """A thread that starts and ends."""
    import threading

    def act(count):
        for _ in range(count):
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()

    return timed(act, count)


WORKS = {
    "send": send,
    "receive": receive,
    "round-trip": round_trip,
    "connect": connect,
    "tls-handshake": tls_handshake,
    "tls-send": tls_send,
    "tls-receive": tls_receive,
    "select": select_one,
    "epoll-1": epoll(1),
    "epoll-100": epoll(100),
    "interpreter": interpreter,
    "http-memory": http_memory,
    "http": http_server("HTTPServer"),
    "http-threads": http_server("ThreadingHTTPServer"),
    "served-listener": served_listener,
    "served-connection": served_connection,
    "asyncio-memory": asyncio_memory,
    "asyncio": asyncio_server,
    "queue": queues,
    "thread": starts,
}


if __name__ == "__main__":
    result = WORKS[sys.argv[1]](*map(int, sys.argv[2:]))
    print(result)
