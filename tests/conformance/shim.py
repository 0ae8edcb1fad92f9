"""A `_socket` for CPython. All its calls go through the provider component.

This module does what CPython does before a call reaches C's functions, and after it: it checks the number of arguments, their
types and the ranges of C's integers, and raises exceptions. The component implements timeouts, closed sockets, addresses, control
messages and names. A socket's state is an opaque value, which this module carries from call to call.
"""

import operator
import os
import sys
import warnings as _warnings

import _sandsock

_INT_MAX = 0x7FFFFFFF

# The component's constants, by name.
AF = {}


class herror(OSError):
    pass


class gaierror(OSError):
    pass


herror.__module__ = gaierror.__module__ = "socket"
error = OSError
if sys.version_info >= (3, 10):
    timeout = TimeoutError
else:

    class timeout(OSError):
        pass

    timeout.__module__ = "socket"

_EXCEPTIONS = {
    "value-error": ValueError,
    "type-error": TypeError,
    "overflow-error": OverflowError,
    "unicode-error": UnicodeError,
}


def _exception(case, value):
    """Returns the exception for an error of the contract."""
    if case == "os":
        errno, text = value
        return OSError(text) if errno is None else OSError(errno, text)
    if case == "denied":
        return PermissionError(13, f"{os.strerror(13)}: {value[1]}")
    if case == "timed-out":
        return timeout("timed out")
    if case == "gaierror":
        return gaierror(*value)
    if case == "herror":
        return herror(*value)
    if case == "memory-error":
        return MemoryError()
    if case == "group":
        return ExceptionGroup("create_connection failed", [_exception(*one) for one in value])
    return _EXCEPTIONS[case](value)


def _call(name, *args):
    """Calls a function, and calls it again after an interrupt (PEP 475). The handlers have run by then."""
    while True:
        case, value, states = _sandsock.call(name, *args)
        if case is None:
            return value
        if case != "interrupted":
            raise _exception(case, value)


# C's argument types


def _long(value, low, high, name):
    value = operator.index(value)
    if not low <= value <= high:
        raise OverflowError(f"Python int too large to convert to C {name}")
    return value


def _int(value):
    value = operator.index(value)
    if value > _INT_MAX:
        raise OverflowError("signed integer is greater than maximum")
    if value < -_INT_MAX - 1:
        raise OverflowError("signed integer is less than minimum")
    return value


def _ssize(value):
    return _long(value, -(1 << 63), (1 << 63) - 1, "ssize_t")


def _clamp(value):
    """Limits an integer to the range of the contract. The component checks its own range."""
    return max(-(1 << 63), min((1 << 63) - 1, operator.index(value)))


def _mask(value, bits=32):
    return operator.index(value) & ((1 << bits) - 1)


def _bytes(value):
    try:
        view = memoryview(value)
    except TypeError:
        view = None
    if view is None:
        raise TypeError(f"a bytes-like object is required, not '{type(value).__name__}'")
    with view:
        if not view.c_contiguous:
            raise BufferError("memoryview: underlying buffer is not C-contiguous")
        return bytes(view)


def _writable(value):
    view = memoryview(value)
    if view.readonly:
        raise TypeError(f"read-write bytes-like object expected, not {type(value).__name__}")
    return view.cast("B")


def _str(value, function, position):
    if not isinstance(value, str):
        raise TypeError(f"{function}() argument {position} must be str, not {type(value).__name__}")
    return value


def _cross(text):
    """Checks that a text can be passed to the component. A lone surrogate can't."""
    text.encode()
    return text


def _seconds(value):
    if value is None:
        return None
    if isinstance(value, float):
        return value
    if not isinstance(value, int):
        if not hasattr(type(value), "__index__"):
            raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
        value = operator.index(value)
    try:
        return float(value)
    except OverflowError:
        raise OverflowError("timestamp too large to convert to C _PyTime_t") from None


# Addresses: from Python's tuple to the contract's case, and back


