"""redis against redis-server: commands, a pipeline, a script, and a subscription."""

import place
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

settings = {"host": place.HOST, "port": place.PORT, "ssl": place.TLS, "ssl_ca_certs": place.ROOTS, "socket_timeout": 5}
client = redis.Redis(**settings, retry=Retry(NoBackoff(), 0))
assert client.ping() and client.flushall()
assert client.set("key", "value") and client.get("key") == b"value"
with client.pipeline() as pipe:
    assert pipe.incr("n").incr("n").expire("n", 60).execute() == [1, 2, True]
assert client.eval("return {KEYS[1], ARGV[1]}", 1, "a", "b") == [b"a", b"b"]
big = bytes(300_000)
client.set("big", big)
assert client.get("big") == big
subscription = client.pubsub()
subscription.subscribe("news")
assert subscription.get_message(timeout=5)["type"] == "subscribe"
assert client.publish("news", "hello") == 1
assert subscription.get_message(timeout=5)["data"] == b"hello"
assert subscription.get_message(timeout=0.1) is None
print("ok")
