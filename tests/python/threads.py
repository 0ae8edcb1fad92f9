"""Threads in `sandsock python`. Each function below is a test, and its name is the argument: it returns, or it raises."""

import asyncio
import concurrent.futures
import http.client
import http.server
import io
import queue
import random
import select
import socket
import socketserver
import struct
import sys
import threading
import time


def locks_and_queues():
    """Several threads under one lock, a bounded queue, events, barriers, conditions and thread-local values."""
    total, lock = [0, 0], threading.Lock()

    def count():
        for _ in range(300):
            with lock:
                first, second = total
                total[0] = first + 1
                time.sleep(0)
                total[1] = second + 1

    counters = [threading.Thread(target=count) for _ in range(4)]
    [thread.start() for thread in counters]
    [thread.join() for thread in counters]
    assert total == [1200, 1200], total

    items = queue.Queue(maxsize=2)
    threading.Thread(target=lambda: [items.put(number) for number in [*range(50), None]]).start()
    assert list(iter(items.get, None)) == list(range(50))
    start = time.monotonic()
    try:
        items.get(timeout=0.1)
        raise AssertionError("the queue is empty")
    except queue.Empty:
        assert 0.1 <= time.monotonic() - start < 1

    event = threading.Event()
    threading.Timer(0.05, event.set).start()
    assert event.wait(10)
    barrier, through = threading.Barrier(3), []
    waiting = [threading.Thread(target=lambda: through.append(barrier.wait())) for _ in range(3)]
    [thread.start() for thread in waiting]
    [thread.join() for thread in waiting]
    assert sorted(through) == [0, 1, 2]
    local, seen = threading.local(), []
    local.value = 1
    other = threading.Thread(target=lambda: seen.append(hasattr(local, "value")))
    other.start()
    other.join()
    assert seen == [False] and local.value == 1


def pools():
    """Sleeps of a pool of threads overlap."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        start = time.monotonic()
        assert list(pool.map(lambda number: (time.sleep(0.2), number * number)[1], range(8))) == [n * n for n in range(8)]
        assert time.monotonic() - start < 1
        assert pool.submit(divmod, 7, 3).result() == (2, 1)


def preemption():
    """A thread in bytecode gives way: one that sleeps for a short time is soon back."""
    stop, delays = threading.Event(), []

    def compute():
        while not stop.is_set():
            sum(range(50))

    computing = [threading.Thread(target=compute) for _ in range(2)]
    [thread.start() for thread in computing]
    for _ in range(50):
        start = time.monotonic()
        time.sleep(0.001)
        delays.append(time.monotonic() - start)
    stop.set()
    [thread.join() for thread in computing]
    # Three threads, and 5 ms each. The machine may be busy.
    delays.sort()
    assert delays[len(delays) // 2] < 0.05, delays


def waits_of_sockets():
    """A thread that waits in each call on a socket stops no other."""
    ticks, stop = [0], threading.Event()

    def tick():
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0.005)

    threading.Thread(target=tick).start()

    def others_run(wait):
        before = ticks[0]
        wait()
        assert ticks[0] - before > 5, (wait, ticks[0] - before)

    def later(act):
        threading.Timer(0.15, act).start()

    one, two = socket.socketpair()
    others_run(lambda: (later(lambda: two.send(b"a")), one.recv(10)))
    others_run(lambda: (later(lambda: two.send(b"a")), one.recv_into(bytearray(10))))
    others_run(lambda: (later(lambda: two.send(b"a")), one.recvmsg(10)))
    others_run(lambda: (later(lambda: two.send(b"a")), select.select([one], [], [])))
    one.recv(10)
    others_run(lambda: select.select([one], [], [], 0.15))
    poll = select.poll()
    poll.register(one, select.POLLIN)
    others_run(lambda: poll.poll(150))
    with select.epoll() as epoll:
        epoll.register(one, select.EPOLLIN)
        others_run(lambda: epoll.poll(0.15))
        others_run(lambda: (later(lambda: two.send(b"a")), epoll.poll()))
    one.recv(10)
    one.settimeout(0.15)

    def timed_out():
        try:
            one.recv(1)
            raise AssertionError("nothing was sent")
        except TimeoutError:
            pass

    others_run(timed_out)
    one.settimeout(None)
    # MSG_WAITALL gathers, and sendall goes on until all is sent.
    others_run(lambda: ([threading.Timer(0.05 * n, two.send, (b"ab",)).start() for n in (1, 2, 3)], one.recv(6, socket.MSG_WAITALL)))
    data, got = bytes(range(256)) * 20_000, bytearray()

    def drain():
        time.sleep(0.1)
        while len(got) < len(data):
            got.extend(two.recv(100_000))

    reader = threading.Thread(target=drain)
    others_run(lambda: (reader.start(), one.sendall(data)))
    reader.join()
    assert got == data
    server = socket.create_server(("127.0.0.1", 0))
    others_run(lambda: (later(lambda: socket.create_connection(server.getsockname()).close()), server.accept()))
    others_run(lambda: time.sleep(0.15))
    # A file is sent as far as the peer takes it.
    got.clear()
    reader = threading.Thread(target=drain)
    others_run(lambda: (reader.start(), one.sendfile(io.BytesIO(data))))
    reader.join()
    assert got == data
    # A connect waits for a place in the backlog.
    with socket.socket() as full, socket.socket() as late:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        clients = [socket.socket() for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        late.settimeout(0.15)
        others_run(lambda: late.connect_ex(full.getsockname()))
        [client.close() for client in clients]
    # A close lingers over what the peer has not taken.
    client = socket.create_connection(server.getsockname())
    peer, _ = server.accept()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
    client.setblocking(False)
    try:
        while True:
            client.send(bytes(1 << 16))
    except BlockingIOError:
        client.setblocking(True)
    others_run(client.close)
    peer.close()
    stop.set()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def servers():
    """A threading server answers while another connection is idle."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        idle = socket.create_connection(server.server_address)
        answers = []

        def ask(number):
            connection = http.client.HTTPConnection(*server.server_address, timeout=20)
            connection.request("GET", f"/{number}")
            answers.append(connection.getresponse().read())
            connection.close()

        asking = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        [thread.start() for thread in asking]
        [thread.join() for thread in asking]
        assert sorted(answers) == sorted(b"/%d" % number for number in range(20))
        idle.close()
        server.shutdown()
        serving.join()

    class Upper(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(line.upper())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Upper) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        streams = [socket.create_connection(server.server_address) for _ in range(5)]
        for number, stream in enumerate(streams):
            stream.sendall(b"line %d\n" % number)
            assert stream.makefile("rb").readline() == b"LINE %d\n" % number
            stream.close()
        server.shutdown()


