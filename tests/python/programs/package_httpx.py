"""httpx against nginx: the client of the main thread, and the one of asyncio with requests at the same time."""

import asyncio

import httpx
import place

settings = {"base_url": place.url("http"), "timeout": 5, "verify": place.context() or True}
with httpx.Client(**settings) as client:
    assert client.get("/file").content == b"x" * 300_000
    assert client.get("/moved", follow_redirects=True).status_code == 200
    assert client.get("/absent").status_code == 404


async def main():
    async with httpx.AsyncClient(**settings) as client:
        answers = await asyncio.gather(*[client.get("/file") for _ in range(8)])
        assert all(len(answer.content) == 300_000 for answer in answers)


asyncio.run(main())
print("ok")
