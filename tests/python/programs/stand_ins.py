"""The modules and functions that stand in for those that WASI lacks."""

import asyncio
import errno
import fcntl
import grp
import hashlib
import hmac
import os
import pwd
import resource
import select
import socket
import ssl
import stat
import struct
import sys
import termios


def raises(errors, function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except errors as error:
        return error
    raise AssertionError(f"{function.__name__} does not fail")


# errno: the names that WASI has keep its numbers, and Linux's others are 1000 and Linux's number.
import _sandsock

for name, number, text in _sandsock.errnos():
    assert getattr(errno, name) == number, name
    # CPython: here ESHUTDOWN is another name of EPIPE.
    if name != "ESHUTDOWN":
        assert os.strerror(number) == text and errno.errorcode[number] == name, name
assert errno.EHOSTDOWN == 1112 and errno.EPFNOSUPPORT == 1096 and errno.EAGAIN == 6 and errno.ECONNREFUSED == 14
assert all(_sandsock.to_wasi(number) > 0 for number in range(1, 5000)) and _sandsock.to_wasi(0) == 0
assert os.strerror(4321) == "Unknown error 4321"
assert str(OSError(errno.EHOSTDOWN, os.strerror(errno.EHOSTDOWN))) == "[Errno 1112] Host is down"

# The numbers of sockets, pollers and pipes
reader, writer = os.pipe()
assert os.write(writer, bytearray(b"abc")) == 3 and os.read(reader, 2) == b"ab" and os.read(reader, 2) == b"c"
assert os.get_inheritable(reader) is False and os.get_blocking(reader) is True
os.set_blocking(reader, False)
assert raises(BlockingIOError, os.read, reader, 1).errno == errno.EAGAIN
os.close(writer)
assert os.read(reader, 1) == b""
os.close(reader)
assert raises(OSError, os.read, reader, 1).errno == raises(OSError, os.close, reader).errno == errno.EBADF
reader, writer = os.pipe()
assert stat.S_ISSOCK(os.fstat(reader).st_mode) and os.stat(writer) == os.fstat(writer)
assert raises(OSError, os.lseek, reader, 0, os.SEEK_SET).errno == errno.ESPIPE and not os.isatty(reader)
with os.fdopen(reader) as lines, os.fdopen(writer, "w", 1) as output:
    print("a line", file=output)
    assert lines.readline() == "a line\n" and lines.fileno() == reader and not lines.seekable()
    output.write("the rest")
    output.close()
    assert lines.read() == "the rest"
assert raises(OSError, os.fstat, reader).errno == errno.EBADF
reader, writer = os.pipe()
with os.fdopen(reader, "rb", 0) as unbuffered, os.fdopen(writer, "wb", closefd=False) as output:
    assert output.write(b"bytes") == 5
    output.flush()
    assert unbuffered.read(9) == b"bytes"
    unbuffered_copy = os.dup(reader)
room = bytearray(8)
assert os.write(writer, b"more") == 4 and os.readinto(unbuffered_copy, room) == 4 and room == b"more\0\0\0\0"
os.close(unbuffered_copy)
assert "unbuffered text" in str(raises(ValueError, os.fdopen, writer, "w", 0))
os.close(writer)


async def through_a_pipe():
    """asyncio's transports of pipes."""
    loop = asyncio.get_running_loop()
    reader, writer = os.pipe()
    stream = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reader, "rb"))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(writer, "wb"))
    transport.write(b"a line\n")
    assert await stream.readline() == b"a line\n"
    transport.close()
    assert await stream.read() == b""


asyncio.run(through_a_pipe())
epoll = select.epoll()
assert not os.get_inheritable(epoll.fileno())
os.close(epoll.fileno())
assert raises(OSError, epoll.poll, 0).errno == errno.EBADF
with open(__file__, "rb") as file:
    assert os.read(file.fileno(), 3) == b'"""' and os.get_blocking(file.fileno())
    assert raises(OSError, fcntl.flock, file, fcntl.LOCK_EX).errno == errno.ENOLCK

