"""Clients with the grant of `tls-connect` alone. The arguments are the ports of two https servers `server.test`, which answer with `page`.
The certificate of the second one is not trusted."""

import asyncio
import http.client
import socket
import ssl
import sys
import urllib.request

NAME, PORT, IMPOSTOR = "server.test", int(sys.argv[1]), int(sys.argv[2])
REQUEST = f"GET / HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode()


def denied(function, *arguments, **keywords):
    """Checks that a call is denied."""
    try:
        function(*arguments, **keywords)
    except PermissionError:
        return
    raise AssertionError(f"{function} was not denied")


with urllib.request.urlopen(f"https://{NAME}:{PORT}/", timeout=20) as page:
    assert page.read() == b"page"

connection = http.client.HTTPSConnection(NAME, PORT, timeout=20)
connection.request("GET", "/")
assert connection.getresponse().read() == b"page"
connection.close()


# asyncio moves the bytes of its sessions itself.
async def stream():
    reader, writer = await asyncio.open_connection(NAME, PORT, ssl=True)
    assert writer.get_extra_info("peercert")["subjectAltName"][0] == ("DNS", NAME)
    writer.write(REQUEST)
    assert (await reader.read()).endswith(b"\r\n\r\npage")
    writer.close()
    await writer.wait_closed()

    reader, writer = await asyncio.open_connection(NAME, PORT)
    await writer.start_tls(ssl.create_default_context(), server_hostname=NAME)
    writer.write(REQUEST)
    assert (await reader.read()).endswith(b"\r\n\r\npage")
    writer.close()


asyncio.run(asyncio.wait_for(stream(), 30))


def by_hand(sock, context):
    """Makes a request with a session over memory BIOs, and returns the answer."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=NAME)

    def go_on(call, *arguments):
        while True:
            try:
                return call(*arguments)
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                data = sock.recv(16384)
                incoming.write(data) if data else incoming.write_eof()

    go_on(session.do_handshake)
    session.write(REQUEST)
    sock.sendall(outgoing.read())
    answer = b""
    while data := go_on(session.read, 16384):
        answer += data
    return answer


with socket.create_connection((NAME, PORT), timeout=20) as sock:
    assert by_hand(sock, ssl.create_default_context()).endswith(b"\r\n\r\npage")

# The operator's roots have to prove the name, whatever the program asks for.
careless = ssl.create_default_context()
careless.check_hostname = False
careless.verify_mode = ssl.CERT_NONE
with socket.create_connection((NAME, PORT), timeout=20) as sock:
    assert by_hand(sock, careless).endswith(b"\r\n\r\npage")
for attempt in by_hand, lambda sock, context: context.wrap_socket(sock, server_hostname=NAME):
    with socket.create_connection((NAME, IMPOSTOR), timeout=20) as sock:
        try:
            attempt(sock, careless)
        except ssl.SSLCertVerificationError:
            continue
        raise AssertionError("the second server was trusted")

# No plain byte moves, before TLS and after it.
with socket.create_connection((NAME, PORT), timeout=20) as sock:
    denied(sock.sendall, REQUEST)
    denied(sock.recv, 1)
connection = http.client.HTTPConnection(NAME, PORT, timeout=20)
denied(connection.request, "GET", "/")
with socket.create_connection((NAME, PORT), timeout=20) as sock:
    stream = ssl.create_default_context().wrap_socket(sock, server_hostname=NAME)
    stream.sendall(REQUEST)
    while stream.recv(16384):
        pass
    # The session has ended, and the socket with it.
    try:
        stream.unwrap().sendall(REQUEST)
    except OSError:
        pass
    else:
        raise AssertionError("plain bytes were sent after TLS")
print("ok")
