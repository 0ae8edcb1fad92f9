"""The grants of TLS and Python programs: `tls-connect` alone, and identities that the command lends. The peers are of this process."""

import contextlib
import http.server
import os
import socket
import ssl
import subprocess
import threading

from harness import PATIENCE, command, need, program, sandbox, started
from tls import make_certificates

NAME = "server.test"


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"page")

    def log_message(self, *arguments):
        pass


class Https(http.server.ThreadingHTTPServer):
    """An https server whose handshakes are made by the threads of the connections."""

    daemon_threads = True

    def __init__(self, certificate):
        super().__init__(("127.0.0.1", 0), Page)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)

    def finish_request(self, request, client):
        # A client that refuses the certificate, or ends before, is no fault of the server's.
        with contextlib.suppress(OSError):
            with self.context.wrap_socket(request, server_side=True) as stream:
                super().finish_request(stream, client)
                stream.unwrap()


@contextlib.contextmanager
def serving(certificate):
    """Serves until the end, and yields the port."""
    with Https(certificate) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def trusting(folder):
    """Returns the options with which the command trusts the test's authority and knows its server's name."""
    return ["--resolve", f"{NAME}=127.0.0.1", "--tls-roots", os.path.join(folder, "ca.pem")]


def tls_connect_alone(folder):
    """urllib, http.client, asyncio and memory BIOs with the grant of tls-connect alone, and plain bytes that it does not allow."""
    other = os.path.join(folder, "other")
    os.mkdir(other)
    make_certificates(folder)
    make_certificates(other)
    with serving(os.path.join(folder, "server.pem")) as port, serving(os.path.join(other, "server.pem")) as impostor:
        allow = [f"tls-connect={NAME}:{port}", f"tls-connect={NAME}:{impostor}"]
        sandbox(program("tls_alone"), str(port), str(impostor), allow=allow, options=trusting(folder))


def greet(listener, context, seen):
    """Sends a client the name of its certificate. The next one may fail."""
    for _ in range(2):
        plain, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as stream:
            (name,) = [value for kind, value in stream.getpeercert()["subjectAltName"] if kind == "DNS"]
            seen.append(name)
            stream.sendall(name.encode())


def tls_identity_lent(folder):
    """`load_cert_chain("identity:NAME")`, for clients and servers, without the file of the key."""
    make_certificates(folder)
    pem = os.path.join(folder, "server.pem")
    trusted = ssl.create_default_context(cafile=os.path.join(folder, "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=os.path.join(folder, "ca.pem"))
    context.load_cert_chain(pem)
    context.verify_mode = ssl.CERT_REQUIRED
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=greet, args=(listener, context, seen), daemon=True).start()
        identities = [f"{name}={os.path.join(folder, 'server.crt')},{os.path.join(folder, 'server.key')}" for name in ("web", "other")]
        options = [*trusting(folder), "--tls-identity", identities[0], "--tls-identity", identities[1]]
        allow = [f"tls-connect={NAME}:{port}", "tcp-listen=127.0.0.1:0", "tls-identity=web"]
        words = command(program("tls_identity"), str(port), os.path.join(folder, "server.key"), allow=allow, options=options)
        with started(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as guest:
            line, answers = guest.stdout.readline(), []
            # If a client fails, the guest says why.
            with contextlib.suppress(OSError):
                for _ in range(2 if line else 0):
                    with socket.create_connection(("127.0.0.1", int(line)), timeout=60) as plain:
                        with trusted.wrap_socket(plain, server_hostname=NAME) as stream:
                            stream.sendall(b"hello\n")
                            answers.append(stream.recv(100))
            output, errors = guest.communicate(timeout=PATIENCE)
        assert guest.returncode == 0 and output == "ok\n", errors[-4000:]
        assert answers == [b"HELLO\n"] * 2, answers
    assert seen == [NAME], seen


def tls_two_identities(folder):
    """A server with a certificate of each kind shows the one that the client takes."""
    openssl = need("openssl")
    make_certificates(folder)
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "rsa.key", "-out", "rsa.crt", "-days", "2", "-subj", f"/CN={NAME}"]
    subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)
    clients = {
        ("-tls1_3", "-sigalgs", "RSA-PSS+SHA256"): "RSA-PSS",
        ("-tls1_3", "-sigalgs", "ECDSA+SHA256"): "ECDSA",
        ("-tls1_3",): "ECDSA",
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"): "RSA-PSS",
        ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"): "ECDSA",
        ("-tls1_2",): "ECDSA",
    }
    words = command(program("tls_two_identities"), folder, str(len(clients)), allow=["tcp-listen=127.0.0.1:0"], options=["--dir", folder])
    with started(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as guest:
        line = guest.stdout.readline().strip()
        for options, expected in clients.items() if line else ():
            connect = [openssl, "s_client", "-connect", f"127.0.0.1:{line}", *options]
            ran = subprocess.run(connect, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
            assert f"Peer signature type: {expected}\n" in ran.stdout, (options, ran.stdout[-2000:], ran.stderr[-2000:])
        output, errors = guest.communicate(timeout=PATIENCE)
    assert guest.returncode == 0 and output == "ok\n", errors[-4000:]


TESTS = {
    "tls_connect_alone": tls_connect_alone,
    "tls_identity_lent": tls_identity_lent,
    "tls_two_identities": tls_two_identities,
}
