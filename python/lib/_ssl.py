"""The module `_ssl` without a TLS library. Contexts can be made and set up, as `urllib.request` does for plain HTTP too. A context
that has to speak TLS raises an SSLError."""

import os as _os

_DEFAULT_CIPHERS = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
# Packages ask for a version that has what they need.
OPENSSL_VERSION = "OpenSSL 3.0.0 (stand-in without TLS)"
OPENSSL_VERSION_NUMBER = 0x30000000
OPENSSL_VERSION_INFO = _OPENSSL_API_VERSION = 3, 0, 0, 0, 0

HAS_SNI = HAS_ECDH = HAS_ALPN = HAS_TLS_UNIQUE = HAS_TLSv1_2 = HAS_TLSv1_3 = HAS_PSK = HAS_PHA = True
HAS_NPN = HAS_SSLv2 = HAS_SSLv3 = HAS_TLSv1 = HAS_TLSv1_1 = False
HAS_PSK_TLS13 = True

# Numbers of OpenSSL
CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED = range(3)
ENCODING_PEM, ENCODING_DER = 1, 2
HOSTFLAG_ALWAYS_CHECK_SUBJECT = 1
HOSTFLAG_NO_WILDCARDS = 2
HOSTFLAG_NO_PARTIAL_WILDCARDS = 4
HOSTFLAG_MULTI_LABEL_WILDCARDS = 8
HOSTFLAG_SINGLE_LABEL_SUBDOMAINS = 16
HOSTFLAG_NEVER_CHECK_SUBJECT = 32
OP_ALL = 0x80000050
OP_CIPHER_SERVER_PREFERENCE = 1 << 22
OP_ENABLE_KTLS = 1 << 3
OP_ENABLE_MIDDLEBOX_COMPAT = 1 << 20
OP_IGNORE_UNEXPECTED_EOF = 1 << 7
OP_LEGACY_SERVER_CONNECT = 1 << 2
OP_NO_COMPRESSION = 1 << 17
OP_NO_RENEGOTIATION = 1 << 30
OP_NO_SSLv2 = OP_SINGLE_DH_USE = OP_SINGLE_ECDH_USE = 0
OP_NO_SSLv3 = 1 << 25
OP_NO_TICKET = 1 << 14
OP_NO_TLSv1 = 1 << 26
OP_NO_TLSv1_1 = 1 << 28
OP_NO_TLSv1_2 = 1 << 27
OP_NO_TLSv1_3 = 1 << 29
PROTOCOL_SSLv23 = PROTOCOL_TLS = 2
PROTOCOL_TLSv1, PROTOCOL_TLSv1_1, PROTOCOL_TLSv1_2 = 3, 4, 5
PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER = 16, 17
PROTO_MAXIMUM_SUPPORTED, PROTO_MINIMUM_SUPPORTED = -1, -2
PROTO_SSLv3, PROTO_TLSv1, PROTO_TLSv1_1, PROTO_TLSv1_2, PROTO_TLSv1_3 = range(0x300, 0x305)
VERIFY_DEFAULT = 0
VERIFY_CRL_CHECK_LEAF = 1 << 2
VERIFY_CRL_CHECK_CHAIN = 3 << 2
VERIFY_X509_STRICT = 1 << 5
VERIFY_ALLOW_PROXY_CERTS = 1 << 6
VERIFY_X509_TRUSTED_FIRST = 1 << 15
VERIFY_X509_PARTIAL_CHAIN = 1 << 19
SSL_ERROR_SSL = 1
SSL_ERROR_WANT_READ = 2
SSL_ERROR_WANT_WRITE = 3
SSL_ERROR_WANT_X509_LOOKUP = 4
SSL_ERROR_SYSCALL = 5
SSL_ERROR_ZERO_RETURN = 6
SSL_ERROR_WANT_CONNECT = 7
SSL_ERROR_EOF = 8
SSL_ERROR_INVALID_ERROR_CODE = 10

