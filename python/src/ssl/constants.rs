//! The numbers of `_ssl`: those of OpenSSL 3, and of the RFCs.

/// The first version of OpenSSL with this module's behaviour. Packages ask for a version that has
/// what they need.
pub(super) const VERSION_INFO: (u8, u8, u8, u8, u8) = (3, 0, 0, 0, 0);
pub(super) const VERSION_NUMBER: u32 = 0x3000_0000;
pub(super) const VERSION_TEXT: &str = "OpenSSL 3.0.0 (compatible: rustls in the host of sandsock)";

/// CPython's own default. `set_ciphers` reads it as any other.
pub(super) const DEFAULT_CIPHERS: &str =
    "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM";

pub(super) const CERT_NONE: i32 = 0;
pub(super) const CERT_OPTIONAL: i32 = 1;
pub(super) const CERT_REQUIRED: i32 = 2;

pub(super) const PROTOCOL_TLS: i32 = 2;
pub(super) const PROTOCOL_TLSV1_2: i32 = 5;
pub(super) const PROTOCOL_TLS_CLIENT: i32 = 16;
pub(super) const PROTOCOL_TLS_SERVER: i32 = 17;

pub(super) const MAXIMUM_SUPPORTED: i32 = -1;
pub(super) const MINIMUM_SUPPORTED: i32 = -2;
pub(super) const SSLV3: i32 = 0x300;
pub(super) const TLSV1: i32 = 0x301;
pub(super) const TLSV1_2: i32 = 0x303;
pub(super) const TLSV1_3: i32 = 0x304;

pub(super) const OP_ALL: u64 = 0x8000_0050;
pub(super) const OP_NO_TICKET: u64 = 1 << 14;
pub(super) const OP_NO_COMPRESSION: u64 = 1 << 17;
pub(super) const OP_ENABLE_MIDDLEBOX_COMPAT: u64 = 1 << 20;
pub(super) const OP_CIPHER_SERVER_PREFERENCE: u64 = 1 << 22;
pub(super) const OP_NO_SSLV3: u64 = 1 << 25;
pub(super) const OP_NO_TLSV1: u64 = 1 << 26;
pub(super) const OP_NO_TLSV1_2: u64 = 1 << 27;
pub(super) const OP_NO_TLSV1_1: u64 = 1 << 28;
pub(super) const OP_NO_TLSV1_3: u64 = 1 << 29;

pub(super) const VERIFY_CRL_CHECK_LEAF: u32 = 1 << 2;
pub(super) const VERIFY_CRL_CHECK_CHAIN: u32 = 3 << 2;
pub(super) const VERIFY_X509_STRICT: u32 = 1 << 5;
pub(super) const VERIFY_X509_TRUSTED_FIRST: u32 = 1 << 15;

pub(super) const HOSTFLAG_NO_PARTIAL_WILDCARDS: u32 = 4;

pub(super) const ERROR_SSL: i32 = 1;
pub(super) const ERROR_WANT_READ: i32 = 2;
pub(super) const ERROR_WANT_WRITE: i32 = 3;
pub(super) const ERROR_SYSCALL: i32 = 5;
pub(super) const ERROR_ZERO_RETURN: i32 = 6;
pub(super) const ERROR_EOF: i32 = 8;

pub(super) const ENCODING_PEM: i32 = 1;
pub(super) const ENCODING_DER: i32 = 2;

/// Whether the library can do something.
pub(super) const FLAGS: &[(&str, bool)] = &[
    ("HAS_SNI", true),
    ("HAS_ECDH", true),
    ("HAS_ALPN", true),
    ("HAS_TLSv1_2", true),
    ("HAS_TLSv1_3", true),
    // RFC 9266: TLS 1.3 has no tls-unique.
    ("HAS_TLS_UNIQUE", false),
    ("HAS_NPN", false),
    ("HAS_SSLv2", false),
    ("HAS_SSLv3", false),
    ("HAS_TLSv1", false),
    ("HAS_TLSv1_1", false),
    ("HAS_PSK", false),
    ("HAS_PSK_TLS13", false),
    ("HAS_PHA", false),
];

