"""Measures Python programs in `sandsock python` beside the Python that runs this file.

    sandbox.py [--command PATH] [--runner DIR] [--rounds N] [--rows WORD]

Everything runs on one CPU. The peers are processes of their own, one for all columns. Each row runs every column once a round, in an
order that rotates, and shows the medians. Writes target/bench/python.json and python-memory.json for scripts/bench-report.py. A cell
that fails prints its error, and the others go on. The variable SANDSOCK names the command, too.
"""

import argparse
import collections
import json
import os
import platform
import resource
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(HERE, "sandbox_work.py")
HELLO = os.path.join(HERE, "sandbox_hello.py")
PATIENCE = 60

CHAIN, KEY = "chain.pem", "key.pem"
COLUMNS = ("CPython", "sandsock", "sandsock, threads=0")
GRANTS = ("tcp-connect=127.0.0.1:*", "tcp-listen=127.0.0.1:*")

Row = collections.namedtuple("Row", "name work size count target threads", defaults=(None, False))
ROWS = (
    Row("sendall 64 KiB", "send", 65536, 4_000, 1.2),
    Row("recv 64 KiB", "receive", 65536, 4_000, 1.4),
    Row("sendall 1 KiB", "send", 1024, 100_000, 1.4),
    Row("recv 1 KiB", "receive", 1024, 100_000, 1.8),
    Row("round trip 64 B", "round-trip", 64, 10_000, 1.4),
    Row("connect", "connect", 0, 3_000),
    Row("tls handshake", "tls-handshake", 0, 300, 1.3),
    Row("tls sendall 64 KiB", "tls-send", 65536, 2_000, 1.3),
    Row("tls recv 64 KiB", "tls-receive", 65536, 2_000, 1.3),
    Row("select of one", "select", 0, 50_000, 3.0),
    Row("epoll of 1,000, 1 ready", "epoll-1", 0, 50_000),
    Row("epoll of 1,000, 100 ready", "epoll-100", 0, 5_000),
    Row("asyncio echo", "asyncio", 64, 3_000, 2.6),
    Row("asyncio echo, no sockets", "asyncio-memory", 64, 10_000),
    Row("http request", "http", 0, 800, 2.6),
    Row("http request, a thread each", "http-threads", 0, 800, 2.6, True),
    Row("http request, --instances 1", "served-listener", 0, 800),
    Row("http request, --listen", "served-connection", 0, 200),
    Row("http request, no sockets", "http-memory", 0, 2_000),
    Row("the interpreter alone", "interpreter", 0, 100_000),
    Row("queue to a thread and back", "queue", 0, 5_000, None, True),
    Row("thread start and join", "thread", 0, 2_000, None, True),
)
# The works that are servers, and the client's part.
CLIENTS = {"asyncio": "echo", "http": "http", "http-threads": "http", "served-listener": "http", "served-connection": "http"}
# The options with which the command serves, for the works that it serves with. Natively, http.server is measured.
SERVED = {"served-listener": ("--listen", "127.0.0.1:0", "--instances", "1"), "served-connection": ("--listen", "127.0.0.1:0")}


# The peer: a process of its own, which this file starts with --peer.


def receive_exactly(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            return None
        data += part
    return data


def peer_connection(sock):
    """Does what the first 17 bytes of a connection say, in blocks of 256 KiB at most."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        request = receive_exactly(sock, 17)
        if request is None:
            return
        kind, (total, size) = request[:1], struct.unpack("<QQ", request[1:])
        buffer = memoryview(bytearray(1 << 18))
        sock.sendall(b"+")
        if kind == b"s":
            while total:
                total -= sock.recv_into(buffer)
            sock.sendall(b"+")
        elif kind == b"r":
            while total:
                total -= sock.send(buffer[: min(total, len(buffer))])
        else:
            while total:
                count = sock.recv_into(buffer, size)
                sock.sendall(buffer[:count])
                total -= count


def peer(folder):
    """Prints a port for plain connections, and one for TLS, whose sessions are not resumed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, CHAIN), os.path.join(folder, KEY))
    context.num_tickets = 0
    # Connections that the peer has not taken yet must fit, or connect waits for a second attempt.
    plain, secure = [socket.create_server(("127.0.0.1", 0), backlog=4096) for _ in range(2)]
    print(plain.getsockname()[1], secure.getsockname()[1], flush=True)

    def serve(listener, wrap):
        while True:
            try:
                peer_connection(wrap(listener.accept()[0]))
            except OSError:
                pass

    threading.Thread(target=serve, args=(secure, lambda sock: context.wrap_socket(sock, server_side=True)), daemon=True).start()
    serve(plain, lambda sock: sock)


# The clients of the measured servers: processes of their own, which this file starts with --client.