def _host(value):
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value).decode("latin-1")
    elif not isinstance(value, str):
        raise TypeError("str, bytes or bytearray expected, not " + type(value).__name__)
    try:
        return _cross(value)
    except UnicodeEncodeError:
        raise TypeError("encoding of hostname failed") from None


def _parts(address, low, high, caller, family, shape):
    if not isinstance(address, tuple):
        raise TypeError(f"{caller}(): {family} address must be tuple, not {type(address).__name__}")
    if not low <= len(address) <= high:
        raise TypeError(f"{family} address must be {shape}")
    return address


def _bluetooth(proto, address, caller):
    wrong = OSError(f"{caller}(): wrong format")
    if proto == 0:
        if not isinstance(address, tuple) or not 2 <= len(address) <= 4:
            raise wrong
        device, psm, *rest = address
        return "l2cap", (device, _clamp(psm), *(_clamp(part) for part in (*rest, 0, 0)[:2]))
    if proto == 3:
        if not isinstance(address, tuple) or len(address) != 2:
            raise wrong
        return "rfcomm", (address[0], _clamp(address[1]))
    if proto == 1:
        if isinstance(address, tuple):
            if not 1 <= len(address) <= 2:
                raise wrong
            device, channel = (*address, 0)[:2]
        else:
            device, channel = address, 0
        if not hasattr(type(device), "__index__"):
            raise wrong
        return "hci", (_clamp(device), _clamp(channel))
    if isinstance(address, bytes):
        address = address.decode("latin-1")
    if not isinstance(address, str):
        raise wrong
    return "sco", address


def _can(proto, address, caller):
    if proto in (AF["CAN_RAW"], AF["CAN_BCM"]):
        (name,) = _parts(address, 1, 1, caller, "AF_CAN", "a tuple (interface,)")
        return "can", os.fsdecode(name)
    if proto == AF["CAN_ISOTP"]:
        name, receive, transmit = _parts(address, 3, 3, caller, "AF_CAN", "a tuple (interface, rx_addr, tx_addr)")
        return "can-isotp", (os.fsdecode(name), _mask(receive), _mask(transmit))
    if proto == AF["CAN_J1939"]:
        name, j1939, pgn, addr = _parts(address, 4, 4, caller, "AF_CAN", "a tuple (interface, name, pgn, addr)")
        return "can-j1939", (os.fsdecode(name), _mask(j1939, 64), _mask(pgn), _mask(addr, 8))
    raise OSError(f"{caller}(): unsupported CAN protocol")


def _address(family, proto, address, caller):
    if family == AF["AF_INET"]:
        host, port = _parts(address, 2, 2, caller, "AF_INET", "a pair (host, port)")
        return "inet", (_host(host), _clamp(port))
    if family == AF["AF_INET6"]:
        parts = _parts(address, 2, 4, caller, "AF_INET6", "a tuple (host, port[, flowinfo[, scopeid]])")
        host, port, flow, scope = (*parts, 0, 0)[:4]
        return "inet6", (_host(host), _clamp(port), _mask(flow), _mask(scope))
    if family == AF["AF_UNIX"]:
        return "unix", os.fsencode(address) if isinstance(address, str) else _bytes(address)
    if family == AF["AF_NETLINK"]:
        return "netlink", tuple(map(_mask, _parts(address, 2, 2, caller, "AF_NETLINK", "a pair (pid, groups)")))
    if family == AF["AF_PACKET"]:
        parts = _parts(address, 2, 5, caller, "AF_PACKET", "a tuple of two to five elements")
        name, protocol, *rest = parts
        packet, hardware, raw = (*rest, *(0, 0, b"")[len(rest) :])
        raw = _bytes(raw)
        return "packet", (name, _clamp(protocol), _clamp(packet), _clamp(hardware), raw)
    if family == AF["AF_CAN"]:
        return _can(proto, address, caller)
    if family == AF["AF_ALG"]:
        kind, name, *rest = _parts(address, 2, 4, caller, "AF_ALG", "a tuple of two to four elements")
        return "alg", (kind, name, *(_mask(part) for part in (*rest, 0, 0)[:2]))
    if family == AF["AF_TIPC"]:
        parts = _parts(address, 4, 5, caller, "AF_TIPC", "a tuple (addr_type, v1, v2, v3[, scope])")
        return "tipc", tuple(_clamp(part) for part in (*parts, AF["TIPC_CLUSTER_SCOPE"])[:5])
    if family == AF["AF_VSOCK"]:
        return "vsock", tuple(map(_mask, _parts(address, 2, 2, caller, "AF_VSOCK", "a pair (cid, port)")))
    if family == AF["AF_BLUETOOTH"]:
        return _bluetooth(proto, address, caller)
    if family == AF["AF_RDS"]:
        host, port = _parts(address, 2, 2, caller, "AF_RDS", "a pair (host, port)")
        return "rds", (_host(host), _clamp(port))
    if family == AF["AF_QIPCRTR"]:
        return "qipcrtr", tuple(map(_mask, _parts(address, 2, 2, caller, "AF_QIPCRTR", "a pair (node, port)")))
    return "other", (family, b"")