def asyncio_threads():
    """asyncio.run with an executor, to_thread, and a call from another thread."""

    async def main():
        loop = asyncio.get_running_loop()
        start = time.monotonic()
        slept = [asyncio.to_thread(time.sleep, 0.2) for _ in range(4)]
        await asyncio.gather(*slept, asyncio.sleep(0.2))
        assert time.monotonic() - start < 1
        assert await loop.run_in_executor(None, divmod, 9, 4) == (2, 1)
        called = loop.create_future()
        threading.Timer(0.05, loop.call_soon_threadsafe, (called.set_result, 7)).start()
        assert await called == 7
        return await loop.getaddrinfo("127.0.0.1", 80)

    assert asyncio.run(main())


def many():
    """2,000 threads at once."""
    go, count, lock = threading.Event(), [0], threading.Lock()

    def run():
        go.wait()
        with lock:
            count[0] += 1

    threading.stack_size(64 << 10)
    threads = [threading.Thread(target=run) for _ in range(2000)]
    [thread.start() for thread in threads]
    assert threading.active_count() == 2001
    go.set()
    [thread.join() for thread in threads]
    assert count[0] == 2000


def stacks():
    """Threads that wait, each with a stack that a deep recursion of C has filled. The command ends this program."""
    hold, done = threading.Event(), threading.Semaphore(0)

    def fill():
        nested = []
        for _ in range(100_000):
            nested = [nested]
        del nested
        done.release()
        hold.wait()

    for _ in range(100):
        threading.Thread(target=fill, daemon=True).start()
        done.acquire()
    raise AssertionError("nobody has ended this program")


def limited():
    """Under a limit of 3 threads, the fourth can't start, and a thread that has ended makes room."""
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(3)]
    [thread.start() for thread in threads]
    try:
        threading.Thread(target=stop.wait).start()
        raise AssertionError("a fourth thread has started")
    except RuntimeError as error:
        assert str(error) == "can't start new thread", error
    stop.set()
    [thread.join() for thread in threads]
    again = threading.Thread(target=print)
    again.start()
    again.join()


def none():
    """Without threads none starts, and everything else works."""
    try:
        threading.Thread(target=print).start()
        raise AssertionError("a thread has started")
    except RuntimeError as error:
        assert str(error) == "can't start new thread", error
    one, two = socket.socketpair()
    one.sendall(b"data")
    assert two.recv(10) == b"data"


def recursion():
    """Deep recursion in a thread is a RecursionError."""
    errors = []

    def deep():
        value = []
        for _ in range(100_000):
            value = [value]
        for function in (lambda: repr(value), lambda: endless(0)):
            try:
                function()
            except RecursionError as error:
                errors.append(error)

    def endless(depth):
        return endless(depth + 1)

    thread = threading.Thread(target=deep)
    thread.start()
    thread.join()
    assert len(errors) == 2, errors


def joined():
    """The interpreter waits at its end for threads that are no daemons."""
    threading.Thread(target=lambda: (time.sleep(0.2), print("the thread ends", flush=True))).start()
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()


