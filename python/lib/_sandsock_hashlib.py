"""What `hashlib` has of OpenSSL in other builds of CPython: pbkdf2_hmac, scrypt, and more hashes for `new`."""

import hashlib
import operator

import _sandsock

NAMES = ("ripemd160", "sha512_224", "sha512_256", "sm3")

# OpenSSL's names of hashes that the interpreter has under another name.
_OPENSSL_NAMES = {"sha3-224": "sha3_224", "sha3-256": "sha3_256", "sha3-384": "sha3_384", "sha3-512": "sha3_512",
                  "sha512-224": "sha512_224", "sha512-256": "sha512_256", "rmd160": "ripemd160",
                  "blake2b512": "blake2b", "blake2s256": "blake2s"}  # fmt: skip

_new = hashlib.new

# OpenSSL's limit if the caller gives none.
_MAXMEM = 32 << 20
_INT_MAX = 0x7FFFFFFF


def install() -> None:
    """Adds the functions and the names."""
    hashlib.new = new
    hashlib.pbkdf2_hmac = pbkdf2_hmac
    hashlib.scrypt = scrypt
    hashlib.algorithms_available = hashlib.algorithms_available.union(NAMES)
    if "pbkdf2_hmac" not in hashlib.__all__:
        hashlib.__all__ += ("pbkdf2_hmac",)
    for function in (new, pbkdf2_hmac, scrypt):
        function.__module__ = "hashlib"


def _canonical(name: str) -> str:
    name = name.lower()
    return _OPENSSL_NAMES.get(name, name)


def _bytes(data) -> bytes:
    return data if type(data) is bytes else bytes(memoryview(data))


class _Hash:
    """A hash object of the extension, which takes bytes alone."""

    __slots__ = ("_hash",)

    def __init__(self, hash):
        self._hash = hash

    def update(self, data, /):
        """Update this hash object's state with the provided bytes-like object."""
        if isinstance(data, str):
            raise TypeError("Strings must be encoded before hashing")
        self._hash.update(_bytes(data))

    def digest(self):
        """Return the digest value as a bytes object."""
        return self._hash.digest()

    def hexdigest(self):
        """Return the digest value as a string of hexadecimal digits."""
        return self._hash.hexdigest()

    def copy(self):
        """Return a copy of the hash object."""
        return _Hash(self._hash.copy())

    name = property(lambda self: self._hash.name)
    digest_size = property(lambda self: self._hash.digest_size)
    block_size = property(lambda self: self._hash.block_size)

    def __repr__(self):
        return f"<{self.name} _hashlib.HASH object>"


def new(name, data=b"", *, usedforsecurity=True, **keywords):
    """new(name, data=b'', **kwargs) - Return a new hashing object using the named algorithm;
    optionally initialized with data (which must be a bytes-like object)."""
    canonical = _canonical(name) if isinstance(name, str) else name
    if canonical not in NAMES:
        if isinstance(canonical, str) and canonical in hashlib.algorithms_guaranteed:
            name = canonical
        return _new(name, data, usedforsecurity=usedforsecurity, **keywords)
    if keywords:
        if data != b"" or set(keywords) != {"string"}:
            raise TypeError(f"new() got an unexpected keyword argument '{next(iter(keywords))}'")
        data = keywords["string"]
    hash = _Hash(_sandsock.HASH(canonical))
    hash.update(data)
    return hash


def pbkdf2_hmac(hash_name, password, salt, iterations, dklen=None):
    """Password based key derivation function 2 (PKCS #5 v2.0) with HMAC as pseudorandom function."""
    if not isinstance(hash_name, str):
        raise TypeError(f"pbkdf2_hmac() argument 'hash_name' must be str, not {type(hash_name).__name__}")
    password, salt = _bytes(password), _bytes(salt)
    iterations = operator.index(iterations)
    name = _canonical(hash_name)
    if iterations < 1:
        raise ValueError("iteration value must be greater than 0.")
    if iterations > _INT_MAX:
        raise OverflowError("iteration value is too great.")
    if dklen is None:
        dklen = new(name).digest_size
    dklen = operator.index(dklen)
    if dklen < 1:
        raise ValueError("key length must be greater than 0.")
    if dklen > _INT_MAX:
        raise OverflowError("key length is too great.")
    return _sandsock.pbkdf2(name, password, salt, iterations, dklen)


def scrypt(password, *, salt, n, r, p, maxmem=0, dklen=64):
    """scrypt password-based key derivation function."""
    password, salt = _bytes(password), _bytes(salt)
    n, r, p, maxmem, dklen = map(operator.index, (n, r, p, maxmem, dklen))
    if n < 2 or n & (n - 1):
        raise ValueError("n must be a power of 2.")
    if not 0 <= maxmem <= _INT_MAX:
        raise ValueError(f"maxmem must be positive and smaller than {_INT_MAX}")
    if not 1 <= dklen <= _INT_MAX:
        raise ValueError(f"dklen must be greater than 0 and smaller than {_INT_MAX}")
    if r < 1 or p < 1 or 128 * r * (n + p + 2) > (maxmem or _MAXMEM):
        raise ValueError("Invalid parameter combination for n, r, p, maxmem.")
    return _sandsock.scrypt(password, salt, n.bit_length() - 1, r, p, dklen)
