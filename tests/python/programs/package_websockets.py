"""websockets: a server and clients in one loop, with small and large messages, and a close with its reason."""

import asyncio

import place
import websockets


async def answer(peer):
    async for message in peer:
        await peer.send(message.upper())
    assert peer.close_reason == "enough"


async def main():
    trust = {"ssl": place.context()} if place.ROOTS else {}
    async with websockets.serve(answer, "127.0.0.1", place.PORT, ssl=place.identity()):

        async def ask():
            async with websockets.connect(place.url("ws"), **trust) as peer:
                for message in ("hello", b"x" * 300_000):
                    await peer.send(message)
                    assert await peer.recv() == message.upper()
                await peer.close(reason="enough")

        await asyncio.gather(*[ask() for _ in range(4)])


asyncio.run(main())
print("ok")