# RFC 8446, RFC 5246 and RFC 6066
ALERT_DESCRIPTION_CLOSE_NOTIFY = 0
ALERT_DESCRIPTION_UNEXPECTED_MESSAGE = 10
ALERT_DESCRIPTION_BAD_RECORD_MAC = 20
ALERT_DESCRIPTION_RECORD_OVERFLOW = 22
ALERT_DESCRIPTION_DECOMPRESSION_FAILURE = 30
ALERT_DESCRIPTION_HANDSHAKE_FAILURE = 40
ALERT_DESCRIPTION_BAD_CERTIFICATE = 42
ALERT_DESCRIPTION_UNSUPPORTED_CERTIFICATE = 43
ALERT_DESCRIPTION_CERTIFICATE_REVOKED = 44
ALERT_DESCRIPTION_CERTIFICATE_EXPIRED = 45
ALERT_DESCRIPTION_CERTIFICATE_UNKNOWN = 46
ALERT_DESCRIPTION_ILLEGAL_PARAMETER = 47
ALERT_DESCRIPTION_UNKNOWN_CA = 48
ALERT_DESCRIPTION_ACCESS_DENIED = 49
ALERT_DESCRIPTION_DECODE_ERROR = 50
ALERT_DESCRIPTION_DECRYPT_ERROR = 51
ALERT_DESCRIPTION_PROTOCOL_VERSION = 70
ALERT_DESCRIPTION_INSUFFICIENT_SECURITY = 71
ALERT_DESCRIPTION_INTERNAL_ERROR = 80
ALERT_DESCRIPTION_USER_CANCELLED = 90
ALERT_DESCRIPTION_NO_RENEGOTIATION = 100
ALERT_DESCRIPTION_UNSUPPORTED_EXTENSION = 110
ALERT_DESCRIPTION_CERTIFICATE_UNOBTAINABLE = 111
ALERT_DESCRIPTION_UNRECOGNIZED_NAME = 112
ALERT_DESCRIPTION_BAD_CERTIFICATE_STATUS_RESPONSE = 113
ALERT_DESCRIPTION_BAD_CERTIFICATE_HASH_VALUE = 114
ALERT_DESCRIPTION_UNKNOWN_PSK_IDENTITY = 115


class SSLError(OSError):
    """An error occurred in the SSL implementation."""

    library = None
    reason = None

    def __str__(self):
        return str(self.strerror) if isinstance(self.strerror, str) else str(self.args)


class SSLZeroReturnError(SSLError):
    """SSL/TLS session closed cleanly."""


class SSLWantReadError(SSLError):
    """Non-blocking SSL socket needs to read more data before the requested operation can be completed."""


class SSLWantWriteError(SSLError):
    """Non-blocking SSL socket needs to write more data before the requested operation can be completed."""


class SSLSyscallError(SSLError):
    """System error when attempting SSL operation."""


class SSLEOFError(SSLError):
    """SSL/TLS connection terminated abruptly."""


class SSLCertVerificationError(SSLError, ValueError):
    """A certificate could not be verified."""


for _error in (
    SSLError, SSLZeroReturnError, SSLWantReadError, SSLWantWriteError, SSLSyscallError, SSLEOFError, SSLCertVerificationError,
):  # fmt: skip
    _error.__module__ = "ssl"


def _refuse(*arguments, **keywords):
    """Raises the error of everything that needs TLS."""
    text = "this Python has no TLS: use a plain connection, or let a proxy outside of the sandbox add TLS"
    raise SSLError(SSL_ERROR_SSL, text)


class _Refusal:
    """In place of the classes SSLSocket and SSLObject, so that `wrap_socket` and `wrap_bio` fail before a connection is made."""

    _create = staticmethod(_refuse)


class MemoryBIO:
    """A buffer of bytes that is written at one end and read at the other."""

    def __init__(self):
        self._data = bytearray()
        self._eof = False

    def read(self, size=-1, /):
        """Read up to size bytes from the memory BIO."""
        data = bytes(self._data if size < 0 else self._data[:size])
        del self._data[: len(data)]
        return data

    def write(self, b, /):
        """Writes the bytes b into the memory BIO."""
        if self._eof:
            raise SSLError("cannot write() after write_eof()")
        data = memoryview(b).cast("B")
        self._data += data
        return len(data)

    def write_eof(self):
        """Write an EOF marker to the memory BIO."""
        self._eof = True

    @property
    def pending(self):
        """The number of bytes pending in the memory BIO."""
        return len(self._data)

    @property
    def eof(self):
        """Whether the memory BIO is at EOF."""
        return self._eof and not self._data


