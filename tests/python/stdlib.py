"""The standard library in the sandbox, against clients and servers outside of it."""

import concurrent.futures
import contextlib
import http.client
import json
import multiprocessing.connection
import os
import pickle
import socket
import struct
import subprocess
import time
import xmlrpc.client

import peers
from harness import PATIENCE, Skip, command, free_port, has_threads, need, program, sandbox, server, started


def stand_ins(folder):
    sandbox(program("stand_ins"))
    sandbox(program("stand_ins"), "--as-linux", options=["--as-linux"])


def clients(folder):
    with peers.all_servers() as ports:
        sandbox(program("clients"), *[f"{name}={port}" for name, port in ports.items()], allow=["tcp-connect=127.0.0.1:*"])


def loop(folder):
    allow = ["tcp-listen=127.0.0.1:0", "tcp-connect=127.0.0.1:*", "udp-bind=127.0.0.1:0", "udp-send=127.0.0.1:*", "udp-receive=127.0.0.1:*",
             f"unix-bind={folder}/*", f"unix-connect={folder}/*"]  # fmt: skip
    sandbox(program("loop"), folder, allow=allow)


def logs(folder):
    path = folder + "/log"
    kind = socket.AF_INET, socket.SOCK_DGRAM
    with (
        socket.socket(*kind) as syslog,
        socket.create_server(("127.0.0.1", 0)) as stream,
        socket.socket(*kind) as datagram,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local,
    ):
        local.bind(path)
        for receiver in (syslog, stream, datagram, local):
            receiver.settimeout(PATIENCE)
            if receiver is syslog or receiver is datagram:
                receiver.bind(("127.0.0.1", 0))
        ports = [receiver.getsockname()[1] for receiver in (syslog, stream, datagram)]
        allow = [f"tcp-connect=127.0.0.1:{ports[1]}", f"unix-connect={path}"]
        allow += [f"udp-send=127.0.0.1:{ports[0]}", f"udp-send=127.0.0.1:{ports[2]}"]
        sandbox(program("logs"), *map(str, ports), path, allow=allow)
        text = "a message for everybody"
        for receiver in (syslog, local):
            got = receiver.recv(1000)
            assert got == f"<14>{text}\0".encode(), got
        with stream.accept()[0] as connection:
            with connection.makefile("rb") as file:
                (size,) = struct.unpack(">L", file.read(4))
                record = pickle.loads(file.read(size))
        assert record["msg"] == text, record
        assert pickle.loads(datagram.recv(10_000)[4:])["msg"] == text


