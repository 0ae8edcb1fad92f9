"""zeroconf: a service is registered and found by multicast DNS on the loopback interface."""

import asyncio
import socket

from zeroconf import IPVersion, ServiceInfo
from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

KIND = "_sandsock._tcp.local."
NAME = "a test." + KIND


async def main():
    found = asyncio.Event()

    def changed(zeroconf, service_type, name, state_change):
        if name == NAME:
            found.set()

    settings = {"interfaces": ["127.0.0.1"], "ip_version": IPVersion.V4Only}
    async with AsyncZeroconf(**settings) as server, AsyncZeroconf(**settings) as client:
        info = ServiceInfo(KIND, NAME, addresses=[socket.inet_aton("192.0.2.7")], port=1234, properties={"a": "b"}, server="sandbox.local.")
        await (await server.async_register_service(info))
        browser = AsyncServiceBrowser(client.zeroconf, KIND, handlers=[changed])
        await asyncio.wait_for(found.wait(), 20)
        answer = await client.async_get_service_info(KIND, NAME)
        assert answer.port == 1234 and answer.parsed_addresses() == ["192.0.2.7"] and answer.properties == {b"a": b"b"}, answer
        await browser.async_cancel()
        await (await server.async_unregister_service(info))


asyncio.run(main())
print("ok")