class SSLSession:
    """A session of TLS, of which there are none."""

    def __new__(cls):
        raise TypeError("cannot create '_ssl.SSLSession' instances")


class Certificate:
    """A certificate of a peer, of which there are none."""

    def __new__(cls):
        raise TypeError("cannot create '_ssl.Certificate' instances")


_PROTOCOLS = PROTOCOL_TLS, PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER, PROTOCOL_TLSv1, PROTOCOL_TLSv1_1, PROTOCOL_TLSv1_2
_VERSIONS = *range(PROTO_SSLv3, PROTO_TLSv1_3 + 1), PROTO_MAXIMUM_SUPPORTED, PROTO_MINIMUM_SUPPORTED


def _checked(name, check=None, default=None):
    """Returns a property that keeps a value, after a check."""
    key = "_kept_" + name

    def get(self):
        return self.__dict__.get(key, default)

    def set(self, value):
        self.__dict__[key] = value if check is None else check(self, value)

    return property(get, set)


def _flags(self, value):
    if not isinstance(value, int):
        raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
    if value < 0:
        raise OverflowError("can't convert negative value to unsigned int")
    return int(value)


def _mode(self, value):
    value = int(value)
    if value not in (CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED):
        raise ValueError("invalid value for verify_mode")
    if value == CERT_NONE and self.check_hostname:
        raise ValueError("Cannot set verify_mode to CERT_NONE when check_hostname is enabled.")
    return value


def _check_hostname(self, value):
    if value and self.__dict__.get("_kept_verify_mode", CERT_NONE) == CERT_NONE:
        # CPython: a check of the name needs a certificate.
        self.__dict__["_kept_verify_mode"] = CERT_REQUIRED
    return bool(value)


def _version(self, value):
    value = int(value)
    if value not in _VERSIONS:
        raise ValueError(f"Unsupported TLS/SSL version 0x{value & 0xFFFFFFFF:x}")
    return value


def _callback(self, value):
    if value is not None and not callable(value):
        raise TypeError("not a callable object")
    return value


def _tickets(self, value):
    if value < 0:
        raise ValueError("value must be non-negative")
    if self.protocol != PROTOCOL_TLS_SERVER:
        raise ValueError("SSLContext is not a server context.")
    return value


_OPTIONS = OP_ALL | OP_NO_SSLv3 | OP_NO_COMPRESSION | OP_ENABLE_MIDDLEBOX_COMPAT | OP_CIPHER_SERVER_PREFERENCE


