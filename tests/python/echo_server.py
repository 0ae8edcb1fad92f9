"""Serves one client: returns what it sends. The arguments are the address and the port."""

import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
with socket.create_server((host, port), family=family, dualstack_ipv6=host == "::") as server:
    print("listening on", server.getsockname()[1], flush=True)
    connection, address = server.accept()
    with connection:
        while data := connection.recv(1024):
            connection.sendall(data)