/// The numbers by their names.
pub(super) const NUMBERS: &[(&str, i64)] = &[
    ("CERT_NONE", CERT_NONE as i64),
    ("CERT_OPTIONAL", CERT_OPTIONAL as i64),
    ("CERT_REQUIRED", CERT_REQUIRED as i64),
    ("ENCODING_PEM", ENCODING_PEM as i64),
    ("ENCODING_DER", ENCODING_DER as i64),
    ("HOSTFLAG_ALWAYS_CHECK_SUBJECT", 1),
    ("HOSTFLAG_NO_WILDCARDS", 2),
    ("HOSTFLAG_NO_PARTIAL_WILDCARDS", HOSTFLAG_NO_PARTIAL_WILDCARDS as i64),
    ("HOSTFLAG_MULTI_LABEL_WILDCARDS", 8),
    ("HOSTFLAG_SINGLE_LABEL_SUBDOMAINS", 16),
    ("HOSTFLAG_NEVER_CHECK_SUBJECT", 32),
    ("OP_ALL", OP_ALL as i64),
    ("OP_CIPHER_SERVER_PREFERENCE", OP_CIPHER_SERVER_PREFERENCE as i64),
    ("OP_ENABLE_KTLS", 1 << 3),
    ("OP_ENABLE_MIDDLEBOX_COMPAT", OP_ENABLE_MIDDLEBOX_COMPAT as i64),
    ("OP_IGNORE_UNEXPECTED_EOF", 1 << 7),
    ("OP_LEGACY_SERVER_CONNECT", 1 << 2),
    ("OP_NO_COMPRESSION", OP_NO_COMPRESSION as i64),
    ("OP_NO_RENEGOTIATION", 1 << 30),
    ("OP_NO_SSLv2", 0),
    ("OP_NO_SSLv3", OP_NO_SSLV3 as i64),
    ("OP_NO_TICKET", OP_NO_TICKET as i64),
    ("OP_NO_TLSv1", OP_NO_TLSV1 as i64),
    ("OP_NO_TLSv1_1", OP_NO_TLSV1_1 as i64),
    ("OP_NO_TLSv1_2", OP_NO_TLSV1_2 as i64),
    ("OP_NO_TLSv1_3", OP_NO_TLSV1_3 as i64),
    ("OP_SINGLE_DH_USE", 0),
    ("OP_SINGLE_ECDH_USE", 0),
    ("PROTOCOL_SSLv23", PROTOCOL_TLS as i64),
    ("PROTOCOL_TLS", PROTOCOL_TLS as i64),
    ("PROTOCOL_TLS_CLIENT", PROTOCOL_TLS_CLIENT as i64),
    ("PROTOCOL_TLS_SERVER", PROTOCOL_TLS_SERVER as i64),
    ("PROTOCOL_TLSv1", 3),
    ("PROTOCOL_TLSv1_1", 4),
    ("PROTOCOL_TLSv1_2", PROTOCOL_TLSV1_2 as i64),
    ("PROTO_MAXIMUM_SUPPORTED", MAXIMUM_SUPPORTED as i64),
    ("PROTO_MINIMUM_SUPPORTED", MINIMUM_SUPPORTED as i64),
    ("PROTO_SSLv3", SSLV3 as i64),
    ("PROTO_TLSv1", TLSV1 as i64),
    ("PROTO_TLSv1_1", 0x302),
    ("PROTO_TLSv1_2", TLSV1_2 as i64),
    ("PROTO_TLSv1_3", TLSV1_3 as i64),
    ("SSL_ERROR_SSL", ERROR_SSL as i64),
    ("SSL_ERROR_WANT_READ", ERROR_WANT_READ as i64),
    ("SSL_ERROR_WANT_WRITE", ERROR_WANT_WRITE as i64),
    ("SSL_ERROR_WANT_X509_LOOKUP", 4),
    ("SSL_ERROR_SYSCALL", ERROR_SYSCALL as i64),
    ("SSL_ERROR_ZERO_RETURN", ERROR_ZERO_RETURN as i64),
    ("SSL_ERROR_WANT_CONNECT", 7),
    ("SSL_ERROR_EOF", ERROR_EOF as i64),
    ("SSL_ERROR_INVALID_ERROR_CODE", 10),
    ("VERIFY_DEFAULT", 0),
    ("VERIFY_CRL_CHECK_LEAF", VERIFY_CRL_CHECK_LEAF as i64),
    ("VERIFY_CRL_CHECK_CHAIN", VERIFY_CRL_CHECK_CHAIN as i64),
    ("VERIFY_X509_STRICT", VERIFY_X509_STRICT as i64),
    ("VERIFY_ALLOW_PROXY_CERTS", 1 << 6),
    ("VERIFY_X509_TRUSTED_FIRST", VERIFY_X509_TRUSTED_FIRST as i64),
    ("VERIFY_X509_PARTIAL_CHAIN", 1 << 19),
];

