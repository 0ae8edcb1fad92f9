"""Servers by a grant of `tls-listen`: by wrap_socket, by a server of asyncio, and plain bytes, which are denied. The argument is the
file of the authority."""

import asyncio
import socket
import ssl
import sys
import threading

NAME = "server.test"


def context(identity="identity:web"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    return context


def client():
    return ssl.create_default_context(cafile=sys.argv[1])


def meet(port, answer):
    """Connects, and says what came back."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        with client().wrap_socket(plain, server_hostname=NAME) as stream:
            stream.sendall(b"hello")
            answer.append(stream.recv(100))


def denied(function, *arguments):
    try:
        function(*arguments)
    except PermissionError as error:
        return str(error)
    raise AssertionError("it is not denied")


with socket.create_server(("127.0.0.1", 0)) as listener:
    answer = []
    thread = threading.Thread(target=meet, args=(listener.getsockname()[1], answer))
    thread.start()
    plain, _ = listener.accept()
    assert "tcp-listen" in denied(plain.send, b"plain")
    assert "tcp-listen" in denied(plain.recv, 10, socket.MSG_PEEK)
    with context().wrap_socket(plain, server_side=True) as stream:
        stream.sendall(stream.recv(100).upper())
        thread.join()
    assert answer == [b"HELLO"], answer

    # What comes in the clear is denied, and so is the identity for another socket.
    with socket.create_connection(listener.getsockname()) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        plain, _ = listener.accept()
        assert "tcp-listen" in denied(plain.recv, 100)
        plain.close()
hello = ssl.MemoryBIO()
try:
    client().wrap_bio(ssl.MemoryBIO(), hello, server_hostname=NAME).do_handshake()
except ssl.SSLWantReadError:
    pass
server = context().wrap_bio(hello, ssl.MemoryBIO(), server_side=True)
assert "tls-identity=web" in denied(server.do_handshake)


async def echo(reader, writer):
    writer.write((await reader.read(100)).upper())
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context())
    port = server.sockets[0].getsockname()[1]
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        of_client = client()
        of_client.maximum_version = version
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=of_client, server_hostname=NAME)
        writer.write(b"hello")
        assert await reader.read() == b"HELLO"
        writer.close()
        await writer.wait_closed()
    server.close()


asyncio.run(main())
print("ok")