def _shown(address):
    if address is None:
        return None
    case, value = address
    if case == "unix":
        return bytes(value) if value[:1] == b"\0" else os.fsdecode(value)
    if case == "can":
        return (value,)
    return value


class _Immutable(type):
    """The type of a class whose attributes can't be set, as for classes of C."""

    def __setattr__(cls, name, value):
        if cls.__module__ == __name__:
            raise TypeError(f"cannot set '{name}' attribute of immutable type '_socket.socket'")
        super().__setattr__(name, value)


class socket(metaclass=_Immutable):
    """`_socket.socket`, the base of the class `socket.socket`."""

    __slots__ = ("_state",)

    def __new__(cls, *args, **kwargs):
        self = object.__new__(cls)
        self._state = None
        return self

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        family, type, proto = _int(family), _int(type), _int(proto)
        if fileno is None:
            self._state = _call("[static]socket.create", family, type, proto)
            return
        if isinstance(fileno, float):
            raise TypeError("integer argument expected, got float")
        self._state = _call("[static]socket.from-fileno", _int(fileno), family, type, proto)

    def _invoke(self, name, *args):
        """Makes one call. Returns the case of the error or None, and the value."""
        before = self._state
        if before is None:
            raise OSError(9, os.strerror(9))
        case, value, (after,) = _sandsock.call("[method]socket." + name, before, *args)
        if after != before:
            self._state = after
        return case, value

    def _now(self, name, *args):
        """Calls a method that does not wait, or that is simply repeated after an interrupt."""
        while True:
            case, value = self._invoke(name, *args)
            if case is None:
                return value
            if case != "interrupted":
                raise _exception(case, value)

    def _resumed(self, name, *args):
        """Calls a method that goes on after an interrupt where it stopped."""
        resume = None
        while True:
            case, value = self._invoke(name, *args, resume)
            if case is None:
                return value
            if case != "interrupted":
                raise _exception(case, value)
            resume = value

    def _to(self, address, caller):
        return _address(self.family, self.proto, address, caller)

    def _get(self, name, otherwise):
        return otherwise if self._state is None else self._invoke(name)[1]

    family = property(lambda self: self._get("family", 0))
    type = property(lambda self: self._get("type", 0))
    proto = property(lambda self: self._get("proto", 0))
    timeout = property(lambda self: self.gettimeout())

    def fileno(self):
        return self._get("fileno", -1)

    def __repr__(self):
        return f"<socket object, fd={self.fileno()}, family={self.family}, type={self.type}, proto={self.proto}>"

    def __del__(self):
        if self.fileno() == -1:
            return
        try:
            _warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self)
        finally:
            try:
                socket.close(self)
            except OSError:
                pass

    def _accept(self):
        accepted, address = self._resumed("accept")
        _, fd, _ = _sandsock.call("[method]socket.fileno", accepted)
        return fd, _shown(address)

    def bind(self, address):
        self._now("bind", self._to(address, "bind"))

    def close(self):
        if self._state is not None:
            self._now("close")

    def connect(self, address):
        self._resumed("connect", self._to(address, "connect"))

    def connect_ex(self, address):
        return self._resumed("connect-ex", self._to(address, "connect_ex"))

    def detach(self):
        return self._get("detach", -1)

    def getblocking(self):
        return self._now("getblocking")

    def setblocking(self, flag):
        self._now("setblocking", bool(flag))

    def gettimeout(self):
        return self._get("gettimeout", None)

    def settimeout(self, value):
        self._now("settimeout", _seconds(value))

    def getpeername(self):
        return _shown(self._now("getpeername"))

    def getsockname(self):
        return _shown(self._now("getsockname"))

    def getsockopt(self, level, option, buflen=0, /):
        level, option, buflen = _int(level), _int(option), _int(buflen)
        if buflen == 0:
            return self._now("getsockopt", level, option)
        return self._now("getsockopt-bytes", level, option, buflen)

    def setsockopt(self, level, option, value, *optlen):
        level, option = _int(level), _int(option)
        if optlen:
            if len(optlen) > 1 or value is not None:
                raise TypeError(f"setsockopt() takes exactly 3 arguments ({3 + len(optlen)} given)")
            option_value = "null", _mask(optlen[0])
        elif hasattr(value, "__index__"):
            option_value = "integer", _clamp(value)
        elif value is None:
            raise TypeError("socket.setsockopt() takes 4 arguments with None")
        else:
            option_value = "bytes", _bytes(value)
        self._now("setsockopt", level, option, option_value)

    def listen(self, backlog=None, /):
        self._now("listen", None if backlog is None else _int(backlog))

    def recv(self, bufsize, flags=0, /):
        return self._resumed("recv", _ssize(bufsize), _int(flags))

    def recv_into(self, buffer, nbytes=0, flags=0):
        view, nbytes, flags = _writable(buffer), _ssize(nbytes), _int(flags)
        if nbytes < 0:
            raise ValueError("negative buffersize in recv_into")
        if nbytes > len(view):
            raise ValueError("buffer too small for requested bytes")
        data = self._resumed("recv", nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def recvfrom(self, bufsize, flags=0, /):
        data, address = self._resumed("recvfrom", _ssize(bufsize), _int(flags))
        return data, _shown(address)

    def recvfrom_into(self, buffer, nbytes=0, flags=0):
        view, nbytes, flags = _writable(buffer), _ssize(nbytes), _int(flags)
        if nbytes < 0:
            raise ValueError("negative buffersize in recvfrom_into")
        if nbytes > len(view):
            raise ValueError("nbytes is greater than the length of the buffer")
        data, address = self._resumed("recvfrom", nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data), _shown(address)

    def _recvmsg(self, bufsize, ancbufsize, flags):
        data, ancillary, flags, address, warnings = self._resumed("recvmsg", bufsize, _ssize(ancbufsize), _int(flags))
        ancillary = [tuple(item) for item in ancillary]
        try:
            for warning in warnings:
                cut = "truncated" if warning.startswith("truncated") else "malformed or improperly-truncated"
                _warnings.warn(f"received {cut} ancillary data", RuntimeWarning, stacklevel=3)
        except Warning:
            for level, kind, numbers in ancillary:
                if (level, kind) == (AF["SOL_SOCKET"], AF["SCM_RIGHTS"]):
                    for fd in memoryview(numbers[: len(numbers) // 4 * 4]).cast("i"):
                        os.close(fd)
            raise
        return data, ancillary, flags, _shown(address)

    def recvmsg(self, bufsize, ancbufsize=0, flags=0, /):
        return self._recvmsg(_ssize(bufsize), ancbufsize, flags)

    def recvmsg_into(self, buffers, ancbufsize=0, flags=0, /):
        try:
            buffers = iter(buffers)
        except TypeError:
            raise TypeError("recvmsg_into() argument 1 must be an iterable") from None
        views = [_writable(buffer) for buffer in buffers]
        data, *rest = self._recvmsg(sum(map(len, views)), ancbufsize, flags)
        at = 0
        for view in views:
            part = data[at : at + len(view)]
            view[: len(part)] = part
            at += len(part)
        return (len(data), *rest)

    def send(self, data, flags=0, /):
        return self._resumed("send", _bytes(data), _int(flags))

    def sendall(self, data, flags=0, /):
        self._resumed("sendall", _bytes(data), _int(flags))

    def sendto(self, *args):
        if len(args) not in (2, 3):
            raise TypeError(f"sendto() takes 2 or 3 arguments ({len(args)} given)")
        data, flags, address = args if len(args) == 3 else (args[0], 0, args[1])
        data, flags = _bytes(data), _int(flags)
        return self._resumed("sendto", data, flags, self._to(address, "sendto"))

    def sendmsg(self, buffers, ancdata=(), flags=0, address=None, /):
        try:
            buffers = iter(buffers)
        except TypeError:
            raise TypeError("sendmsg() argument 1 must be an iterable") from None
        buffers = [_bytes(buffer) for buffer in buffers]
        try:
            ancdata = iter(ancdata)
        except TypeError:
            raise TypeError("sendmsg() argument 2 must be an iterable") from None
        messages = []
        for item in ancdata:
            try:
                level, kind, data = item
            except (TypeError, ValueError):
                raise TypeError("[sendmsg() ancillary data items]() argument must be a 3-sequence") from None
            messages.append((_int(level), _int(kind), _bytes(data)))
        flags = _int(flags)
        if address is not None:
            address = self._to(address, "sendmsg")
        return self._resumed("sendmsg", buffers, messages, flags, address)

    def sendmsg_afalg(self, msg=(), *, op, iv=None, assoclen=None, flags=0):
        msg = [_bytes(part) for part in msg]
        iv = None if iv is None else _bytes(iv)
        assoclen = None if assoclen is None else _int(assoclen)
        return self._resumed("sendmsg-afalg", msg, _int(op), iv, assoclen, _int(flags))

    def shutdown(self, how, /):
        self._now("shutdown", _int(how))


SocketType = socket


def _new(state):
    new = socket.__new__(socket)
    new._state = state
    return new


def socketpair(family=None, type=None, proto=0, /):
    family = None if family is None else _int(family)
    type = AF["SOCK_STREAM"] if type is None else _int(type)
    return tuple(map(_new, _call("socketpair", family, type, _int(proto))))


def close(fd, /):
    _call("close", _int(fd))


def dup(fd, /):
    return _call("dup", _int(fd))


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    if host is None:
        name = None
    elif isinstance(host, str):
        # CPython encodes a name with its own codec before it looks the name up.
        host.encode("idna")
        name = host
    elif isinstance(host, bytes):
        name = host.decode("latin-1")
    else:
        raise TypeError("getaddrinfo() argument 1 must be string or None")
    if port is None:
        service = None
    elif isinstance(port, str):
        service = "name", _cross(port)
    elif isinstance(port, bytes):
        service = "name", port.decode("latin-1")
    elif hasattr(port, "__index__"):
        if sys.version_info >= (3, 13):
            # CPython no longer checks the range. The resolver gets the decimal number.
            service = "name", str(operator.index(port))
        else:
            service = "number", _long(port, -(1 << 63), (1 << 63) - 1, "long")
    else:
        raise OSError("Int or String expected")
    answers = _call("getaddrinfo", name, service, _int(family), _int(type), _int(proto), _int(flags))
    return [(family, kind, proto, name, _shown(address)) for family, kind, proto, name, address in answers]


def _host_name(value):
    return _host(value)


def gethostbyname(name, /):
    return _call("gethostbyname", _host_name(name))


def _entry(entry):
    name, aliases, addresses = entry
    return name, list(aliases), list(addresses)


def gethostbyname_ex(name, /):
    return _entry(_call("gethostbyname-ex", _host_name(name)))


def gethostbyaddr(name, /):
    return _entry(_call("gethostbyaddr", _host_name(name)))


def gethostname():
    return _call("gethostname")


def sethostname(name, /):
    _call("sethostname", os.fsencode(name) if isinstance(name, str) else _bytes(name))


def getnameinfo(address, flags, /):
    if not isinstance(address, tuple):
        del address  # A test counts references, and the traceback holds this frame.
        raise TypeError("getnameinfo() argument 1 must be a tuple")
    if not 2 <= len(address) <= 4:
        raise TypeError("getnameinfo(): illegal sockaddr argument")
    host, port, *rest = address
    host = _str(host, "getnameinfo", 1)
    if len(address) == 2:
        where = "inet", (host, _int(port))
    else:
        flow, scope = (*rest, 0)[:2]
        where = "inet6", (host, _int(port), _mask(flow), _mask(scope))
    return _call("getnameinfo", where, _int(flags))


def getprotobyname(name, /):
    return _call("getprotobyname", _cross(_str(name, "getprotobyname", 1)))


def getservbyname(name, proto=None, /):
    return _call("getservbyname", _cross(_str(name, "getservbyname", 1)), proto)


def getservbyport(port, proto=None, /):
    return _call("getservbyport", _int(port), proto)


def if_nameindex():
    return [tuple(one) for one in _call("if-nameindex")]


def if_nametoindex(name, /):
    return _call("if-nametoindex", os.fsdecode(name))


def if_indextoname(index, /):
    index = operator.index(index)
    if sys.version_info < (3, 14) and index < 0:
        raise OverflowError("can't convert negative value to unsigned int")
    return _call("if-indextoname", _clamp(index))


def inet_aton(text, /):
    return _call("inet-aton", _cross(_str(text, "inet_aton", 1)))


def inet_ntoa(packed, /):
    return _call("inet-ntoa", _bytes(packed))


def inet_pton(family, text, /):
    return _call("inet-pton", _int(family), _cross(_str(text, "inet_pton", 2)))


def inet_ntop(family, packed, /):
    return _call("inet-ntop", _int(family), _bytes(packed))


def _order(name, bits):
    def function(value, /):
        if not hasattr(type(value), "__index__"):
            raise TypeError(f"an integer is required (got type {type(value).__name__})")
        value = operator.index(value)
        # Before 3.14, a negative number raised OverflowError, as a number that is too large does.
        if sys.version_info < (3, 14) and value < 0:
            raise OverflowError(f"{name}: can't convert negative Python int to C {bits}-bit unsigned integer")
        return _call(name, _clamp(value))

    function.__name__ = function.__qualname__ = name
    return function


ntohs, ntohl, htons, htonl = _order("ntohs", 16), _order("ntohl", 32), _order("htons", 16), _order("htonl", 32)


def CMSG_LEN(length, /):
    return _call("cmsg-len", _clamp(length))


def CMSG_SPACE(length, /):
    return _call("cmsg-space", _clamp(length))


def getdefaulttimeout():
    return _call("getdefaulttimeout")


def setdefaulttimeout(value, /):
    _call("setdefaulttimeout", _seconds(value))


def install(provider):
    """Loads the provider, and replaces `_socket` by this module."""
    _sandsock.load(provider)
    AF.update(_call("constants"))
    module = sys.modules[__name__]
    vars(module).update(AF)
    vars(module).update(_call("text-constants"))
    module.has_ipv6 = _call("has-ipv6")
    own = {"AF", "install", "operator", "os", "sys"}
    module.__all__ = [name for name in vars(module) if not name.startswith("_") and name not in own]
    sys.modules["_socket"] = module
    # `_ssl` uses the internals of the real `_socket`.
    sys.modules["_ssl"] = None
