"""A program that shows identities of the command. The arguments are the port of a server that asks for a certificate, and the path of the
identity's key. Prints the port of a server of its own, which answers two clients: the first by a wrapped socket, the second by asyncio."""

import asyncio
import os
import socket
import ssl
import sys

NAME, PORT, KEY = "server.test", int(sys.argv[1]), sys.argv[2]


def raises(kind, function, *arguments, **keywords):
    """Returns the exception that a call raises."""
    try:
        function(*arguments, **keywords)
    except kind as error:
        return error
    raise AssertionError(f"{function} raised nothing")


# A client's certificate. The server sends back the name in it.
context = ssl.create_default_context()
context.load_cert_chain("identity:web")
with context.wrap_socket(socket.create_connection((NAME, PORT), timeout=20), server_hostname=NAME) as stream:
    assert stream.recv(100) == NAME.encode()

# The key is the command's alone.
assert not os.path.exists(KEY)
raises(FileNotFoundError, context.load_cert_chain, KEY)
assert "leave out keyfile" in str(raises(ValueError, context.load_cert_chain, "identity:web", KEY))

# An identity that is not lent. The session is asked for it.
context.load_cert_chain("identity:other")
with socket.create_connection((NAME, PORT), timeout=20) as sock:
    error = raises(PermissionError, context.wrap_socket, sock, server_hostname=NAME)
    assert "tls-identity=other" in str(error), error

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("identity:web")
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
plain, _ = listener.accept()
with context.wrap_socket(plain, server_side=True) as stream:
    stream.sendall(stream.recv(100).upper())


async def serve():
    done = asyncio.Event()

    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(answer, sock=listener, ssl=context)
    await done.wait()
    server.close()


asyncio.run(asyncio.wait_for(serve(), 60))
print("ok")
