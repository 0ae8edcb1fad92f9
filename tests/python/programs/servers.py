"""Servers of the standard library without threads. The arguments are the kind, the address and the number of requests to serve."""

import json
import multiprocessing.connection
import socketserver
import sys
import wsgiref.simple_server
import wsgiref.validate
import xmlrpc.server


class Stream(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class Datagram(socketserver.DatagramRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read().upper())


@wsgiref.validate.validator
def application(environ, start_response):
    body = json.dumps({"path": environ["PATH_INFO"], "body": environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0)).decode()})
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body.encode()]


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


def wsgi(address, handler):
    return wsgiref.simple_server.make_server(*address, application, handler_class=handler)


def rpc(address, handler):
    server = xmlrpc.server.SimpleXMLRPCServer(address, logRequests=False)
    server.register_function(lambda a, b: a + b, "add")
    return server


def connection(path, count):
    with multiprocessing.connection.Listener(path, authkey=b"a secret") as listener:
        for _ in range(count):
            with listener.accept() as peer:
                peer.send([peer.recv(), listener.last_accepted])


KINDS = {
    "tcp": (socketserver.TCPServer, Stream),
    "udp": (socketserver.UDPServer, Datagram),
    "unix-stream": (socketserver.UnixStreamServer, Stream),
    "unix-datagram": (socketserver.UnixDatagramServer, Datagram),
    "wsgi": (wsgi, Quiet),
    "xmlrpc": (rpc, None),
}

kind, place, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
address = ("127.0.0.1", int(place)) if place.isdecimal() else place
if kind == "connection":
    connection(address, count)
else:
    server, handler = KINDS[kind]
    socketserver.TCPServer.allow_reuse_address = True
    with server(address, handler) as server:
        for _ in range(count):
            server.handle_request()
print("ok")
