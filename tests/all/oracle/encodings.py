"""Lists the encodings of one byte a character: each name that finds one, and the text of all its bytes."""

import codecs
import encodings
import encodings.aliases
import pkgutil
from urllib.parse import quote

# What is no table: its text is Python's own.
OTHERS = {"charmap", "unicode_escape", "raw_unicode_escape", "punycode", "idna", "undefined"}

modules = {module.name for module in pkgutil.iter_modules(encodings.__path__)}
for name in sorted(modules | set(encodings.aliases.aliases)):
    module = encodings.aliases.aliases.get(name, name)
    try:
        info = codecs.lookup(name)
        if module in OTHERS or not info._is_text_encoding:
            continue
        texts = [bytes([byte]).decode(name, "ignore") for byte in range(256)]
    except (LookupError, UnicodeError):
        continue
    # A table reads any two bytes as it reads each.
    both = bytes(range(128, 256)).decode(name, "ignore")
    if sum(map(len, texts)) > 150 and both == "".join(texts[128:]):
        print(name, quote("".join(texts), safe=""))
