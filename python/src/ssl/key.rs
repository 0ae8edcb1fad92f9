//! Private keys of files: their forms, and whether one belongs to a certificate.

use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyString};
use sec1::EcPrivateKey;
use x509_cert::der::Decode;

use super::certificate::{EC, Facts, RSA};
use super::pem::Section;

/// OpenSSL's PEM_BUFSIZE: the most bytes of a password.
const PASSWORD_SIZE: usize = 1024;

/// Why a file has no key.
pub(super) enum NoKey {
    /// No section is a key, or the key can't be read.
    Unreadable,
    /// The key is encrypted, and there is no password.
    Encrypted,
    /// The caller's function failed, or returned something else.
    Raised(PyErr),
}

/// Returns the DER of the first key among the sections of a file.
pub(super) fn find(
    sections: &[Section<'_>],
    password: Option<&Bound<'_, PyAny>>,
) -> Result<Vec<u8>, NoKey> {
    let section = sections
        .iter()
        .find(|section| section.label.ends_with("PRIVATE KEY"))
        .ok_or(NoKey::Unreadable)?;
    if section.label == "ENCRYPTED PRIVATE KEY" {
        let password = password.ok_or(NoKey::Encrypted)?;
        let password = read_password(password).map_err(NoKey::Raised)?;
        let der = section.decode().ok_or(NoKey::Unreadable)?;
        let info = EncryptedPrivateKeyInfoRef::try_from(der.as_slice());
        let key = info.ok().and_then(|info| info.decrypt(password).ok());
        return key.map(|key| key.as_bytes().to_vec()).ok_or(NoKey::Unreadable);
    }
    if section.has_headers() {
        // RFC 1421: the old form with MD5, which no library here decrypts.
        return Err(NoKey::Encrypted);
    }
    section.decode().ok_or(NoKey::Unreadable)
}

/// Returns the bytes of the argument `password`: a str, bytes, a bytearray, or a function that
/// returns one of them.
fn read_password(password: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if password.is_callable() {
        return bytes(&password.call0()?, "password callback must return a string");
    }
    bytes(password, "password should be a string or callable")
}

fn bytes(password: &Bound<'_, PyAny>, text: &'static str) -> PyResult<Vec<u8>> {
    let bytes = if let Ok(text) = password.cast::<PyString>() {
        text.to_cow()?.as_bytes().to_vec()
    } else if let Ok(bytes) = password.cast::<PyBytes>() {
        bytes.as_bytes().to_vec()
    } else if let Ok(bytes) = password.cast::<PyByteArray>() {
        bytes.to_vec()
    } else {
        return Err(PyTypeError::new_err(text));
    };
    if bytes.len() > PASSWORD_SIZE {
        let text = format!("password cannot be longer than {PASSWORD_SIZE} bytes");
        return Err(PyValueError::new_err(text));
    }
    Ok(bytes)
}

/// Whether a key belongs to a certificate. None if the key does not have its public half, or can't
/// be decoded here: the host refuses it then.
pub(super) fn matches(key: &[u8], certificate: &Facts) -> Option<bool> {
    if let Ok(info) = PrivateKeyInfoRef::from_der(key) {
        return match info.algorithm.oid {
            RSA => rsa(info.private_key.as_bytes(), certificate),
            EC => ec(info.private_key.as_bytes(), certificate),
            _ => None,
        };
    }
    rsa(key, certificate).or_else(|| ec(key, certificate))
}

fn rsa(key: &[u8], certificate: &Facts) -> Option<bool> {
    let key = pkcs1::RsaPrivateKeyRef::from_der(key).ok()?;
    let public = pkcs1::RsaPublicKeyRef::from_der(&certificate.key_bits).ok();
    Some(public.is_some_and(|public| public == key.public_key()))
}

fn ec(key: &[u8], certificate: &Facts) -> Option<bool> {
    let public = EcPrivateKey::from_der(key).ok()?.public_key?;
    Some(public == certificate.key_bits.as_slice())
}

/// Checks the argument `password` if it is no function.
pub(super) fn check_password(password: &Bound<'_, PyAny>) -> PyResult<()> {
    read_password(password).map(drop)
}
