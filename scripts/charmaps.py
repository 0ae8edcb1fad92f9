#!/usr/bin/env python3
"""Writes guest/src/codec/charmap.rs: the encodings of one byte a character, as this CPython has them.

    scripts/charmaps.py >guest/src/codec/charmap.rs

The tables are asked of the running interpreter, byte by byte: what it makes of each, and that it writes a character as the
last byte that is read as it. A test compares them with the interpreter of the machine.
"""

import codecs
import encodings
import encodings.aliases
import pkgutil
import unicodedata

HEAD = '''//! The encodings of one byte a character, and all names. Written by `scripts/charmaps.py`, of CPython's codecs.

use super::Charmap;

'''

# What has one byte a character and is no table, or no text.
OTHERS = {"charmap", "latin_1", "iso8859_1", "ascii", "raw_unicode_escape", "unicode_escape"}


def table(name):
    """The characters of the 256 bytes; none where they are not one each, or are written otherwise."""
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
    """As Rust writes it; what does not stand alone on a line, or turns it around, by its number."""
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
    """What finds it: its module, and the aliases that are written as names are looked up."""
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
    print(HEAD + "/// All of them, by their names.")
    print("#[rustfmt::skip]")
    print("pub(super) static CHARMAPS: &[Charmap] = &[")
    for name, low, high in rows:
        print('    Charmap::new("%s",' % name)
        print("        %s," % (low or '""'))
        print("        %s)," % high)
    print("];")
    print()
    print("/// Codecs of Python's that are no encodings of text.")
    print("pub(super) const BINARY: &[&str] = &[")
    for name in binary:
        print('    "%s",' % name)
    print("];")


if __name__ == "__main__":
    main()
