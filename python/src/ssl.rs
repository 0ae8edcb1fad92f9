//! The module `_ssl`, which CPython's own `ssl.py` is built on.
//!
//! The host makes the sessions, keeps the embedder's keys and verifies certificates. This module has
//! OpenSSL's part that programs see: contexts, certificates as dicts, cipher strings, the exceptions
//! and their texts. Each module uses only modules further down: `context` and `socket`, which use
//! each other; `session`; `engine`; `identity`, `store`; `key`; `certificate`, `bio`; `errors`,
//! `ciphers`; `objects`, `pem`, `constants`.

mod bio;
mod certificate;
mod ciphers;
mod constants;
mod context;
mod engine;
mod errors;
mod identity;
mod key;
mod objects;
mod pem;
mod session;
mod socket;
mod store;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::ffi::Buffer;
use bio::fetched;

#[pymodule]
#[pyo3(name = "_ssl")]
fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("__doc__", "CPython's _ssl over sandsock. The module ssl documents it.")?;
    errors::add(module)?;
    for (name, number) in constants::NUMBERS {
        module.add(*name, *number)?;
    }
    for (name, flag) in constants::FLAGS {
        module.add(*name, *flag)?;
    }
    for alert in constants::ALERTS.iter().filter(|alert| !alert.name.is_empty()) {
        module.add(format!("ALERT_DESCRIPTION_{}", alert.name).as_str(), alert.number)?;
    }
    module.add("OPENSSL_VERSION", constants::VERSION_TEXT)?;
    module.add("OPENSSL_VERSION_NUMBER", constants::VERSION_NUMBER)?;
    module.add("OPENSSL_VERSION_INFO", constants::VERSION_INFO)?;
    module.add("_OPENSSL_API_VERSION", constants::VERSION_INFO)?;
    module.add("_DEFAULT_CIPHERS", constants::DEFAULT_CIPHERS)?;
    module.add("err_codes_to_names", PyDict::new(py))?;
    module.add("lib_codes_to_names", PyDict::new(py))?;
    module.add_class::<context::SslContext>()?;
    module.add_class::<socket::SslSocket>()?;
    module.add_class::<session::SslSession>()?;
    module.add_class::<bio::MemoryBio>()?;
    module.add_class::<certificate::Certificate>()?;
    module.add_function(wrap_pyfunction!(objects::txt2obj, module)?)?;
    module.add_function(wrap_pyfunction!(objects::nid2obj, module)?)?;
    module.add_function(wrap_pyfunction!(rand_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(rand_status, module)?)?;
    module.add_function(wrap_pyfunction!(rand_add, module)?)?;
    module.add_function(wrap_pyfunction!(get_default_verify_paths, module)?)?;
    module.add_function(wrap_pyfunction!(decode_certificate, module)?)?;
    // PyO3 adds the list of names, which CPython's module does not have.
    module.delattr("__all__")
}

/// Returns random bytes of the host.
fn random(py: Python<'_>, count: usize) -> PyResult<Bound<'_, PyBytes>> {
    Ok(py.import("os")?.call_method1("urandom", (count,))?.cast_into::<PyBytes>()?)
}

/// Generate n cryptographically strong pseudo-random bytes.
#[pyfunction(name = "RAND_bytes")]
#[pyo3(signature = (n, /))]
fn rand_bytes(py: Python<'_>, n: i32) -> PyResult<Bound<'_, PyBytes>> {
    let count = usize::try_from(n).map_err(|_| PyValueError::new_err("num must be positive"))?;
    random(py, count)
}

/// Returns True: the host's generator needs no seed.
#[pyfunction(name = "RAND_status")]
const fn rand_status() -> bool {
    true
}

/// Takes bytes for the generator, which needs none.
#[pyfunction(name = "RAND_add")]
#[pyo3(signature = (string, entropy, /))]
fn rand_add(string: &Bound<'_, PyAny>, entropy: f64) -> PyResult<()> {
    let _ = entropy;
    if string.is_instance_of::<PyString>() {
        return Ok(());
    }
    Buffer::of(string).map(drop).map_err(fetched(string.py()))
}

/// Return the environment variables and the default paths of certificates. The embedder's roots are
/// in no file, so the paths are empty.
#[pyfunction]
const fn get_default_verify_paths() -> (&'static str, &'static str, &'static str, &'static str) {
    ("SSL_CERT_FILE", "/etc/ssl/cert.pem", "SSL_CERT_DIR", "/etc/ssl/certs")
}

/// Decodes the certificate of a file, for CPython's tests.
#[pyfunction(name = "_test_decode_cert")]
#[pyo3(signature = (path, /))]
fn decode_certificate<'py>(path: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let py = path.py();
    let data = store::read_file(path)?;
    let text = String::from_utf8_lossy(&data);
    let der = pem::sections(&text)
        .iter()
        .find(|section| pem::is_certificate(section.label))
        .and_then(pem::Section::decode);
    let unreadable = || errors::plain(py, errors::Class::Ssl, "Error decoding PEM-encoded file");
    certificate::info(py, &der.ok_or_else(unreadable)?)
}
