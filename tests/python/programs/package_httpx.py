"""httpx against nginx: the client of the main thread, and the one of asyncio with requests at the same time."""

import asyncio
import sys

import httpx

base = f"http://127.0.0.1:{sys.argv[1]}"
with httpx.Client(base_url=base, timeout=5) as client:
    assert client.get("/file").content == b"x" * 300_000
    assert client.get("/moved", follow_redirects=True).status_code == 200
    assert client.get("/absent").status_code == 404


async def main():
    async with httpx.AsyncClient(base_url=base, timeout=5) as client:
        answers = await asyncio.gather(*[client.get("/file") for _ in range(8)])
        assert all(len(answer.content) == 300_000 for answer in answers)


asyncio.run(main())
print("ok")
