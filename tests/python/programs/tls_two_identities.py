"""A server with an identity of each kind of key. The arguments are the folder of the certificates and the number of clients. Prints its port."""

import os
import socket
import ssl
import sys

folder, count = sys.argv[1], int(sys.argv[2])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(folder, "server.pem"))
context.load_cert_chain(os.path.join(folder, "rsa.crt"), os.path.join(folder, "rsa.key"))
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
for _ in range(count):
    plain, _ = listener.accept()
    plain.settimeout(20)
    with context.wrap_socket(plain, server_side=True) as stream:
        assert stream.recv(1) == b""
print("ok")
