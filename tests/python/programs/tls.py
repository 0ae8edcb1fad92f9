"""TLS by CPython's own `ssl`: clients and servers of the standard library. The arguments are a folder with `ca.pem` and, in
`server.pem`, the certificate and key of `server.test`."""

import asyncio
import http.server
import os
import socket
import ssl
import sys
import threading
import urllib.request

folder = sys.argv[1]
AUTHORITY, SERVER = os.path.join(folder, "ca.pem"), os.path.join(folder, "server.pem")
NAME = "server.test"


def raises(kind, function, *arguments, **keywords):
    """Returns the exception that a call raises."""
    try:
        function(*arguments, **keywords)
    except kind as error:
        return error
    raise AssertionError(f"{function} raised nothing")


def client_context(**keywords):
    return ssl.create_default_context(cafile=AUTHORITY, **keywords)


def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SERVER)
    return context


class Echo(threading.Thread):
    """A server that sends back what it receives, and then ends TLS."""

    def __init__(self, context, handler=None):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.context, self.handler, self.errors = context, handler or self.echo, []
        self.start()

    def run(self):
        while True:
            plain, _ = self.listener.accept()
            plain.settimeout(20)
            try:
                with self.context.wrap_socket(plain, server_side=True) as stream:
                    self.handler(stream)
            except OSError as error:
                self.errors.append(error)
                plain.close()

    @staticmethod
    def echo(stream):
        while data := stream.recv(65536):
            stream.sendall(data)
        stream.unwrap().close()


def connect(port, context, name=NAME):
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20), server_hostname=name)


# Both versions, and what was agreed on.
context = server_context()
context.set_alpn_protocols(["h2", "http/1.1"])
echo = Echo(context)
for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    context = client_context()
    context.maximum_version = version
    context.set_alpn_protocols(["http/1.1"])
    with connect(echo.port, context) as stream:
        assert stream.version() == version.name.replace("_", "."), stream.version()
        assert stream.selected_alpn_protocol() == "http/1.1"
        assert stream.cipher()[2] in (128, 256)
        certificate = stream.getpeercert()
        assert ("DNS", NAME) in certificate["subjectAltName"], certificate
        assert len(stream.get_verified_chain()) == 2
        data = os.urandom(300_000)
        sender = threading.Thread(target=stream.sendall, args=(data,))
        sender.start()
        received = bytearray()
        while len(received) < len(data):
            received += stream.recv(65536)
        sender.join()
        assert received == data
        stream.unwrap()

# A socket that waits sends all bytes of one `send`, as with OpenSSL.
with connect(echo.port, client_context()) as stream:
    data, sent, received = bytes(5_000_000), [], 0
    sender = threading.Thread(target=lambda: sent.append(stream.send(data)))
    sender.start()
    while received < len(data):
        received += len(stream.recv(65536))
    sender.join()
    assert sent == [len(data)], sent

# What is refused, with OpenSSL's words.
error = raises(ssl.SSLCertVerificationError, connect, echo.port, client_context(), "other.test")
assert error.verify_code == 62 and "Hostname mismatch" in str(error) and error.reason == "CERTIFICATE_VERIFY_FAILED", error
error = raises(ssl.SSLCertVerificationError, connect, echo.port, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
assert error.verify_code in (19, 20), error
error = raises(ValueError, client_context().wrap_socket, socket.socket())
assert "server_hostname" in str(error)

# A socket that does not wait.
stream = socket.create_connection(("127.0.0.1", echo.port))
stream.setblocking(False)
stream = client_context().wrap_socket(stream, server_hostname=NAME, do_handshake_on_connect=False)
raises(ssl.SSLWantReadError, stream.do_handshake)
stream.settimeout(20)
stream.do_handshake()
stream.settimeout(0.05)
assert "timed out" in str(raises(TimeoutError, stream.recv, 1))
stream.close()


# A connection that ends without close_notify.
def cut(stream):
    stream.sendall(b"half")
    socket.socket(fileno=stream.detach()).close()


with connect(Echo(server_context(), cut).port, client_context()) as stream:
    stream.suppress_ragged_eofs = False
    assert stream.recv(10) == b"half"
    raises(ssl.SSLEOFError, stream.recv, 10)


# The function that chooses by the client's hello.
def choose(stream, name, context):
    names.append(name)
    return None if name == NAME else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME


names = []
context = server_context()
context.sni_callback = choose
picky = Echo(context)
connect(picky.port, client_context()).close()
error = raises(ssl.SSLError, connect, picky.port, client_context(), "other.test")
assert names == [NAME, "other.test"] and error.reason == "TLSV1_UNRECOGNIZED_NAME", (names, error)


# https by urllib.
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"page")

    def log_message(self, *arguments):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Page)
server.socket = server_context().wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
context = client_context()
context.check_hostname = False
with urllib.request.urlopen(f"https://127.0.0.1:{server.server_port}/", context=context, timeout=20) as page:
    assert page.read() == b"page"


# asyncio: a server and a client with TLS from the start, and with start_tls.
async def streams():
    async def answer(reader, writer):
        line = await reader.readline()
        if line == b"upgrade\n":
            writer.write(b"go\n")
            await writer.drain()
            await writer.start_tls(server_context())
            line = await reader.readline()
        writer.write(line.upper())
        await writer.drain()
        writer.close()

    secure = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_context())
    port = secure.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(), server_hostname=NAME)
    writer.write(b"hello\n")
    assert await reader.readline() == b"HELLO\n"
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()

    plain = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = plain.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"upgrade\n")
    assert await reader.readline() == b"go\n"
    await writer.start_tls(client_context(), server_hostname=NAME)
    writer.write(b"again\n")
    assert await reader.readline() == b"AGAIN\n"
    writer.close()


asyncio.run(asyncio.wait_for(streams(), 30))
print("ok")