# fcntl
a, b = socket.socketpair()
flags = fcntl.fcntl(a, fcntl.F_GETFL)
assert flags & os.O_NONBLOCK == 0 and flags & os.O_RDWR == os.O_RDWR and fcntl.fcntl(a, fcntl.F_GETFD) == fcntl.FD_CLOEXEC
fcntl.fcntl(a, fcntl.F_SETFL, flags | os.O_NONBLOCK)
assert fcntl.fcntl(a.fileno(), fcntl.F_GETFL) == flags | os.O_NONBLOCK
raises(BlockingIOError, a.recv, 1)
fcntl.fcntl(a, fcntl.F_SETFD, 0)
assert a.get_inheritable()
duplicate = fcntl.fcntl(a, fcntl.F_DUPFD_CLOEXEC, 3)
assert duplicate != a.fileno() and not os.get_inheritable(duplicate)
os.close(duplicate)
assert raises(OSError, fcntl.fcntl, a, 12345).errno == errno.EINVAL
assert raises(OSError, fcntl.fcntl, 999_999, fcntl.F_GETFD).errno == errno.EBADF
raises(TypeError, fcntl.fcntl, object(), 1)
raises(ValueError, fcntl.fcntl, -1, 1)
b.send(b"12345")
room = bytearray(4)
assert fcntl.ioctl(a, termios.FIONREAD, room) == 0 and struct.unpack("i", room) == (5,)
assert fcntl.ioctl(a, termios.FIONREAD, bytes(4)) == struct.pack("i", 5)
assert raises(OSError, fcntl.ioctl, a, termios.FIONREAD).errno == errno.EFAULT
assert isinstance(raises(OSError, fcntl.ioctl, a, 0x8913, struct.pack("256s", b"lo")), PermissionError)
assert raises(OSError, fcntl.ioctl, a, 0x12345678, bytes(4)).errno == errno.ENOTTY
raises(termios.error, termios.tcgetattr, 0)

# The user and the limits
assert pwd.getpwuid(os.getuid()).pw_name == pwd.getpwnam("root").pw_name == grp.getgrgid(os.getgid()).gr_name == "root"
raises(KeyError, pwd.getpwnam, "nobody")
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1024, 1024)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (64, 512)
raises(ValueError, resource.setrlimit, resource.RLIMIT_NOFILE, (64, 1024))
assert resource.getrusage(resource.RUSAGE_SELF).ru_utime >= 0

# hashlib: RFC 6070, RFC 7914, and the hashes that OpenSSL has
assert hashlib.pbkdf2_hmac("sha1", b"password", b"salt", 4096).hex() == "4b007901b765489abead49d926f721d065a429c1"
assert hashlib.pbkdf2_hmac("sha256", b"passwd", b"salt", 1, 64).hex().startswith("55ac046e56e3089fec1691c22544b605f94185216dde0465")
assert hashlib.scrypt(b"password", salt=b"NaCl", n=1024, r=8, p=16, maxmem=1 << 25).hex().startswith("fdbabe1c9d3472007856e7190d01e9fe")
assert hashlib.new("ripemd160", b"abc").hexdigest() == "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"
assert hashlib.new("sm3", b"abc").hexdigest().startswith("66c7f0f462eeedd9d1f2d46bdc10e4e2")
assert hashlib.new("SHA512-256", b"abc").hexdigest().startswith("53048e2681941ef99b2e29b76b4c7dab")
for name in hashlib.algorithms_available:
    copy = hashlib.new(name, b"ab").copy()
    copy.update(bytearray(b"c"))
    size = (8,) if name.startswith("shake") else ()
    assert copy.digest(*size) == hashlib.new(name, b"abc").digest(*size), name
    assert copy.name == name and copy.block_size > 0
assert hmac.new(b"key", b"text", "sha256").digest() == hmac.digest(b"key", b"text", hashlib.sha256)
for wrong in ({"n": 3}, {"n": 1 << 40}, {"r": 0}, {"p": 1 << 30}, {"dklen": 0}, {"maxmem": -1}):
    raises(ValueError, hashlib.scrypt, b"", **{"salt": b"", "n": 16, "r": 1, "p": 1, **wrong})
raises(ValueError, hashlib.pbkdf2_hmac, "absent", b"", b"", 1)
raises(ValueError, hashlib.pbkdf2_hmac, "sha1", b"", b"", 0)
raises(OverflowError, hashlib.pbkdf2_hmac, "sha1", b"", b"", 1 << 31)
raises(TypeError, hashlib.pbkdf2_hmac, "sha1", "text", b"", 1)
raises(ValueError, hashlib.new, "absent")

# ssl: contexts, and a session without I/O
context = ssl.create_default_context()
assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname and context.minimum_version == ssl.TLSVersion.TLSv1_2
raises(ValueError, setattr, context, "verify_mode", ssl.CERT_NONE)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.set_alpn_protocols(["h2", "http/1.1"])
raises(FileNotFoundError, context.load_verify_locations, "/absent")
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
session = context.wrap_bio(incoming, outgoing, server_hostname="sandbox.example")
raises(ssl.SSLWantReadError, session.do_handshake)
# RFC 8446: a record of the handshake.
assert outgoing.read(1) == b"\x16"

# The platform
assert sys.platform == ("linux" if "--as-linux" in sys.argv else "wasi")
assert os.uname().sysname == ("Linux" if "--as-linux" in sys.argv else "wasi")
try:
    import subprocess

    subprocess.run(["true"])
except OSError as error:
    assert "does not support processes" in str(error), error
print("ok")