/// An alert: its number, its name among the constants, and OpenSSL's reason for having received it.
pub(super) struct Alert {
    pub(super) number: u8,
    /// Empty if `ssl` has no constant for it.
    pub(super) name: &'static str,
    pub(super) reason: &'static str,
}

const fn alert(number: u8, name: &'static str, reason: &'static str) -> Alert {
    Alert { number, name, reason }
}

/// The alerts: RFC 5246, RFC 6066 and RFC 8446.
pub(super) const ALERTS: &[Alert] = &[
    alert(0, "CLOSE_NOTIFY", "SSLV3_ALERT_CLOSE_NOTIFY"),
    alert(10, "UNEXPECTED_MESSAGE", "SSLV3_ALERT_UNEXPECTED_MESSAGE"),
    alert(20, "BAD_RECORD_MAC", "SSLV3_ALERT_BAD_RECORD_MAC"),
    alert(22, "RECORD_OVERFLOW", "TLSV1_ALERT_RECORD_OVERFLOW"),
    alert(30, "DECOMPRESSION_FAILURE", "SSLV3_ALERT_DECOMPRESSION_FAILURE"),
    alert(40, "HANDSHAKE_FAILURE", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
    alert(42, "BAD_CERTIFICATE", "SSLV3_ALERT_BAD_CERTIFICATE"),
    alert(43, "UNSUPPORTED_CERTIFICATE", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"),
    alert(44, "CERTIFICATE_REVOKED", "SSLV3_ALERT_CERTIFICATE_REVOKED"),
    alert(45, "CERTIFICATE_EXPIRED", "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
    alert(46, "CERTIFICATE_UNKNOWN", "SSLV3_ALERT_CERTIFICATE_UNKNOWN"),
    alert(47, "ILLEGAL_PARAMETER", "SSLV3_ALERT_ILLEGAL_PARAMETER"),
    alert(48, "UNKNOWN_CA", "TLSV1_ALERT_UNKNOWN_CA"),
    alert(49, "ACCESS_DENIED", "TLSV1_ALERT_ACCESS_DENIED"),
    alert(50, "DECODE_ERROR", "TLSV1_ALERT_DECODE_ERROR"),
    alert(51, "DECRYPT_ERROR", "TLSV1_ALERT_DECRYPT_ERROR"),
    alert(70, "PROTOCOL_VERSION", "TLSV1_ALERT_PROTOCOL_VERSION"),
    alert(71, "INSUFFICIENT_SECURITY", "TLSV1_ALERT_INSUFFICIENT_SECURITY"),
    alert(80, "INTERNAL_ERROR", "TLSV1_ALERT_INTERNAL_ERROR"),
    alert(86, "", "TLSV1_ALERT_INAPPROPRIATE_FALLBACK"),
    alert(90, "USER_CANCELLED", "TLSV1_ALERT_USER_CANCELLED"),
    alert(100, "NO_RENEGOTIATION", "TLSV1_ALERT_NO_RENEGOTIATION"),
    alert(109, "", "TLSV13_ALERT_MISSING_EXTENSION"),
    alert(110, "UNSUPPORTED_EXTENSION", "TLSV1_UNSUPPORTED_EXTENSION"),
    alert(111, "CERTIFICATE_UNOBTAINABLE", "TLSV1_CERTIFICATE_UNOBTAINABLE"),
    alert(112, "UNRECOGNIZED_NAME", "TLSV1_UNRECOGNIZED_NAME"),
    alert(113, "BAD_CERTIFICATE_STATUS_RESPONSE", "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE"),
    alert(114, "BAD_CERTIFICATE_HASH_VALUE", "TLSV1_BAD_CERTIFICATE_HASH_VALUE"),
    alert(115, "UNKNOWN_PSK_IDENTITY", "TLSV1_ALERT_UNKNOWN_PSK_IDENTITY"),
    alert(116, "", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
    alert(120, "", "TLSV1_ALERT_NO_APPLICATION_PROTOCOL"),
];
