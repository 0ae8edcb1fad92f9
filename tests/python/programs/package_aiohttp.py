"""aiohttp, without its native parts: requests to nginx at the same time, and a server and a client in one loop, a body, JSON, and a
WebSocket."""

import asyncio

import aiohttp
import aiohttp.web
import place


async def echo(request):
    return aiohttp.web.json_response({"body": len(await request.read()), "name": request.match_info["name"]})


async def socket(request):
    peer = aiohttp.web.WebSocketResponse()
    await peer.prepare(request)
    async for message in peer:
        await peer.send_str(message.data.upper())
    return peer


async def main():
    app = aiohttp.web.Application()
    app.router.add_post("/echo/{name}", echo)
    app.router.add_get("/socket", socket)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0, ssl_context=place.identity())
    await site.start()
    port = runner.addresses[0][1]
    trust = {"ssl": place.context() or True}
    async with aiohttp.ClientSession(place.url("http")) as session:

        async def get():
            async with session.get("/file", **trust) as answer:
                return len(await answer.read())

        assert await asyncio.gather(*[get() for _ in range(8)]) == [300_000] * 8
    async with aiohttp.ClientSession(place.url("http", port)) as session:
        for _ in range(3):
            async with session.post("/echo/sandbox", data=bytes(100_000), **trust) as answer:
                assert await answer.json() == {"body": 100_000, "name": "sandbox"}
        async with session.ws_connect("/socket", **trust) as peer:
            await peer.send_str("hello")
            assert (await peer.receive()).data == "HELLO"
    await runner.cleanup()


asyncio.run(main())
print("ok")
