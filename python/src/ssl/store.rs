//! What a context trusts: certificates and revocation lists of files, folders and texts.

use std::sync::Arc;

use pyo3::exceptions::{PyTypeError, PyUnicodeDecodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::bio::fetched;
use super::certificate::{Facts, facts, length};
use super::errors::{Class, at_place, of_library};
use super::pem::{Section, is_certificate, sections};
use crate::ffi::{Buffer, FileSystemName, Format, parse_one};

/// A trusted certificate.
#[derive(Clone)]
pub(super) struct Root {
    pub(super) der: Arc<[u8]>,
    pub(super) facts: Arc<Facts>,
}

impl Root {
    fn of(der: Vec<u8>) -> Option<Self> {
        let facts = Arc::new(facts(&der)?);
        Some(Self { der: der.into(), facts })
    }
}

/// What a context trusts.
#[derive(Clone, Default)]
pub(super) struct Store {
    pub(super) roots: Vec<Root>,
    pub(super) revocations: Vec<Vec<u8>>,
    /// Folders whose files are named by hashes. They are read when a session begins.
    folders: Vec<Vec<u8>>,
    /// Whether the roots of the embedder count too.
    pub(super) has_defaults: bool,
}

impl Store {
    /// Adds a certificate, unless it is there.
    fn add(&mut self, root: Root) {
        if self.roots.iter().all(|other| other.der != root.der) {
            self.roots.push(root);
        }
    }

    /// Adds what another store has.
    pub(super) fn merge(&mut self, other: Self) {
        for root in other.roots {
            self.add(root);
        }
        for list in other.revocations {
            if !self.revocations.contains(&list) {
                self.revocations.push(list);
            }
        }
        self.folders.extend(other.folders);
        self.has_defaults |= other.has_defaults;
    }

    /// Returns a certificate and the issuers that are known here. OpenSSL sends them if the program
    /// has given no chain.
    pub(super) fn chain_of<'a>(&'a self, leaf: &'a [u8]) -> Vec<&'a [u8]> {
        let mut chain = vec![leaf];
        let mut last = facts(leaf).map(Arc::new);
        while let Some(end) = last.take().filter(|end| !end.is_self_issued) {
            let issuer = self.roots.iter().find(|root| root.facts.subject == end.issuer);
            if let Some(root) = issuer.filter(|root| !chain.contains(&&*root.der)) {
                chain.push(&root.der);
                last = Some(Arc::clone(&root.facts));
            }
        }
        chain
    }

    /// Returns the numbers of certificates, of revocation lists, and of authorities.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let authorities = self.roots.iter().filter(|root| root.facts.is_authority).count();
        (self.roots.len(), self.revocations.len(), authorities)
    }

    /// Adds the certificates of a text. Returns whether there was one.
    fn add_text(&mut self, sections: &[Section<'_>]) -> Option<bool> {
        let mut found = false;
        for section in sections {
            if is_certificate(section.label) {
                self.add(Root::of(section.decode()?)?);
                found = true;
            } else if section.label == "X509 CRL" {
                self.revocations.push(section.decode()?);
                found = true;
            }
        }
        Some(found)
    }

    /// Adds the certificates of a file.
    pub(super) fn add_file(&mut self, path: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = path.py();
        let data = read_file(path)?;
        match self.add_text(&sections(&String::from_utf8_lossy(&data))) {
            Some(true) => Ok(()),
            Some(false) => Err(super::errors::with_reason(
                py,
                Class::Ssl,
                "X509",
                "NO_CERTIFICATE_OR_CRL_FOUND",
                "no certificate or crl found",
            )),
            None => Err(of_library(py, "X509", "PEM lib")),
        }
    }

    /// Notes a folder.
    pub(super) fn add_folder(&mut self, path: &Bound<'_, PyAny>) -> PyResult<()> {
        self.folders.push(path_bytes(path)?.as_bytes().to_vec());
        Ok(())
    }

    /// Adds the certificates of the argument `cadata`: PEM in a str, or DER in bytes.
    pub(super) fn add_data(&mut self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = data.py();
        let missing = |reason: &str| {
            let text = format!("{reason}: cadata does not contain a certificate");
            at_place(py, Class::Ssl, &text)
        };
        if let Ok(text) = data.cast::<PyString>() {
            let text = text.to_cow()?;
            if !text.is_ascii() {
                return Err(PyValueError::new_err(
                    "cadata should be an ASCII string or a bytes-like object",
                ));
            }
            let parsed = sections(&text);
            let certificates: Vec<_> =
                parsed.into_iter().filter(|section| is_certificate(section.label)).collect();
            return match self.add_text(&certificates) {
                Some(true) => Ok(()),
                Some(false) => Err(missing("no start line")),
                None => Err(of_library(py, "X509", "PEM lib")),
            };
        }
        let buffer = Buffer::of(data).map_err(fetched(py)).map_err(|_| {
            PyTypeError::new_err("cadata should be an ASCII string or a bytes-like object")
        })?;
        let mut rest = buffer.get();
        if length(rest).is_none() {
            return Err(missing("not enough data"));
        }
        while !rest.is_empty() {
            let root = length(rest).and_then(|length| {
                let (der, after) = rest.split_at(length);
                rest = after;
                Root::of(der.to_vec())
            });
            self.add(root.ok_or_else(|| of_library(py, "ASN1", "not enough data"))?);
        }
        Ok(())
    }

    /// Returns the certificates in the folders.
    pub(super) fn of_folders(&self, py: Python<'_>) -> PyResult<Self> {
        let mut found = Self::default();
        for folder in &self.folders {
            let os = py.import("os")?;
            // OpenSSL ignores a folder that it can't read.
            let Ok(names) = os.call_method1("listdir", (PyBytes::new(py, folder),)) else {
                continue;
            };
            for name in names.try_iter()? {
                let name = name?.cast_into::<PyBytes>()?;
                if is_hash_name(name.as_bytes()) {
                    let path = [folder, b"/".as_slice(), name.as_bytes()].concat();
                    // A file that can't be read, or has no certificate, is left out too.
                    let _ = found.add_file(PyBytes::new(py, &path).as_any());
                }
            }
        }
        Ok(found)
    }
}

/// Whether a file has the name of a hash, as `openssl rehash` makes them: `HHHHHHHH.N`.
fn is_hash_name(name: &[u8]) -> bool {
    let Some((hash, number)) = name.split_at_checked(8) else { return false };
    let number = number.strip_prefix(b".").unwrap_or_default();
    let number = number.strip_prefix(b"r").unwrap_or(number);
    hash.iter().all(u8::is_ascii_hexdigit)
        && !number.is_empty()
        && number.iter().all(u8::is_ascii_digit)
}

/// Returns a path as bytes.
pub(super) fn path_bytes<'py>(path: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = path.py();
    let mut name = (FileSystemName::default(),);
    parse_one(path, const { &Format::new(c"O&") }, &mut name).map_err(fetched(py))?;
    Ok(PyBytes::new(py, name.0.get()))
}

/// Returns the bytes of a file. Its errors are those of `open`.
pub(super) fn read_file(path: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let py = path.py();
    let file = py.import("io")?.call_method1("open", (path_bytes(path)?, "rb"))?;
    let data = file.call_method0("read");
    file.call_method0("close")?;
    Ok(data?.cast_into::<PyBytes>()?.as_bytes().to_vec())
}

/// Returns the error of a path argument of the wrong type: CPython names the argument.
pub(super) fn path_argument(object: &Bound<'_, PyAny>, name: &str) -> PyResult<()> {
    let py = object.py();
    path_bytes(object).map(drop).map_err(|error| {
        let is_own = error.is_instance_of::<PyUnicodeDecodeError>(py);
        if is_own || !error.is_instance_of::<PyTypeError>(py) {
            return error;
        }
        PyTypeError::new_err(format!("{name} should be a valid filesystem path"))
    })
}
