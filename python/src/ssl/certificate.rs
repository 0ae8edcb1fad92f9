//! Certificates: what `getpeercert` reports of one, and the class `Certificate`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};
use x509_cert::certificate::{CertificateInner, Raw, Version};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Tag, Tagged};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints,
    SubjectAltName,
};
use x509_cert::name::Name;
use x509_cert::time::Time;

use super::constants::{ENCODING_DER, ENCODING_PEM};
use super::errors::{Class, at_place};
use super::{objects, pem};

/// A decoded certificate. Its serial number may have any length.
type Decoded = CertificateInner<Raw>;

/// RFC 5280: the access methods of the extension for the issuer's services.
const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");

/// The algorithms of public keys: RFC 3279, RFC 8410.
pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(super) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

fn decode(der: &[u8]) -> Option<Decoded> {
    Decoded::from_der(der).ok()
}

/// Returns the length of the certificate at the front of some bytes, by the head of its sequence.
pub(super) fn length(der: &[u8]) -> Option<usize> {
    let header = x509_cert::der::Header::decode(&mut x509_cert::der::SliceReader::new(der).ok()?);
    let header = header.ok()?;
    let head = header.encoded_len().ok()?;
    let total = usize::try_from((head + header.length()).ok()?).ok()?;
    (header.tag() == Tag::Sequence && total <= der.len()).then_some(total)
}

/// The kind of a key that a server or a client proves itself with. OpenSSL prefers them in this
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyKind {
    /// ECDSA.
    Elliptic,
    /// Ed25519.
    Edwards,
    /// RSA.
    Rsa,
}

impl KeyKind {
    /// Returns the kind of a public key by its algorithm.
    fn of(algorithm: ObjectIdentifier) -> Option<Self> {
        match algorithm {
            EC => Some(Self::Elliptic),
            ED25519 => Some(Self::Edwards),
            RSA => Some(Self::Rsa),
            _ => None,
        }
    }
}

/// What the checks of this module look at in a certificate.
pub(super) struct Facts {
    /// Whether it may sign certificates.
    pub(super) is_authority: bool,
    /// Whether its subject is its issuer.
    pub(super) is_self_issued: bool,
    /// Whether it names the key of its issuer.
    pub(super) has_authority_key: bool,
    /// The encoded names of the subject and of the issuer.
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    /// The bits of the public key, without its algorithm.
    pub(super) key_bits: Vec<u8>,
    /// The kind of the key. None if it is another one.
    pub(super) key_kind: Option<KeyKind>,
}

/// Returns the facts of a certificate. None if it can't be decoded.
pub(super) fn facts(der: &[u8]) -> Option<Facts> {
    let decoded = decode(der)?;
    let tbs = decoded.tbs_certificate();
    let constraints = tbs.get_extension::<BasicConstraints>().ok().flatten();
    let authority_key = tbs.get_extension::<AuthorityKeyIdentifier>().ok().flatten();
    let key = tbs.subject_public_key_info();
    Some(Facts {
        // OpenSSL: a root of version 1 has no extension that says so.
        is_authority: match constraints {
            Some((_, constraints)) => constraints.ca,
            None => tbs.version() == Version::V1 && tbs.subject() == tbs.issuer(),
        },
        is_self_issued: tbs.subject() == tbs.issuer(),
        has_authority_key: authority_key.is_some_and(|(_, key)| key.key_identifier.is_some()),
        subject: tbs.subject().to_der().ok()?,
        issuer: tbs.issuer().to_der().ok()?,
        key_bits: key.subject_public_key.raw_bytes().to_vec(),
        key_kind: KeyKind::of(key.algorithm.oid),
    })
}

/// Returns the dict of `getpeercert`.
pub(super) fn info<'py>(py: Python<'py>, der: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let unreadable = || at_place(py, Class::Ssl, "[ASN1] the certificate can't be decoded");
    let decoded = decode(der).ok_or_else(unreadable)?;
    let tbs = decoded.tbs_certificate();
    let dict = PyDict::new(py);
    dict.set_item("subject", name(py, tbs.subject())?)?;
    dict.set_item("issuer", name(py, tbs.issuer())?)?;
    dict.set_item("version", tbs.version() as u8 + 1)?;
    dict.set_item("serialNumber", hex(tbs.serial_number().as_bytes()))?;
    dict.set_item("notBefore", time(tbs.validity().not_before))?;
    dict.set_item("notAfter", time(tbs.validity().not_after))?;
    if let Ok(Some((_, names))) = tbs.get_extension::<SubjectAltName>() {
        let names: Vec<_> =
            names.0.iter().map(|name| general_name(py, name)).collect::<PyResult<_>>()?;
        if !names.is_empty() {
            dict.set_item("subjectAltName", PyTuple::new(py, names)?)?;
        }
    }
    if let Ok(Some((_, access))) = tbs.get_extension::<AuthorityInfoAccessSyntax>() {
        for (key, method) in [("OCSP", OCSP), ("caIssuers", CA_ISSUERS)] {
            let descriptions = access.0.iter().filter(|entry| entry.access_method == method);
            add_uris(&dict, key, descriptions.map(|entry| &entry.access_location))?;
        }
    }
    if let Ok(Some((_, points))) = tbs.get_extension::<CrlDistributionPoints>() {
        let names = points.0.iter().flat_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => names.as_slice(),
            _ => &[],
        });
        add_uris(&dict, "crlDistributionPoints", names)?;
    }
    Ok(dict)
}

