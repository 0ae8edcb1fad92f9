"""Unpacks CPython's standard library, which componentize-py carries as a compressed archive in its own module, into a folder."""

import importlib.util
import io
import pathlib
import sys
import tarfile

import zstandard

# RFC 8878: a frame of Zstandard begins with this number.
MAGIC = b"\x28\xb5\x2f\xfd"
# The archive is recognised by a module of every version.
MODULE = "os.py"
# More than the compressed archive has.
FRAME = 16 << 20


def archives(data: bytes):
    """Returns each tar archive in the data."""
    at = data.find(MAGIC)
    while at >= 0:
        try:
            unpacked = zstandard.ZstdDecompressor().decompressobj().decompress(data[at : at + FRAME])
            yield tarfile.open(fileobj=io.BytesIO(unpacked))
        except (zstandard.ZstdError, tarfile.TarError):
            # These bytes were the number by chance, or the frame is another file.
            pass
        at = data.find(MAGIC, at + 1)


def main() -> None:
    """Unpacks the first archive that has the module."""
    folder = pathlib.Path(importlib.util.find_spec("componentize_py").origin).parent
    for library in folder.glob("*.so"):
        for archive in archives(library.read_bytes()):
            if MODULE in archive.getnames():
                # The filter came with Python 3.12, and with 3.11.4. The archive is of the package that pip has checked.
                checked = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                archive.extractall(sys.argv[1], **checked)
                return
    sys.exit(f"no archive with {MODULE} in {folder}")


main()