def client(kind, port, size, count):
    """Prints the nanoseconds of a request."""
    if kind == "echo":
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = bytes(size)

        def act():
            sock.sendall(data)
            receive_exactly(sock, size)
    else:
        buffer = bytearray(4096)

        def act():
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
                got = 0
                while part := sock.recv_into(buffer):
                    got += part
                assert got > 100, "the answer is too short"

    for _ in range(count // 10):
        act()
    start = time.monotonic_ns()
    for _ in range(count):
        act()
    print((time.monotonic_ns() - start) / count)


# What the columns run.


class Failed(Exception):
    """A cell that could not be measured."""


def words(column, options, *program):
    """Returns the command line of a column for a program, and its environment."""
    if column == 0:
        return [sys.executable, *program]
    line = [options.command, "python", "--runner", options.runner, "--tls-roots", os.environ["SSL_CERT_FILE"]]
    for grant in GRANTS:
        line += ["--allow", grant]
    return [*line, *(["--limit", "threads=0"] if column == 2 else []), *program]


def run(line):
    """Runs a program to its end, and returns its last line as a number."""
    try:
        ran = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise Failed(f"it has not ended after {PATIENCE} seconds") from None
    try:
        return float(ran.stdout.split()[-1])
    except (IndexError, ValueError):
        raise Failed(f"status {ran.returncode}: {ran.stdout[-500:]}{ran.stderr[-1500:]}") from None


class Started:
    """A program that has printed its first line. It is killed at the end."""

    def __init__(self, line):
        self.line = line

    def __enter__(self):
        start = time.monotonic_ns()
        self.process = subprocess.Popen(
            self.line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        self.first = self.process.stdout.readline()
        self.nanoseconds = time.monotonic_ns() - start
        watch.cancel()
        if not self.first:
            self.process.kill()
            raise Failed(self.process.communicate()[1][-1500:])
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()


def measure_work(row, column, options, port):
    if row.threads and column == 2:
        return None
    if row.work in SERVED and column:
        return measure_served(row, column, options)
    work = "http" if row.work in SERVED else row.work
    line = words(column, options, WORK, work, str(port), str(row.size), str(max(row.count // options.divide, 10)))
    if row.work not in CLIENTS:
        return run(line)
    with Started(line) as server:
        return run_client(row, options, server.first.strip())


def run_client(row, options, port):
    arguments = [CLIENTS[row.work], port, str(row.size), str(max(row.count // options.divide, 10))]
    return run([sys.executable, os.path.abspath(__file__), "--client", *arguments])


def measure_served(row, column, options):
    """The command says on standard error where it listens."""
    line = words(column, options, *SERVED[row.work], WORK, row.work, "0", "0", "0")
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while (said := process.stderr.readline()) and "listening on" not in said:
            pass
        if not said:
            raise Failed("the command does not listen")
        return run_client(row, options, said.rpartition(":")[2].strip())
    finally:
        process.kill()
        process.communicate()


def measure_start(*program):
    """The time from the start of the process to its first line: the median of three starts."""

    def measure(column, options):
        times = []
        for _ in range(3):
            with Started(words(column, options, *program)) as started:
                times.append(started.nanoseconds)
        return statistics.median(times)

    return measure


def family(pid):
    """Returns a process and all that it has started."""
    found = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children") as file:
                children = file.read().split()
        except OSError:
            continue
        for child in children:
            found += family(int(child))
    return found


def memory(pid):
    """Returns KiB of resident memory at most, and of those that no other process has, for a process and all that it has started."""
    sums = [0, 0]
    for each in family(pid):
        with open(f"/proc/{each}/status") as file:
            status = dict(line.split(":", 1) for line in file)
        sums[0] += int(status["VmHWM"].split()[0])
        with open(f"/proc/{each}/smaps_rollup") as file:
            rollup = dict(line.split(":", 1) for line in list(file)[1:])
        sums[1] += sum(int(rollup[f"Private_{kind}"].split()[0]) for kind in ("Clean", "Dirty"))
    return sums


HTTP_SERVER = ("-u", "-m", "http.server", "0", "--bind", "127.0.0.1")
STARTS = (
    ("start to the first line", measure_start(HELLO)),
    ("start of -m http.server", measure_start(*HTTP_SERVER)),
)
MEMORY_ROWS = ("idle http.server, at most", "one more idle http.server")


def measure_memory(column, options):
    # Beside another one, so that the pages that they share do not count as its own.
    line = words(column, options, *HTTP_SERVER)
    with Started(line), Started(line) as started:
        time.sleep(0.2)
        return memory(started.process.pid)


# The table.


def attempt(name, column, measure):
    try:
        return measure()
    except (Failed, OSError, KeyError, ValueError) as error:
        print(f"{name}, {COLUMNS[column]}: FAILED: {error}", flush=True)
        return None


def median_of_rounds(name, rounds, measure):
    """Returns the median of each column's rounds, or None for a column without any."""
    times = [[] for _ in COLUMNS]
    for turn in range(rounds):
        for at in range(len(COLUMNS)):
            column = (turn + at) % len(COLUMNS)
            # A column that has failed twice is given up.
            if turn < 2 or times[column]:
                result = attempt(name, column, lambda: measure(column))
                if result is not None:
                    times[column].append(result)
    return times


def show(row, cells, form, target):
    line = f"{row:<30}"
    for at, cell in enumerate(cells):
        ratio = f"({cell / cells[0]:.2f})" if at and cell is not None and cells[0] else ""
        line += f" {'-' if cell is None else form(cell):>12} {ratio:<7}"
    print(line + (f"  target {target}" if target else ""), flush=True)


def nanoseconds(time):
    return f"{time:.0f} ns" if time < 10_000 else f"{time / 1000:.1f} us" if time < 10_000_000 else f"{time / 1e6:.1f} ms"


def kibibytes(size):
    return f"{size / 1024:.1f} MiB"


def save(name, about, unit, rows):
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    table = {
        "bench": name, "about": about, "unit": unit, "time": int(time.time()), "cpu": (models or ["?"])[0], "cpus": os.cpu_count(),
        "kernel": platform.release(), "columns": COLUMNS, "compared": True,
        "rows": [{"row": row, "times": cells} for row, cells in rows],
    }  # fmt: skip
    folder = os.path.join(ROOT, "target", "bench")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"{name}.json"), "w") as file:
        json.dump(table, file, indent=1)


def make_identity(folder):
    """Makes a certificate that is its own root, and its key, in files."""
    line = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    line += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    line += ["-out", os.path.join(folder, CHAIN), "-keyout", os.path.join(folder, KEY)]
    subprocess.run(line, check=True, capture_output=True)


def main():
    if sys.argv[1:2] == ["--peer"]:
        return peer(sys.argv[2])
    if sys.argv[1:2] == ["--client"]:
        return client(sys.argv[2], *map(int, sys.argv[3:]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", default=os.environ.get("SANDSOCK") or os.path.join(ROOT, "target/dist/sandsock"))
    parser.add_argument("--runner", default=os.path.join(ROOT, "target/python"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", metavar="WORD", help="measure only the rows whose names have this word; writes no files")
    parser.add_argument("--divide", type=int, default=1, metavar="N", help="do only this part of each row's work")
    options = parser.parse_args()

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    chosen = lambda name: not options.rows or options.rows in name

    with tempfile.TemporaryDirectory() as folder:
        make_identity(folder)
        # The default roots of Python's ssl, natively.
        os.environ["SSL_CERT_FILE"] = os.path.join(folder, CHAIN)
        measure(options, chosen, folder)


def measure(options, chosen, folder):
    # The first start may compile the runner.
    subprocess.run(words(1, options, HELLO), stdout=subprocess.DEVNULL, timeout=600)
    subprocess.run(words(2, options, HELLO), stdout=subprocess.DEVNULL, timeout=600)
    version = platform.python_version()
    about = f"Python programs in `sandsock python` (CPython 3.14) beside CPython {version} of this machine. Everything ran on one CPU; "
    about += f"medians of {options.rounds} interleaved rounds."
    print(f"{about}\n{sys.executable}, {options.command}")
    print(f"{'':<30}" + "".join(f" {column:>20}" for column in COLUMNS))
    rows, sizes = [], []
    for name, measure in STARTS:
        if chosen(name):
            times = median_of_rounds(name, options.rounds, lambda column: measure(column, options))
            rows.append((name, [statistics.median(part) if part else None for part in times]))
            show(*rows[-1], nanoseconds, None)
    if chosen("idle http.server"):
        times = median_of_rounds("memory", options.rounds, lambda column: measure_memory(column, options))
        for at, name in enumerate(MEMORY_ROWS):
            sizes.append((name, [statistics.median(sums[at] for sums in part) if part else None for part in times]))
            show(*sizes[-1], kibibytes, None)
    with Started([sys.executable, os.path.abspath(__file__), "--peer", folder]) as peers:
        plain, secure = map(int, peers.first.split())
        for row in ROWS:
            if chosen(row.name):
                port = secure if row.work.startswith("tls-") else plain
                times = median_of_rounds(row.name, options.rounds, lambda column: measure_work(row, column, options, port))
                rows.append((row.name, [statistics.median(part) if part else None for part in times]))
                show(*rows[-1], nanoseconds, row.target)
    if not options.rows:
        save("python", about, "ns", rows)
        save("python-memory", f"Resident memory of a server that waits. {about}", "KiB", sizes)


if __name__ == "__main__":
    main()
