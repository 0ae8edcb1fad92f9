"""Sockets as files, and files sent: makes what its arguments name; the guest `oracle_files_same` does the same."""

import io
import os
import socket
import sys
from urllib.parse import unquote_to_bytes

folder = sys.argv[1]


def digest(data):
    """Bytes, or the length and the sum of many."""
    if len(data) <= 60:
        return repr(bytes(data))
    total = 0
    for byte in data:
        total = (total * 31 + byte) & 0xFFFFFFFF
    return f"<{len(data)} {total:08x}>"


def noise(count):
    """Bytes that both sides make alike."""
    state, made = count, bytearray()
    for _ in range(count):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        made.append(b"abcdefghijklmnopqrstuvwxyz  \n\n\r"[(state >> 16) % 31])
    return bytes(made)


class Counted(socket.socket):
    """A socket that writes down which system calls a file makes on it."""

    __slots__ = ("calls",)

    def _counted(self, letter, length, call):
        if self.fileno() == -1 or (letter == "r" and length == 0):
            # These come to no system call.
            return call()
        try:
            count = call()
        except OSError:
            self.calls.append(f"{letter}{length}!")
            raise
        self.calls.append(f"{letter}{length}={count}")
        return count

    def recv_into(self, buffer, *rest):
        return self._counted("r", len(buffer), lambda: super(Counted, self).recv_into(buffer, *rest))

    def send(self, data, *rest):
        return self._counted("w", len(data), lambda: super(Counted, self).send(data, *rest))


def shown(value):
    """Bytes as they are, text as its bytes in UTF-8 with a `t`."""
    if isinstance(value, str):
        return "t" + digest(value.encode())
    if isinstance(value, (bytes, bytearray)):
        return digest(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return repr(value)


def attempt(call):
    try:
        return shown(call())
    except Exception as error:
        if isinstance(error, TypeError) and "NoneType" in str(error):
            # CPython 3.14 says it so, of a text that is read to the end and would block.
            return "! BlockingIOError None Read returned None."
        written = getattr(error, "characters_written", None) if isinstance(error, BlockingIOError) else None
        written = "" if written is None else f" {written}"
        return f"! {type(error).__name__} {getattr(error, 'errno', None)} {error}{written}"


def into(read, size):
    buffer = bytearray(b"." * size)
    return [read(buffer), buffer]


def pending(peer):
    peer.setblocking(False)
    try:
        return peer.recv(1 << 20)
    except BlockingIOError:
        return None


def operate(word, sock, peer, file, mode):
    verb, rest = word[0], word[1:]
    size = int(rest) if rest.isdigit() else -1
    text = "b" not in mode
    if verb == "r":
        return file.read(size)
    if verb == "l":
        return file.readline(size)
    if verb == "L":
        return file.readlines(size)
    if verb == "1":
        return file.read1(size)
    if verb == "i":
        return into(file.readinto, size)
    if verb == "j":
        return into(file.readinto1, size)
    if verb == "p":
        return file.peek()
    if verb == "w":
        data = unquote_to_bytes(rest)
        return file.write(data.decode() if text else data)
    if verb == "W":
        return file.write(b"x" * size if not text else "x" * size)
    if verb == "N":
        return file.write(noise(size).decode() if text else noise(size))
    if verb == "f":
        return file.flush()
    if verb == "k":
        return file.seek(0, max(size, 0))
    if verb == "t":
        return file.tell()
    if verb == "z":
        return file.truncate()
    if verb == "c":
        return file.close()
    if verb == "?":
        return [file.readable(), file.writable(), file.seekable()]
    if verb == "m":
        return file.mode
    if verb == "o":
        return [file.closed, sock.fileno() == -1]
    if verb == "n":
        return file.fileno() == sock.fileno()
    if verb == "T":
        return sock.settimeout(float(rest))
    if verb == "X":
        return sock.close()
    if verb == "D":
        return sock.detach() > 0
    if verb == "E":
        return peer.shutdown(socket.SHUT_WR)
    if verb == "C":
        return peer.close()
    if verb == "s":
        return peer.send(unquote_to_bytes(rest))
    if verb == "S":
        return peer.sendmsg([noise(size)])
    if verb == "b":
        return peer.sendmsg([unquote_to_bytes(rest)])
    if verb == "G":
        return peer.recvmsg(size)[0]
    if verb == "g":
        return pending(peer)
    raise AssertionError(word)


def make(sock, mode, buffering, encoding, errors, newline):
    return sock.makefile(
        mode,
        # CPython 3.14 has 131,072.
        8192 if buffering == "" else int(buffering),
        encoding=encoding or "utf-8" if "b" not in mode else None,
        errors=errors or None,
        newline=None if newline == "-" else unquote_to_bytes(newline).decode(),
    )


def script(kind, timeout, mode, buffering, encoding, errors, newline, *words):
    left, peer = socket.socketpair(socket.AF_UNIX, int(kind))
    sock = Counted(fileno=left.detach())
    sock.calls = []
    with peer, sock:
        sock.settimeout(None if timeout == "-" else float(timeout))
        peer.setblocking(False)
        file = make(sock, mode, buffering, encoding, errors, newline)
        results = []

        def step(word):
            nonlocal file, mode
            if word != "d":
                return operate(word, sock, peer, file, mode)
            file = file.detach()
            # A pair has no mode of its own.
            mode = getattr(file, "mode", "rwb")
            return mode

        for word in words:
            results.append(attempt(lambda: step(word)))
        results.append(attempt(file.close))
        return "; ".join(results) + " # " + " ".join(sock.calls)


def call(parts):
    if parts[0] == "make":
        _, mode, buffering, encoding, errors, newline, payload, *words = parts
        sock, peer = socket.socketpair()
        with peer, sock:
            sock.settimeout(0.01)
            if payload:
                peer.sendall(unquote_to_bytes(payload))
            file = make(sock, mode, buffering, encoding, errors, newline)
            results = [attempt(lambda: operate(word, sock, peer, file, mode)) for word in words]
            # What could not be sent is not tried again at the end.
            try:
                file.close()
            except (OSError, ValueError):
                pass
            return "; ".join(results)
    if parts[0] == "script":
        return script(*parts[1:])
    _, kind, source, timeout, offset, count = parts
    left, right = socket.socketpair(socket.AF_UNIX, int(kind))
    with left, right:
        left.settimeout(None if timeout == "-" else float(timeout))
        right.settimeout(0.01)
        if source == "memory":
            file = io.BytesIO(b"0123456789" * 3000)
        else:
            file = open(os.path.join(folder, source), "rb")
        with file:
            file.seek(2)
            sent = attempt(lambda: left.sendfile(file, int(offset), None if count == "-" else int(count)))
            got = b""
            try:
                while len(got) < 30000:
                    got += right.recv(30000)
            except TimeoutError:
                pass
            return f"{sent}; {file.tell()}; {len(got)} {got[:12]!r} {got[-3:]!r}"


for argument in sys.argv[2:]:
    try:
        print(argument, "=", call(argument.split("|")))
    except Exception as error:
        print(argument, "!", type(error).__name__, getattr(error, "errno", None), str(error))
