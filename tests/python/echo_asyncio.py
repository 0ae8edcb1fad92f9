"""A server and a client in one event loop, by the streams of asyncio and by UNIX sockets of a pair."""

import asyncio
import socket


async def serve(reader, writer):
    writer.write(await reader.readexactly(5))
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello")
    print(await reader.read())
    writer.close()
    server.close()
    loop = asyncio.get_running_loop()
    one, other = socket.socketpair()
    for end in (one, other):
        end.setblocking(False)
    await loop.sock_sendall(one, b"pair")
    print(await loop.sock_recv(other, 10))
    try:
        async with asyncio.timeout(0.01):
            await loop.sock_recv(other, 10)
    except TimeoutError:
        print("timeout")


asyncio.run(main())