def served(kind, place, count, allow, client):
    """Runs a server of the sandbox, talks to it, and checks that it ends."""
    words = command(program("servers"), kind, str(place), str(count), allow=allow)
    with started(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            client()
            output, errors = process.communicate(timeout=PATIENCE)
        except (OSError, AssertionError) as error:
            process.kill()
            raise AssertionError(f"{error}\n{process.communicate()[1][-3000:]}") from error
        assert process.returncode == 0 and output == "ok\n", output + errors[-3000:]


def again(connect):
    """Calls a function until there is somebody to talk to."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return connect()
        except (ConnectionRefusedError, FileNotFoundError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def ask_stream(connect):
    with again(connect) as client, client.makefile("rwb") as file:
        for line in (b"one\n", b"x" * 100_000 + b"\n"):
            file.write(line)
            file.flush()
            got = file.readline()
            assert got == line.upper(), got[:100]


def ask_datagram(client, address):
    with client:
        client.settimeout(0.5)
        for _ in range(PATIENCE * 2):
            try:
                client.sendto(b"hello", address)
                got = client.recv(100)
            except (TimeoutError, ConnectionRefusedError, FileNotFoundError):
                time.sleep(0.1)
                continue
            assert got == b"HELLO", got
            return
        raise AssertionError("no answer")


def unix(path, kind):
    client = socket.socket(socket.AF_UNIX, kind)
    if kind == socket.SOCK_STREAM:
        try:
            client.connect(path)
        except OSError:
            client.close()
            raise
    return client


def socketserver(folder):
    port = free_port()

    def tcp():
        for _ in range(3):
            ask_stream(lambda: socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))

    served("tcp", port, 3, [f"tcp-listen=127.0.0.1:{port}"], tcp)
    port = free_port(socket.SOCK_DGRAM)
    address = ("127.0.0.1", port)
    served(
        "udp",
        port,
        1,
        [f"udp-bind=127.0.0.1:{port}", "udp-receive=127.0.0.1:*", "udp-send=127.0.0.1:*"],
        lambda: ask_datagram(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), address),
    )
    path = folder + "/stream"
    allow = [f"unix-bind={folder}/*", f"unix-connect={folder}/*"]
    served("unix-stream", path, 1, allow, lambda: ask_stream(lambda: unix(path, socket.SOCK_STREAM)))
    path = folder + "/datagram"
    client = unix(path, socket.SOCK_DGRAM)
    client.bind(folder + "/client")
    served("unix-datagram", path, 1, allow, lambda: ask_datagram(client, path))


def wsgiref(folder):
    port = free_port()

    def client():
        again(lambda: socket.create_connection(("127.0.0.1", port))).close()
        for body in ("", "a body"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request("POST", "/path", body, {"Content-Type": "text/plain"})
            answer = json.loads(connection.getresponse().read())
            assert answer == {"path": "/path", "body": body}, answer
            connection.close()

    served("wsgi", port, 3, [f"tcp-listen=127.0.0.1:{port}", "reverse-resolve=127.0.0.1"], client)


def xmlrpc_server(folder):
    port = free_port()

    def client():
        again(lambda: socket.create_connection(("127.0.0.1", port))).close()
        with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port}") as proxy:
            assert proxy.add(40, 2) == 42

    served("xmlrpc", port, 2, [f"tcp-listen=127.0.0.1:{port}"], client)


def connection(folder):
    port = free_port()

    def client():
        for value in ("text", {"a": [1, 2, b"3"]}):
            with again(lambda: multiprocessing.connection.Client(("127.0.0.1", port), authkey=b"a secret")) as peer:
                peer.send(value)
                assert peer.recv()[0] == value

    served("connection", port, 2, [f"tcp-listen=127.0.0.1:{port}"], client)


@contextlib.contextmanager
def shared_file(folder, *words, listen="tcp-listen=127.0.0.1:{}", options=()):
    """Starts -m http.server in the sandbox for a folder with a file of 1 MB, and its log. Gives the port and the file's bytes. `listen` is
    the grant for the port."""
    if not has_threads():
        raise Skip("this runner has no threads, which http.server serves with")
    port, whole = free_port(), os.urandom(1 << 20)
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/file", "wb") as file:
        file.write(whole)
    words = command("-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", folder, *words,
                    allow=[listen.format(port), "reverse-resolve=127.0.0.1"],
                    options=["--dir", folder, *options])  # fmt: skip
    with server(words, port, folder + "/log"):
        yield port, whole


def http_server(folder):
    """-m http.server under curl: a file of 1 MB, 20 requests at the same time, and one connection that says nothing."""
    curl = need("curl")
    with shared_file(folder) as (port, whole), socket.create_connection(("127.0.0.1", port)):

        def get(number):
            fetch = [curl, "--silent", "--show-error", "--fail", "--max-time", "60", f"http://127.0.0.1:{port}/file"]
            return subprocess.run(fetch, capture_output=True, timeout=PATIENCE).stdout

        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(get, range(20)))
    right = sum(answer == whole for answer in answers)
    assert right == 20, f"{right} of 20 requests got the file"


TESTS = {
    f"stdlib_{test.__name__}": test
    for test in (stand_ins, clients, loop, logs, socketserver, wsgiref, xmlrpc_server, connection, http_server)
}