class _SSLContext:
    """The settings of TLS connections. `ssl.SSLContext` is a subclass."""

    def __new__(cls, protocol, /):
        if protocol not in _PROTOCOLS:
            raise ValueError("invalid or unsupported protocol version")
        self = object.__new__(cls)
        is_client = protocol == PROTOCOL_TLS_CLIENT
        self.__dict__.update(
            _protocol=int(protocol),
            _kept_verify_mode=CERT_REQUIRED if is_client else CERT_NONE,
            _kept_check_hostname=is_client,
            sslsocket_class=_Refusal,
            sslobject_class=_Refusal,
        )
        return self

    protocol = property(lambda self: self._protocol)
    options = _checked("options", _flags, _OPTIONS)
    verify_flags = _checked("verify_flags", _flags, VERIFY_X509_TRUSTED_FIRST)
    verify_mode = _checked("verify_mode", _mode)
    check_hostname = _checked("check_hostname", _check_hostname, False)
    minimum_version = _checked("minimum_version", _version, PROTO_TLSv1_2)
    maximum_version = _checked("maximum_version", _version, PROTO_MAXIMUM_SUPPORTED)
    _host_flags = _checked("host_flags", _flags, HOSTFLAG_NO_PARTIAL_WILDCARDS)
    sni_callback = _checked("sni_callback", _callback)
    _msg_callback = _checked("msg_callback", _callback)
    keylog_filename = _checked("keylog_filename")
    post_handshake_auth = _checked("post_handshake_auth", lambda self, value: bool(value), False)
    num_tickets = _checked("num_tickets", _tickets, 2)
    security_level = property(lambda self: 2)

    _wrap_socket = _wrap_bio = _refuse

    def set_ciphers(self, cipherlist, /):
        if not isinstance(cipherlist, str):
            raise TypeError(f"set_ciphers() argument must be str, not {type(cipherlist).__name__}")

    def get_ciphers(self):
        return []

    def _set_alpn_protocols(self, protos, /):
        memoryview(protos)

    def load_cert_chain(self, certfile, keyfile=None, password=None):
        for file in (certfile, keyfile):
            if file is not None:
                _need(file)

    def load_verify_locations(self, cafile=None, capath=None, cadata=None):
        if cafile is None and capath is None and cadata is None:
            raise TypeError("cafile, capath and cadata cannot be all omitted")
        if cafile is not None:
            _need(cafile)
        if isinstance(cadata, str):
            cadata.encode("ascii")
        elif cadata is not None:
            memoryview(cadata)

    def set_default_verify_paths(self):
        pass

    def load_dh_params(self, path, /):
        _need(path)

    def set_ecdh_curve(self, name, /):
        _os.fsencode(name)

    def set_psk_client_callback(self, callback):
        _callback(self, callback)

    def set_psk_server_callback(self, callback, identity_hint=None):
        _callback(self, callback)

    def get_ca_certs(self, binary_form=False):
        return []

    def cert_store_stats(self):
        return {"x509": 0, "crl": 0, "x509_ca": 0}

    def session_stats(self):
        names = "number connect connect_good connect_renegotiate accept accept_good accept_renegotiate hits misses timeouts cache_full"
        return dict.fromkeys(names.split(), 0)


def _need(file):
    """Fails if a file can't be read."""
    with open(file, "rb"):
        pass


# The objects that `ssl` itself, and packages, ask for: OpenSSL's number, short name, long name and OID.
_OBJECTS = (
    (13, "CN", "commonName", "2.5.4.3"),
    (14, "C", "countryName", "2.5.4.6"),
    (15, "L", "localityName", "2.5.4.7"),
    (16, "ST", "stateOrProvinceName", "2.5.4.8"),
    (17, "O", "organizationName", "2.5.4.10"),
    (18, "OU", "organizationalUnitName", "2.5.4.11"),
    (129, "serverAuth", "TLS Web Server Authentication", "1.3.6.1.5.5.7.3.1"),
    (130, "clientAuth", "TLS Web Client Authentication", "1.3.6.1.5.5.7.3.2"),
)


def txt2obj(txt, name=False):
    """Lookup NID, short name, long name and OID of an ASN1_OBJECT."""
    for row in _OBJECTS:
        if txt == row[3] or name and txt in row[1:3]:
            return row
    raise ValueError(f"unknown object '{txt[:100]}'")


def nid2obj(nid, /):
    """Lookup NID, short name, long name and OID of an ASN1_OBJECT by NID."""
    if nid < 0:
        raise ValueError("NID must be positive")
    for row in _OBJECTS:
        if nid == row[0]:
            return row
    raise ValueError(f"unknown NID {nid}")


def get_default_verify_paths():
    """Return the names and the default values of the environment variables of certificates."""
    return "SSL_CERT_FILE", "/etc/ssl/cert.pem", "SSL_CERT_DIR", "/etc/ssl/certs"


def RAND_bytes(n, /):
    """Generate n cryptographically strong pseudo-random bytes."""
    if n < 0:
        raise ValueError("num must be positive")
    return _os.urandom(n)


def RAND_status():
    """Returns True if the generator has been seeded."""
    return True


def RAND_add(string, entropy, /):
    """Mix string into the generator's state. The host's generator needs none."""


def _test_decode_cert(path, /):
    _refuse()
