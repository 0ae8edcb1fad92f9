"""dnspython against a name server: a query over UDP and over TCP, and its resolver."""

import sys

import dns.exception
import dns.message
import dns.query
import dns.resolver

port = int(sys.argv[1])
query = dns.message.make_query("sandbox.example", "A")
for ask in (dns.query.udp, dns.query.tcp):
    answer = ask(query, "127.0.0.1", port=port, timeout=5)
    assert [row.address for row in answer.answer[0]] == ["192.0.2.7"], answer
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port = ["127.0.0.1"], port
assert resolver.resolve("sandbox.example", "TXT")[0].strings == (b"a text",)
assert resolver.resolve("sandbox.example", "AAAA")[0].address == "2001:db8::7"
try:
    resolver.resolve("absent.example", "A")
except dns.resolver.NXDOMAIN:
    pass
else:
    raise AssertionError("a name that does not exist has no address")
print("ok")
