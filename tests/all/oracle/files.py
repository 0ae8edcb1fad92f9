"""Sockets as files, and files sent: makes what its arguments name; the guest `oracle_files_same` does the same."""

import io
import os
import socket
import sys
from urllib.parse import unquote_to_bytes

folder = sys.argv[1]


def shown(value):
    """Bytes as they are, text as its bytes in UTF-8 with a `t`."""
    if isinstance(value, str):
        return "t" + repr(value.encode())
    if isinstance(value, (bytes, bytearray)):
        return repr(bytes(value))
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return repr(value)


def attempt(call):
    try:
        return shown(call())
    except Exception as error:
        return f"! {type(error).__name__} {getattr(error, 'errno', None)} {error}"


def into(file, size):
    buffer = bytearray(b"." * size)
    return [file.readinto(buffer), buffer]


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
        return into(file, size)
    if verb == "p":
        return file.peek()
    if verb == "w":
        data = unquote_to_bytes(rest)
        return file.write(data.decode() if text else data)
    if verb == "W":
        return file.write(b"x" * size if not text else "x" * size)
    if verb == "f":
        return file.flush()
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
    if verb == "g":
        return pending(peer)
    raise AssertionError(word)


def call(parts):
    if parts[0] == "make":
        _, mode, buffering, encoding, errors, newline, payload, *words = parts
        sock, peer = socket.socketpair()
        with peer, sock:
            sock.settimeout(0.01)
            if payload:
                peer.sendall(unquote_to_bytes(payload))
            file = sock.makefile(
                mode,
                None if buffering == "" else int(buffering),
                encoding=encoding or "utf-8" if "b" not in mode else None,
                errors=errors or None,
                newline=None if newline == "-" else unquote_to_bytes(newline).decode(),
            )
            results = [attempt(lambda: operate(word, sock, peer, file, mode)) for word in words]
            # What could not be sent is not tried again at the end.
            try:
                file.close()
            except (OSError, ValueError):
                pass
            return "; ".join(results)
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
