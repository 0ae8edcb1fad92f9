"""An echo server: it returns what each client sends, one client after the other. It takes IPv4 and IPv6 clients on one socket.

    sandsock python --allow 'tcp-listen=*:50007' examples/python/echo_server.py [PORT] [CLIENTS]
"""

import itertools
import socket
import sys

port = int(sys.argv[1]) if len(sys.argv) > 1 else 50007
clients = range(int(sys.argv[2])) if len(sys.argv) > 2 else itertools.count()

with socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("listening on port", server.getsockname()[1], flush=True)
    for _ in clients:
        connection, address = server.accept()
        print("a client from", address[0].removeprefix("::ffff:"), flush=True)
        with connection:
            while data := connection.recv(4096):
                connection.sendall(data)