/// Sets an item to the URIs among some names, if there are any.
fn add_uris<'a>(
    dict: &Bound<'_, PyDict>,
    key: &str,
    names: impl Iterator<Item = &'a GeneralName>,
) -> PyResult<()> {
    let uris: Vec<&str> = names
        .filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        })
        .collect();
    if uris.is_empty() { Ok(()) } else { dict.set_item(key, PyTuple::new(dict.py(), uris)?) }
}

/// Returns a name as a tuple of its relative names, which are tuples of pairs.
fn name<'py>(py: Python<'py>, name: &Name) -> PyResult<Bound<'py, PyTuple>> {
    let relative = name.as_ref().iter().map(|relative| {
        let pairs: Vec<_> = relative
            .iter()
            .map(|attribute| {
                let oid = attribute.oid.to_string();
                let text = text(attribute.value.tag(), attribute.value.value());
                (objects::find(&oid, false).map_or(oid, |row| row.2.to_owned()), text)
            })
            .collect();
        PyTuple::new(py, pairs)
    });
    PyTuple::new(py, relative.collect::<PyResult<Vec<_>>>()?)
}

/// Returns the text of a string of ASN.1.
fn text(tag: Tag, bytes: &[u8]) -> String {
    match tag {
        Tag::BmpString => {
            let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect()
        }
        Tag::TeletexString => bytes.iter().copied().map(char::from).collect(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Returns one of the names of `subjectAltName`.
fn general_name<'py>(py: Python<'py>, general: &GeneralName) -> PyResult<Bound<'py, PyTuple>> {
    let pair = |kind: &str, value: &str| PyTuple::new(py, [kind, value]);
    match general {
        GeneralName::DnsName(value) => pair("DNS", value.as_str()),
        GeneralName::Rfc822Name(value) => pair("email", value.as_str()),
        GeneralName::UniformResourceIdentifier(value) => pair("URI", value.as_str()),
        GeneralName::DirectoryName(value) => {
            let kind = PyString::new(py, "DirName").into_any();
            PyTuple::new(py, [kind, name(py, value)?.into_any()])
        }
        GeneralName::IpAddress(value) => pair("IP Address", &address(value.as_bytes())),
        GeneralName::RegisteredId(value) => pair("Registered ID", &value.to_string()),
        GeneralName::OtherName(_) => pair("othername", "<unsupported>"),
        GeneralName::EdiPartyName(_) => pair("EdiPartyName", "<unsupported>"),
    }
}

/// Returns an IP address as OpenSSL prints it: the groups of an IPv6 address are not shortened.
fn address(bytes: &[u8]) -> String {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Ipv4Addr::from(bytes).to_string();
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(bytes) => {
            let groups = Ipv6Addr::from(bytes).segments().map(|group| format!("{group:X}"));
            groups.join(":")
        }
        Err(_) => "<invalid>".to_owned(),
    }
}

/// Returns a serial number as OpenSSL prints it.
fn hex(bytes: &[u8]) -> String {
    // DER: the first byte of a positive number whose highest bit is set is 0.
    let bytes = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        bytes => bytes,
    };
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Returns a time as OpenSSL prints it.
fn time(time: Time) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = time.to_date_time();
    let month = MONTHS[usize::from(time.month()).saturating_sub(1).min(11)];
    let (day, hour, minute, second) = (time.day(), time.hour(), time.minutes(), time.seconds());
    format!("{month} {day:2} {hour:02}:{minute:02}:{second:02} {} GMT", time.year())
}

/// A certificate of a peer.
#[pyclass(frozen, immutable_type, name = "Certificate", module = "_ssl")]
pub(super) struct Certificate(pub(super) Arc<[u8]>);

#[pymethods]
impl Certificate {
    /// Return the certificate's bytes, as text (ENCODING_PEM) or as bytes (ENCODING_DER).
    #[pyo3(signature = (format = ENCODING_PEM))]
    fn public_bytes<'py>(&self, py: Python<'py>, format: i32) -> PyResult<Bound<'py, PyAny>> {
        match format {
            ENCODING_PEM => Ok(PyString::new(py, &pem::encode_certificate(&self.0)).into_any()),
            ENCODING_DER => Ok(PyBytes::new(py, &self.0).into_any()),
            _ => Err(PyValueError::new_err("Unsupported format")),
        }
    }

    /// Return what getpeercert() returns of it.
    fn get_info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        info(py, &self.0)
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        let subject = decode(&self.0).map(|decoded| {
            // RFC 4514: the last relative name comes first.
            decoded.tbs_certificate().subject().to_string()
        });
        format!("<_ssl.Certificate '{}'>", subject.unwrap_or_default())
    }
}
