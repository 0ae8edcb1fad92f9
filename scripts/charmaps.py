#!/usr/bin/env python3
"""Writes guest/src/codec/optional/charmap.rs: the single-byte encodings of this CPython.

    scripts/charmaps.py >guest/src/codec/optional/charmap.rs

It decodes each byte with the running interpreter. It also checks that the interpreter encodes each character as the last byte
that decodes to it. A test compares the tables with the interpreter of the machine.
"""

import codecs
import encodings
import encodings.aliases
import pkgutil
import unicodedata

HEAD = '''//! The single-byte encodings, and the names of all codecs that are not text encodings. Written by
//! `scripts/charmaps.py` from CPython's codecs.

use super::Charmap;

'''

# Single-byte encodings that are not tables, or not of text.
OTHERS = {"charmap", "latin_1", "iso8859_1", "ascii", "raw_unicode_escape", "unicode_escape"}


def table(name):
    """Returns the characters of the 256 bytes. None if a byte is not one character, or if encoding gives another byte."""
    characters = []
    for byte in range(256):
        try:
            text = bytes([byte]).decode(name)
        except UnicodeDecodeError:
            text = "\ufffe"
        if len(text) != 1:
            return None
        characters.append(text)
    written = {character: byte for byte, character in enumerate(characters) if character != "\ufffe"}
    for number in range(0x110000):
        if 0xD800 <= number < 0xE000:
            continue
        try:
            data = chr(number).encode(name)
        except UnicodeEncodeError:
            data = None
        byte = written.get(chr(number))
        if data != (None if byte is None else bytes([byte])):
            return None
    return characters


def literal(characters):
    """Returns a literal of Rust. Characters that combine, or that change the direction of the line, are escaped."""
    parts = []
    for character in characters:
        plain = unicodedata.category(character)[0] in "LNPS" and unicodedata.category(character) != "Lm"
        if character in '"\\':
            parts.append("\\" + character)
        elif plain and unicodedata.bidirectional(character) not in ("R", "AL"):
            parts.append(character)
        else:
            parts.append("\\u{%x}" % ord(character))
    return '"' + "".join(parts) + '"'


def names(name):
    """Returns the names of a codec: its module, and the aliases in the form in which names are looked up."""
    aliases = [alias for alias, target in encodings.aliases.aliases.items() if target == name and alias == alias.lower()]
    return " ".join([name] + sorted(set(aliases) - {name}))


def main():
    rows, binary = [], []
    for name in sorted(module.name for module in pkgutil.iter_modules(encodings.__path__)):
        try:
            info = codecs.lookup(name)
        except LookupError:
            continue
        if not info._is_text_encoding:
            binary.append(names(name))
            continue
        try:
            characters = None if name in OTHERS else table(name)
        except UnicodeError:
            continue
        if characters is None:
            continue
        low, high = characters[:128], characters[128:]
        ascii_too = low == [chr(number) for number in range(128)]
        rows.append((names(name), None if ascii_too else literal(low), literal(high)))
    print(HEAD + "/// The single-byte encodings, except ASCII and Latin-1.")
    print("#[rustfmt::skip]")
    print("pub(super) static CHARMAPS: &[Charmap] = &[")
    for name, low, high in rows:
        print('    Charmap::new("%s",' % name)
        print("        %s," % (low or '""'))
        print("        %s)," % high)
    print("];")
    print()
    print("/// Python's codecs that are not text encodings.")
    print("pub(super) const BINARY: &[&str] = &[")
    for name in binary:
        print('    "%s",' % name)
    print("];")


if __name__ == "__main__":
    main()
