"""Functions of the C library that packages call through `ctypes`, made of what a guest has."""

import errno
import fcntl
import socket
import struct

import _ctypes

# Linux's struct ifreq on the host: a name of 16 bytes, and a union of 24.
_REQUEST = struct.Struct("16s24s")
_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFNETMASK = 0x8913, 0x8915, 0x891B
# struct ifaddrs and two addresses: the next entry, the name, the flags, the address, the netmask, the peer, and the data.
_ENTRY = struct.Struct("PPIPPPP")


def _interface(kind, request, name):
    return fcntl.ioctl(kind, request, _REQUEST.pack(name, b""))[16:]


def getifaddrs(place):
    """getifaddrs(3) with the IPv4 addresses of the interfaces. A missing grant is a PermissionError, whose text names the grant."""
    try:
        entries = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kind:
            for _, name in socket.if_nameindex():
                name = name.encode()
                try:
                    address = _interface(kind, _SIOCGIFADDR, name)[:16]
                    netmask = _interface(kind, _SIOCGIFNETMASK, name)[:16]
                except PermissionError:
                    raise
                except OSError:
                    # The interface has no IPv4 address.
                    address = netmask = None
                (flags,) = struct.unpack_from("<H", _interface(kind, _SIOCGIFFLAGS, name))
                entries.append((name, flags, address, netmask))
    except PermissionError:
        raise
    except OSError as error:
        _ctypes.set_errno(error.errno or errno.EIO)
        return -1
    size = _ENTRY.size + 48
    region = _ctypes._Region(bytearray(size * max(1, len(entries))))
    base = _ctypes._address_of(region, 0)
    for at, (name, flags, address, netmask) in enumerate(entries):
        start = at * size
        texts = start + _ENTRY.size
        region.data[texts : texts + len(name)] = name
        places = [0, 0]
        for number, value in enumerate((address, netmask)):
            if value is not None:
                places[number] = texts + 16 * (number + 1)
                region.data[places[number] : places[number] + 16] = value
        following = base + start + size if at + 1 < len(entries) else 0
        pointers = [base + place if place else 0 for place in places]
        _ENTRY.pack_into(region.data, start, following, base + texts, flags, *pointers, 0, 0)
    target, offset = _ctypes._place(place)
    _ctypes._store_address(target, offset, base if entries else 0, region)
    # The list lives until freeifaddrs, because its pointers are copied.
    _lists[base] = region
    return 0


_lists = {}


def freeifaddrs(pointer):
    """freeifaddrs(3)"""
    if pointer:
        _lists.pop(_ctypes._load_address(pointer._region, pointer._offset), None)


FUNCTIONS = {"getifaddrs": getifaddrs, "freeifaddrs": freeifaddrs}
