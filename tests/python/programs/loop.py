"""asyncio on its stock loop: streams over TCP and UNIX, datagrams, the low-level calls, timeouts, cancelling and a subprocess's error."""

import asyncio
import selectors
import socket
import sys

folder = sys.argv[1]


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def talk(reader, writer, rounds=50):
    for number in range(rounds):
        writer.write(b"%d " % number * 100)
        assert (await reader.readuntil(b"%d " % number * 100)) == b"%d " % number * 100
    writer.write(bytes(1 << 20))
    assert len(await reader.readexactly(1 << 20)) == 1 << 20
    writer.close()
    await writer.wait_closed()


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data.upper(), address)


class Ask(asyncio.DatagramProtocol):
    def __init__(self, answer):
        self.answer = answer

    def connection_made(self, transport):
        transport.sendto(b"hello")

    def datagram_received(self, data, address):
        self.answer.set_result(data)


async def main():
    loop = asyncio.get_running_loop()
    assert isinstance(loop._selector, selectors.EpollSelector)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await asyncio.gather(*[talk(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(5)])
    local = await asyncio.start_unix_server(echo, folder + "/socket")
    await talk(*await asyncio.open_unix_connection(folder + "/socket"))

    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    answer = loop.create_future()
    asking, _ = await loop.create_datagram_endpoint(lambda: Ask(answer), remote_addr=transport.get_extra_info("sockname"))
    assert await asyncio.wait_for(answer, 5) == b"HELLO"
    transport.close()
    asking.close()

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        listener.setblocking(False)
        client.setblocking(False)
        await loop.sock_connect(client, listener.getsockname())
        accepted, _ = await loop.sock_accept(listener)
        await loop.sock_sendall(client, b"low level")
        assert await loop.sock_recv(accepted, 100) == b"low level"
        waiting = asyncio.ensure_future(loop.sock_recv(accepted, 1))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        accepted.close()

    try:
        async with asyncio.timeout(0.05):
            await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(10)
    except TimeoutError:
        pass
    try:
        await asyncio.open_connection("127.0.0.1", 1)
    except ConnectionRefusedError:
        pass
    else:
        raise AssertionError("nobody listens at port 1")
    server.close()
    local.close()


asyncio.run(main())
print("ok")
