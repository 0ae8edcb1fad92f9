"""pyroute2 with the platform linux: links, addresses and routes of the kernel, by netlink."""

import socket

from pyroute2 import IPRoute

with IPRoute() as route:
    links = {link.get("ifname"): link["index"] for link in route.get_links()}
    assert links["lo"] == socket.if_nametoindex("lo") == route.link_lookup(ifname="lo")[0]
    addresses = {address.get("address") for address in route.get_addr(family=socket.AF_INET)}
    assert "127.0.0.1" in addresses, addresses
    for entry in route.get_routes(family=socket.AF_INET, table=255):
        if entry.get("dst") == "127.0.0.1":
            break
    else:
        raise AssertionError("there is no route to 127.0.0.1")
print("ok")
