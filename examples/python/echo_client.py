"""Sends a line to an echo server, and prints the answer.

    sandsock python --allow tcp-connect=127.0.0.1:50007 examples/python/echo_client.py 127.0.0.1 50007 hello
"""

import socket
import sys

host, port, line = sys.argv[1:]
with socket.create_connection((host, int(port)), timeout=5) as connection:
    connection.sendall(line.encode())
    connection.shutdown(socket.SHUT_WR)
    with connection.makefile() as answer:
        print(answer.read())