def interrupted_lock():
    """Ctrl-C reaches the main thread while it waits for a lock."""
    lock = threading.Lock()
    lock.acquire()
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    print("ready", flush=True)
    try:
        lock.acquire()
    except KeyboardInterrupt:
        print("KeyboardInterrupt", flush=True)


def interrupted_loop():
    """Ctrl-C cancels the main task of asyncio.run, which then raises KeyboardInterrupt."""

    async def main():
        print("ready", flush=True)
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("cancelled", flush=True)
            raise

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("KeyboardInterrupt", flush=True)


def interrupted_computation():
    """Ctrl-C reaches the main thread while it computes."""
    print("ready", flush=True)
    try:
        while True:
            pass
    except KeyboardInterrupt:
        print("KeyboardInterrupt", flush=True)


def stopped():
    """The second Ctrl-C stops a program whose threads all compute."""

    def compute():
        while True:
            try:
                while True:
                    pass
            except KeyboardInterrupt:
                pass

    threading.Thread(target=compute, daemon=True).start()
    print("ready", flush=True)
    compute()


def calls_that_fail():
    """A thread makes exceptions of TLS while others enter and leave calls that wait."""
    import ssl

    stop = threading.Event()

    def wait():
        with select.epoll() as epoll:
            while not stop.is_set():
                epoll.poll(0.0001)

    waiting = [threading.Thread(target=wait) for _ in range(8)]
    [thread.start() for thread in waiting]
    try:
        context = ssl.create_default_context()
        for _ in range(500):
            incoming = ssl.MemoryBIO()
            incoming.write_eof()
            session = context.wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="sandbox.example")
            try:
                session.do_handshake()
                raise AssertionError("there is no server")
            except ssl.SSLEOFError as error:
                assert error.reason == "UNEXPECTED_EOF_WHILE_READING", error
    finally:
        stop.set()
        [thread.join() for thread in waiting]


def stress():
    """Threads that compute, start threads, use queues and sockets, all at once, for some seconds."""
    import json
    import re
    import zlib

    end = time.monotonic() + float(sys.argv[2])
    counts, errors, lock = {}, [], threading.Lock()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    items = queue.Queue(5)

    def compress():
        data = random.randbytes(20_000)
        assert zlib.decompress(zlib.compress(data)) == data

    def encode():
        value = {str(number): [number, number * 1.5, None] for number in range(200)}
        assert json.loads(json.dumps(value)) == value

    def match():
        assert sum(map(int, re.findall(r"\d+", " ".join(map(str, range(500)))))) == 124_750

    def start():
        results = []
        thread = threading.Thread(target=lambda: results.append(sum(range(1000))))
        thread.start()
        thread.join()
        assert results == [499_500]

    def put():
        try:
            items.put(1, timeout=5)
        except queue.Full:
            # The thread that takes may have come to its end first.
            assert time.monotonic() >= end

    def take():
        try:
            assert items.get(timeout=0.05) == 1
        except queue.Empty:
            pass

    def ask():
        connection = http.client.HTTPConnection(*server.server_address, timeout=20)
        connection.request("GET", "/" + "a" * random.randrange(3000))
        assert connection.getresponse().read().startswith(b"/")
        connection.close()

    def pair():
        one, two = socket.socketpair()
        with one, two:
            one.sendall(b"x" * 1000)
            assert two.recv(1000, socket.MSG_WAITALL) == b"x" * 1000

    def repeat(function):
        try:
            while time.monotonic() < end:
                function()
                with lock:
                    counts[function.__name__] = counts.get(function.__name__, 0) + 1
        except BaseException as error:
            errors.append((function.__name__, error))

    functions = [compress, encode, match, start, put, take, ask, ask, ask, pair]
    threads = [threading.Thread(target=repeat, args=(function,)) for function in functions]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    server.shutdown()
    assert not errors, errors
    assert set(counts) == {function.__name__ for function in functions}, counts
    print(counts)


def sleepers():
    """Threads that hand items over and sleep in between. The last of them ends too, when no other wants the interpreter's lock."""

    def feed(items, places):
        while items:
            places.put(items.pop())
            if random.random() > 0.5:
                time.sleep(random.random() * 1e-3)
        places.put(None)

    def consume(places, got, waits):
        while True:
            try:
                item = places.get(timeout=1e-5) if waits else places.get(block=False)
            except queue.Empty:
                if not waits:
                    time.sleep(1e-5)
                continue
            if item is None:
                return
            got.append(item)

    for _ in range(4):
        # This one is of Python, and waits for locks.
        items, places, got = list(range(5000)), queue._PySimpleQueue(), []
        threads = [threading.Thread(target=feed, args=(items, places)) for _ in range(50)]
        threads += [threading.Thread(target=consume, args=(places, got, at % 2)) for at in range(50)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert sorted(got) == list(range(5000)), len(got)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("ok", flush=True)
