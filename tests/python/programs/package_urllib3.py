"""urllib3 against nginx: a pool with a kept connection, a redirect, an error status, and a stream."""

import place
import urllib3

base = place.url("http")
with urllib3.PoolManager(ca_certs=place.ROOTS, timeout=5, retries=urllib3.Retry(connect=0, redirect=2)) as pool:
    for _ in range(3):
        assert pool.request("GET", base + "/file").data == b"x" * 300_000
    assert pool.request("GET", base + "/moved").geturl() == "/file"
    assert pool.request("GET", base + "/absent").status == 404
    answer = pool.request("GET", base + "/file", preload_content=False)
    assert sum(map(len, answer.stream(65536))) == 300_000
    answer.release_conn()
    assert pool.connection_from_url(base).num_connections == 1
print("ok")
