"""requests against nginx: a session with a kept connection, a redirect, an error status, a stream and a range."""

import place
import requests

base = place.url("http")
with requests.Session() as session:
    session.verify = place.ROOTS or True
    answer = session.get(base + "/file", timeout=5)
    assert answer.status_code == 200 and answer.content == b"x" * 300_000
    assert answer.headers["Server"].startswith("nginx")
    assert session.get(base + "/moved", timeout=5).url == base + "/file"
    assert session.get(base + "/absent", timeout=5).status_code == 404
    assert session.get(base + "/file", headers={"Range": "bytes=0-9"}, timeout=5).content == b"x" * 10
    with session.get(base + "/file", stream=True, timeout=5) as stream:
        assert sum(map(len, stream.iter_content(65536))) == 300_000
try:
    requests.get("https://127.0.0.1:1/", timeout=5)
except requests.exceptions.ConnectionError:
    pass
print("ok")
