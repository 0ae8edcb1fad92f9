"""Servers of this machine's Python for the clients in the sandbox: HTTP and XML-RPC of the standard library, and scripted ones for
protocols that it has no server for. Each runs in a thread."""

import contextlib
import http.server
import socket
import socketserver
import ssl
import threading
import xmlrpc.server


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Test", "yes")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(*((200, b"hello") if self.path == "/hello" else (404, b"")))

    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, body)

    def log_message(self, *arguments):
        pass


class Lines(socketserver.StreamRequestHandler):
    """A protocol of lines."""

    greeting = b""

    def send(self, *lines):
        self.wfile.write(b"".join(line + b"\r\n" for line in lines))

    def handle(self):
        self.send(self.greeting)
        for line in self.rfile:
            if self.command(*line.rstrip(b"\r\n").split(b" ")):
                break


class Smtp(Lines):
    greeting = b"220 test"

    def command(self, word, *arguments):
        match word.upper():
            case b"DATA":
                self.send(b"354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                text = b"".join(lines)
                right = b"Subject: a test" in text and b"\r\n..a line" in text
                self.send(b"250 ok" if right else b"554 this is another message")
            case b"QUIT":
                self.send(b"221 bye")
                return True
            case b"EHLO":
                self.send(b"250-test", b"250 SIZE 1000000")
            case _:
                self.send(b"250 ok")


class Pop(Lines):
    greeting = b"+OK"

    def command(self, word, *arguments):
        match word:
            case b"STAT":
                self.send(b"+OK 1 12")
            case b"RETR":
                self.send(b"+OK", b"Subject: a", b"", b"..text", b".")
            case _:
                self.send(b"+OK")
        return word == b"QUIT"


class Imap(Lines):
    greeting = b"* OK test"

    def command(self, tag, word, *arguments):
        match word:
            case b"CAPABILITY":
                self.send(b"* CAPABILITY IMAP4rev1")
            case b"SELECT":
                self.send(b"* 1 EXISTS")
            case b"FETCH":
                self.send(b"* 1 FETCH (BODY[] {18}", b"Subject: a\r\n\r\ntext)")
            case b"LOGOUT":
                self.send(b"* BYE")
        self.send(tag + b" OK done")
        return word == b"LOGOUT"


class Ftp(Lines):
    greeting = b"220 test"
    data = None

    def transfer(self, act):
        self.send(b"150 go on")
        peer, _ = self.data.accept()
        with self.data, peer:
            size = act(peer)
        self.send(b"226 %d" % size)

    def command(self, word, *arguments):
        match word:
            case b"PASV" | b"EPSV":
                self.data = socket.create_server(("127.0.0.1", 0))
                port = self.data.getsockname()[1]
                self.send(b"227 (127,0,0,1,%d,%d)" % divmod(port, 256) if word == b"PASV" else b"229 (|||%d|)" % port)
            case b"LIST":
                self.transfer(lambda peer: peer.send(b"file\r\n"))
            case b"RETR":
                self.transfer(lambda peer: peer.sendall(b"x" * 100_000) or 100_000)
            case b"STOR":
                self.transfer(lambda peer: sum(map(len, iter(lambda: peer.recv(65536), b""))))
            case b"QUIT":
                self.send(b"221 bye")
                return True
            case b"USER":
                self.send(b"331 a password")
            case _:
                self.send(b"230 ok" if word == b"PASS" else b"200 ok")


@contextlib.contextmanager
def serving(server):
    """Serves in a thread, and returns the port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def threaded(handler):
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    return server


def rpc():
    server = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False, allow_none=True)
    server.register_function(lambda a, b: a + b, "add")
    server.register_function(lambda value: value, "echo")
    return server


@contextlib.contextmanager
def rpc_tls(folder):
    """A server of XML-RPC over the TLS of this machine's Python."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder + "/server.pem")
    server = rpc()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server) as port:
        yield port


@contextlib.contextmanager
def all_servers():
    """Starts a server of each kind, and returns their ports."""
    kinds = {"xmlrpc": rpc()}
    for name, handler in (("http", Http), ("smtp", Smtp), ("pop", Pop), ("imap", Imap), ("ftp", Ftp)):
        kinds[name] = threaded(handler)
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(serving(server)) for name, server in kinds.items()}
