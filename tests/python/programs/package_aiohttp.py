"""aiohttp, without its native parts: a server and a client in one loop, a body, JSON, and a WebSocket."""

import asyncio

import aiohttp
import aiohttp.web


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
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for _ in range(3):
            async with session.post("/echo/sandbox", data=bytes(100_000)) as answer:
                assert await answer.json() == {"body": 100_000, "name": "sandbox"}
        async with session.ws_connect("/socket") as peer:
            await peer.send_str("hello")
            assert (await peer.receive()).data == "HELLO"
    await runner.cleanup()


asyncio.run(main())
print("ok")
