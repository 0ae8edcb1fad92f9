"""Calls everything in `_socket` and `select` with odd arguments, and prints one line for each call: the call, and its result or exception.

    conversions.py [SEED [COUNT]]

The same seed makes the same calls in every interpreter, so that the output of two of them can be compared. Errnos are shown by name,
because their numbers differ. Numbers that the kernel chooses are left out. The calls use loopback, never wait, and change nothing
outside of their own sockets.
"""

import array
import decimal
import errno
import fractions
import random
import select
import sys
import warnings

import _socket


class Index:
    """An integer by __index__ alone."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Float:
    """A number by __float__ alone."""

    def __float__(self):
        return 1.5


class Truth:
    """An object whose truth is an error."""

    def __bool__(self):
        raise RuntimeError("no truth")


class Text(str):
    """A subclass of str."""


class Number(int):
    """A subclass of int."""


class Pair(tuple):
    """A subclass of tuple."""


class Path:
    """A path by __fspath__."""

    def __fspath__(self):
        return "lo"


class Items:
    """An iterable by __getitem__ alone, and one whose items are an error."""

    def __init__(self, items, error=None):
        self.items, self.error = items, error

    def __getitem__(self, at):
        if self.error is not None:
            raise self.error
        return self.items[at]


# Each value is an expression, which is shown in place of the object and evaluated anew for each call.
NUMBERS = """0 1 -1 2 3 8 255 256 65535 65536 -65536 1048575 1048576 2**31-1 2**31 -2**31 -2**31-1 2**32-1 2**32 2**33 2**63-1 2**63
-2**63-1 2**64 10**30 True False Number(1) Number(70000) Index(0) Index(1) Index(65536) Index(2**40) Index('x') Index(ValueError('inner'))
1.0 1.5 -0.0 -1e-10 1e-12 1e300 9e9 1e10 float('nan') float('inf') float('-inf') 1j decimal.Decimal('1.5') fractions.Fraction(1,3)
Float()""".split()
TEXTS = r"""'' '\0' '\0\0a' 'lo' 'tcp' 'udp' 'http' '80' '\udc80' '\x00lo' 'l\0o' Text('lo') Text('') 'x'*107 'x'*108 'x'*109 '/'*200 '\u20ac'*40
'127.0.0.1' '::1' '127.1' '0x7f.1' '1.2.3.4.5' '256.0.0.1' '1.2.3.4\0' '01.2.3.4' '::ffff:1.2.3.4' '12:34:56:78:9A:BC' 'hash' 'sha256'
'x'*16""".split()
BYTES = r"""b'' b'a' b'\0' b'\0a' b'abcd' b'abcdefgh' b'abcdefghi' b'0123456789abcdef' b'lo' b'\xff\xfe' bytearray() bytearray(b'abcd')
bytearray(16) memoryview(b'abcd') memoryview(bytearray(8)) memoryview(bytearray(8))[::2] memoryview(b'')
memoryview(array.array('i',[1,2])) array.array('B',b'abcd') array.array('i',[1,2,3]) array.array('u','ab') b'x'*107 b'x'*108 b'x'*109""".split()
OTHERS = """None () (1,) (1,2) (1,2,3) [] [1] [b'a'] [bytearray(4)] [bytearray(4),bytearray(4)] [b'a',bytearray(2)] {} {1:2} set() object()
object Ellipsis range(3) iter([]) iter([b'a']) map(bytearray,[3]) Truth() Path() Items([b'a',b'b']) Items([bytearray(2)])
Items([],KeyError('inner')) Items([],IndexError()) len NotImplemented""".split()
ANY = NUMBERS + TEXTS + BYTES + OTHERS

class Only(list):
    """A pool beside which nothing else may be used."""


# Hosts that need no name server.
HOSTS = Only(r"""'127.0.0.1' '' '<broadcast>' '255.255.255.255' '::1' 'fe80::1%1' '127.0.0.1\0' b'127.0.0.1' b'' b'\0' bytearray(b'127.0.0.1')
bytearray(b'::1') Text('127.0.0.1') 'a..b' '.' 'x'*64 'x'*64+'.b' '\uff11\uff12\uff17.0.0.1' 'xn--\xe9' '\xe9..' '\u0627a' '\udc80' b'\xff'
memoryview(b'127.0.0.1') None 1 1.5 () object() Index(1) '127.1' '0x7f.1' '::ffff:127.0.0.1'""".split())
INTERFACES = r"'lo' '' 'nosuch' b'lo' b'' 'l\0o' b'l\0o' Path() 'x'*15 'x'*16 1 None bytearray(b'lo') '\u20ac' '\udc80'".split()
# Numbers of no descriptor.
DESCRIPTORS = Only(["-1", "2**31", "-2**31-1", "2**64", "'x'", "None", "1.0", "Index('x')", "10**6"])
PORTS = r"""0 9 1 -1 65535 65536 -65536 2**31-1 2**31 2**40 2**64 -2**31-1 '9' '' 'http' b'9' None 1.0 1.5 True Index(9) Index(2**40) Index('x')
Index(ValueError('inner')) Number(9) object() Float() '9\0' '-1' '65536' b'\xff'""".split()
FLAGS = "0 0 0 0 -1 2**31 'x' None 1.0 True Index(0) Index(2**40)".split()
SIZES = "0 1 10 -1 -2**31 2**31 2**40 2**64 -2**64 'x' None 1.0 True Index(4) Index(-1) Index('x')".split()


def choose(rng, *pools):
    """Returns an expression of one of the pools."""
    return rng.choice(rng.choice(pools))


def some_tuple(rng, pools, least=0, more=2):
    """Returns a tuple of expressions, of about as many as there are pools."""
    count = max(0, rng.choice([len(pools)] * 4 + list(range(least, len(pools) + more))))
    items = [choose(rng, pools[at] if at < len(pools) else ANY, pools[at] if at < len(pools) else ANY, ANY) for at in range(count)]
    if pools and isinstance(pools[0], Only) and items:
        items[0] = rng.choice(pools[0])
    text = ",".join(items) + ("," if len(items) == 1 else "")
    return rng.choice(["({})"] * 8 + ["[{}]", "Pair(({}))"]).format(text)


# Each family, with a protocol where the form of its addresses depends on it: the parts of an address's tuple, or None for a name.
FAMILIES = {
    "AF_INET": [HOSTS, PORTS],
    "AF_INET6": [HOSTS, PORTS, NUMBERS, NUMBERS],
    "AF_UNIX": None,
    "a pair": None,
    "AF_NETLINK": [NUMBERS, NUMBERS],
    "AF_PACKET": [INTERFACES, NUMBERS, NUMBERS, NUMBERS, BYTES],
    "AF_CAN CAN_RAW": [INTERFACES],
    "AF_CAN CAN_ISOTP": [INTERFACES, NUMBERS, NUMBERS],
    "AF_CAN CAN_J1939": [INTERFACES, NUMBERS, NUMBERS, NUMBERS],
    "AF_CAN NETLINK_ROUTE": [INTERFACES],
    "AF_TIPC": [["1", "2", "3", *NUMBERS], NUMBERS, NUMBERS, NUMBERS, NUMBERS],
    "AF_ALG": [["'hash'", "'x'*14", "'x'*13", *TEXTS], ["'sha1'", "'x'*63", "'x'*64", *TEXTS], NUMBERS, NUMBERS],
    "AF_VSOCK": [NUMBERS, NUMBERS],
    "AF_QIPCRTR": [NUMBERS, NUMBERS],
    "AF_RDS": [HOSTS, PORTS],
    "AF_KEY": [NUMBERS],
}
# The families whose sockets every kernel makes. The others are judged up to the system call.
REAL = {"AF_INET", "AF_INET6", "AF_UNIX", "a pair"}
METHODS = {
    "getsockopt": lambda rng: [["1", "4", *FLAGS], ["3", "2", *FLAGS], SIZES],
    "listen": lambda rng: [NUMBERS],
    "recv": lambda rng: [SIZES, FLAGS],
    "recv_into": lambda rng: [BYTES, SIZES, FLAGS],
    "recvfrom": lambda rng: [SIZES, FLAGS],
    "recvfrom_into": lambda rng: [BYTES, SIZES, FLAGS],
    "recvmsg": lambda rng: [SIZES, SIZES, FLAGS],
    "recvmsg_into": lambda rng: [OTHERS, SIZES, FLAGS],
    "send": lambda rng: [BYTES, FLAGS],
    "sendall": lambda rng: [BYTES, FLAGS],
    "setblocking": lambda rng: [["0", "False", "''", "Truth()", "None"]],
    "settimeout": lambda rng: [[n for n in NUMBERS]],
    "setsockopt": lambda rng: [["1"], ["2"], ANY, NUMBERS],
    "shutdown": lambda rng: [NUMBERS],
    "sendmsg_afalg": lambda rng: [OTHERS, NUMBERS],
    "close": lambda rng: [],
    "detach": lambda rng: [],
    "fileno": lambda rng: [],
    "getblocking": lambda rng: [],
    "gettimeout": lambda rng: [],
    "getpeername": lambda rng: [],
    "getsockname": lambda rng: [],
    "_accept": lambda rng: [],
}
ADDRESSED = ["bind", "connect", "connect_ex", "sendto", "sendmsg"]
FUNCTIONS = {
    "CMSG_LEN": [SIZES],
    "CMSG_SPACE": [SIZES],
    "close": [DESCRIPTORS],
    "dup": [DESCRIPTORS],
    "getaddrinfo": [HOSTS, PORTS, FLAGS, FLAGS, FLAGS, ["4", "5", *FLAGS]],
    "getnameinfo": None,
    "getdefaulttimeout": [],
    "gethostname": [],
    "getprotobyname": [TEXTS],
    "getservbyname": [TEXTS, TEXTS],
    "getservbyport": [PORTS, TEXTS],
    "gethostbyname": [HOSTS],
    "htonl": [NUMBERS],
    "htons": [NUMBERS],
    "ntohl": [NUMBERS],
    "ntohs": [NUMBERS],
    "if_indextoname": [NUMBERS],
    "if_nametoindex": [TEXTS],
    "inet_aton": [TEXTS],
    "inet_ntoa": [BYTES],
    "inet_ntop": [["2", "10", *NUMBERS], BYTES],
    "inet_pton": [["2", "10", *NUMBERS], TEXTS],
    "socketpair": [["1", "2", *FLAGS], ["1", "2", *FLAGS], FLAGS],
}
# What waits is a socket `s` that is ready to send, a poll object `p` and an epoll object `e` with it.
WAITED = "s s s s s.fileno() -1 2**31 -2**31-1 2**64 'x' None 1.0 Index(1) Index('x') object() Text('x') ()".split()
WAITED_IN_LISTS = """[] () [s] (s,) [s,s] [s.fileno()] [-1] [2**31] [2**64] ['x'] [None] [1.0] [Index('x')] {} set() Items([s]) iter([s])
Items([],KeyError('inner')) Items([],IndexError()) None 1 object() [s]*1024 [s]*1025 range(-2,0)""".split()
MASKS = ["1", "4", "5", "1|4", *NUMBERS]
WAITS = {
    "select.select": [WAITED_IN_LISTS, Only(["[s]"]), WAITED_IN_LISTS, NUMBERS],
    "p.register": [WAITED, MASKS],
    "p.modify": [WAITED, MASKS],
    "p.unregister": [WAITED],
    "p.poll": [NUMBERS],
    "select.epoll": [NUMBERS, FLAGS],
    "e.register": [Only(WAITED), MASKS],
    "e.modify": [Only(WAITED), MASKS],
    "e.unregister": [Only(WAITED)],
    "e.poll": [NUMBERS, NUMBERS],
    "e.close": [],
    "e.fileno": [],
    "e.__enter__": [],
    "e.__exit__": [OTHERS, OTHERS, OTHERS],
}
KEYWORDS = ["buffer", "nbytes", "flags", "host", "port", "family", "type", "proto", "op", "iv", "assoclen", "msg", "fileno", "nonsense"]
# Results that are not the same twice.
VARYING = {"dup", "socketpair", "fileno", "detach", "getsockname", "gethostname", "_accept", "getpeername"}


def arguments(rng, pools, keywords):
    """Returns the arguments of a call."""
    count = rng.choice([len(pools)] * 6 + list(range(0, len(pools) + 2)))
    items = []
    for at in range(count):
        pool = pools[at] if at < len(pools) else ANY
        items.append(rng.choice(pool) if isinstance(pool, Only) else choose(rng, pool, pool, pool, ANY))
    if keywords and rng.random() < 0.2:
        keyword = rng.choice(KEYWORDS)
        items.append(f"{keyword}={rng.choice({'host': HOSTS, 'fileno': DESCRIPTORS}.get(keyword, ANY))}")
    return ", ".join(items)


def address(rng, family):
    """Returns an address, or something that is none."""
    if rng.random() < 0.1:
        return choose(rng, NUMBERS, BYTES, OTHERS)
    if FAMILIES[family] is None:
        return choose(rng, TEXTS, BYTES, ANY)
    return some_tuple(rng, FAMILIES[family])


def control(rng):
    """Returns the control messages of sendmsg."""
    return rng.choice(["None", "()", "[]", "[()]", "[(1,1)]", "[(1,1,b'')]", "[(1,1,'x')]", "[(1,'x',b'')]", "[(2**31,1,b'')]", "[1]", "5",
                       "'ab'", "[(1,1,b'',b'')]", "[[1,1,b'']]", "Items([],KeyError('inner'))", "iter([])"])


def call(rng):
    """Returns a call: the family of its socket or None, and an expression."""
    kind = rng.random()
    if kind < 0.35:
        name = rng.choice(sorted(FUNCTIONS))
        if name == "getnameinfo":
            items = [some_tuple(rng, [["'127.0.0.1'", "'::1'", *HOSTS], PORTS, NUMBERS, NUMBERS]), rng.choice(["3", "11", *FLAGS])]
            return None, name, f"_socket.{name}({', '.join(items[: rng.choice([2, 2, 2, 2, 0, 1])])})"
        return None, name, f"_socket.{name}({arguments(rng, FUNCTIONS[name], True)})"
    if kind > 0.9:
        name = rng.choice(sorted(WAITS))
        return None, name, f"{name}({arguments(rng, WAITS[name], False)})"
    if kind < 0.42:
        pools = [["2", "10", "1", *FLAGS], ["1", "2", *FLAGS], FLAGS, DESCRIPTORS]
        return None, "socket", f"_socket.socket({arguments(rng, pools, True)})"
    family = rng.choice(sorted(FAMILIES))
    if kind < 0.75:
        name = rng.choice(ADDRESSED)
        where = address(rng, family)
        if name == "sendto":
            items = [choose(rng, BYTES, BYTES, ANY)] + ([rng.choice(FLAGS)] if rng.random() < 0.4 else []) + [where]
            items = items[: rng.choice([3, 3, 3, 3, 3, 1, 0])] + (["1"] if rng.random() < 0.05 else [])
        elif name == "sendmsg":
            items = [choose(rng, OTHERS, OTHERS, ANY), control(rng), rng.choice(FLAGS), where]
            items = items[: rng.choice([4, 4, 4, 3, 2, 1, 0])]
        else:
            items = [where] if rng.random() < 0.95 else rng.choice([[], [where, where]])
        return family, name, f"s.{name}({', '.join(items)})"
    name = rng.choice(sorted(METHODS))
    return family, name, f"s.{name}({arguments(rng, METHODS[name](rng), True)})"


def errno_name(number):
    """Returns the name of an errno. Some numbers have two."""
    return {"ENOTSUP": "EOPNOTSUPP"}.get(errno.errorcode.get(number), errno.errorcode.get(number, number))


def shown(value, name, family):
    """Returns a result as text."""
    if isinstance(value, _socket.socket):
        value.close()
        return "a socket"
    if name == "connect_ex" and value:
        return errno_name(value) if family in REAL else "an errno"
    if name.startswith("recvmsg"):
        data, messages, *rest = value
        fds = array.array("i", b"".join(message[2] for message in messages))
        for fd in fds:
            _socket.close(fd)
        return f"{data!r}, {len(fds)} descriptors, {rest}"
    if name in VARYING or name in ("select.epoll", "e.fileno", "e.__enter__"):
        return type(value).__name__
    if name == "select.select":
        return repr([len(ready) for ready in value])
    if name in ("p.poll", "e.poll"):
        return repr([events for _, events in value])
    return repr(value)


# The other end of a pair.
PEERS = {}


def make(family):
    """Returns a socket that has the family for its addresses."""
    if family == "a pair":
        # A message waits, with a descriptor.
        s, PEERS["peer"] = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [s.fileno()]))
        PEERS["peer"].sendmsg([b"0123", b"456789"], [rights])
        return s
    if family in REAL:
        return _socket.socket(getattr(_socket, family), _socket.SOCK_DGRAM, 0)
    family, proto = (getattr(_socket, word) for word in (family + " IPPROTO_IP").split()[:2])
    fd = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM, 0).detach()
    return _socket.socket(family, _socket.SOCK_DGRAM, proto, fd)


def run(family, name, expression):
    """Makes a call, and returns its outcome."""
    names = dict(globals())
    s = None
    if name in WAITS:
        names["s"], PEERS["peer"] = _socket.socketpair()
        names["p"], names["e"] = select.poll(), select.epoll()
        names["p"].register(names["s"])
        names["e"].register(names["s"])
    if family is not None:
        s = make(family)
        s.setblocking(False)
        names["s"] = s
    try:
        value = eval(expression, names)
        if name in ("settimeout", "setblocking"):
            return f"{s.gettimeout()!r}"
        if name in ("dup",):
            _socket.close(value)
        return shown(value, name, family)
    except Exception as error:
        number = getattr(error, "errno", None)
        if isinstance(error, (_socket.gaierror, _socket.herror)) or number is None:
            return f"{type(error).__name__}: {error.args}"
        if family is not None and family not in REAL:
            return "OSError by the system call"
        return f"{type(error).__name__}: {errno_name(number)}: {error.strerror}"
    finally:
        if s is not None:
            s.close()
        if PEERS:
            PEERS.popitem()[1].close()
        if name in WAITS:
            names["s"].close()
            names["e"].close()
        _socket.setdefaulttimeout(None)


def main():
    """Makes the calls."""
    warnings.simplefilter("ignore")
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20000
    rng = random.Random(seed)
    seen = set()
    for _ in range(count):
        family, name, expression = call(rng)
        if (family, expression) in seen:
            continue
        seen.add((family, expression))
        where = f"{family}: " if family is not None else ""
        # Lone surrogates can't be written.
        print(f"{where}{expression} -> {run(family, name, expression)}".encode("utf-8", "backslashreplace").decode())


if __name__ == "__main__":
    main()
