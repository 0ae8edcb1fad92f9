//! What `hashlib` lacks without OpenSSL: key derivation, and a few hashes. The runner's module
//! `_sandsock_hashlib` adds them to `hashlib`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pbkdf2::hmac::SimpleHmac;
use pbkdf2::hmac::digest::{Digest, block_api::BlockSizeUser};
use pbkdf2::pbkdf2_hmac;
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Adds the functions and the class to a module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Hash>()?;
    module.add_function(wrap_pyfunction!(derive, module)?)?;
    module.add_function(wrap_pyfunction!(derive_scrypt, module)?)
}

macro_rules! hashes {
    ($($case:ident: $type:ty = $name:literal, block $block:literal;)*) => {
        #[derive(Clone)]
        enum State {
            $($case($type),)*
        }

        impl State {
            fn new(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$case(<$type>::new())),)*
                    _ => None,
                }
            }

            fn name(&self) -> &'static str {
                match self {
                    $(Self::$case(_) => $name,)*
                }
            }

            fn block_size(&self) -> usize {
                match self {
                    $(Self::$case(_) => $block,)*
                }
            }

            fn update(&mut self, data: &[u8]) {
                match self {
                    $(Self::$case(state) => state.update(data),)*
                }
            }

            fn finish(self) -> Vec<u8> {
                match self {
                    $(Self::$case(state) => state.finalize().to_vec(),)*
                }
            }
        }
    };
}

hashes! {
    Ripemd160: ripemd::Ripemd160 = "ripemd160", block 64;
    Sha512_224: sha2::Sha512_224 = "sha512_224", block 128;
    Sha512_256: sha2::Sha512_256 = "sha512_256", block 128;
    Sm3: sm3::Sm3 = "sm3", block 64;
}

/// A hash that the interpreter has no module for.
#[pyclass(frozen, name = "HASH", module = "_sandsock")]
struct Hash(Mutex<State>);

impl Hash {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self) -> Vec<u8> {
        let state = self.state().clone();
        state.finish()
    }
}

#[pymethods]
impl Hash {
    #[new]
    fn new(name: &str) -> PyResult<Self> {
        let state = State::new(name);
        state.map(|state| Self(Mutex::new(state))).ok_or_else(|| unsupported(name))
    }

    /// Update the hash object with a bytes object. `hashlib` makes one of other buffers.
    fn update(&self, data: &[u8]) {
        self.state().update(data);
    }

    /// Return the digest as a bytes object.
    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.finish())
    }

    /// Return the digest as a string of hexadecimal digits.
    fn hexdigest(&self) -> String {
        self.finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Return a copy of the hash object.
    fn copy(&self) -> Self {
        Self(Mutex::new(self.state().clone()))
    }

    #[getter]
    fn name(&self) -> &'static str {
        self.state().name()
    }

    #[getter]
    fn digest_size(&self) -> usize {
        self.finish().len()
    }

    #[getter]
    fn block_size(&self) -> usize {
        self.state().block_size()
    }

    fn __repr__(&self) -> String {
        format!("<{} _sandsock.HASH object>", self.name())
    }
}

fn unsupported(name: &str) -> PyErr {
    PyValueError::new_err(format!("unsupported hash type {name}"))
}

/// Returns bytes of zeros. An allocation that fails would end the guest.
fn room(length: usize) -> PyResult<Vec<u8>> {
    let mut room = Vec::new();
    room.try_reserve_exact(length).map_err(|_| PyMemoryError::new_err(()))?;
    room.resize(length, 0);
    Ok(room)
}

/// PBKDF2 for hashes that HMAC can't keep a state of.
fn general<D>(password: &[u8], salt: &[u8], iterations: u32, key: &mut [u8])
where
    D: Digest + BlockSizeUser + Clone + Sync,
{
    // HMAC takes a key of any length.
    let result = pbkdf2::pbkdf2::<SimpleHmac<D>>(password, salt, iterations, key);
    debug_assert!(result.is_ok());
}

/// PBKDF2 with HMAC: RFC 8018. The runner's module has checked the numbers.
#[pyfunction(name = "pbkdf2")]
fn derive<'py>(
    py: Python<'py>,
    name: &str,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    length: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let hmac: fn(&[u8], &[u8], u32, &mut [u8]) = match name {
        "md5" => pbkdf2_hmac::<md5::Md5>,
        "sha1" => pbkdf2_hmac::<sha1::Sha1>,
        "sha224" => pbkdf2_hmac::<sha2::Sha224>,
        "sha256" => pbkdf2_hmac::<sha2::Sha256>,
        "sha384" => pbkdf2_hmac::<sha2::Sha384>,
        "sha512" => pbkdf2_hmac::<sha2::Sha512>,
        "sha512_224" => pbkdf2_hmac::<sha2::Sha512_224>,
        "sha512_256" => pbkdf2_hmac::<sha2::Sha512_256>,
        "sha3_224" => general::<sha3::Sha3_224>,
        "sha3_256" => general::<sha3::Sha3_256>,
        "sha3_384" => general::<sha3::Sha3_384>,
        "sha3_512" => general::<sha3::Sha3_512>,
        "ripemd160" => pbkdf2_hmac::<ripemd::Ripemd160>,
        "sm3" => pbkdf2_hmac::<sm3::Sm3>,
        _ => return Err(unsupported(name)),
    };
    let mut key = room(length)?;
    hmac(password, salt, iterations, &mut key);
    Ok(PyBytes::new(py, &key))
}

/// scrypt: RFC 7914. `log_n` is the binary logarithm of the work factor. The runner's module has
/// checked the numbers and the memory that they ask for.
#[pyfunction(name = "scrypt")]
fn derive_scrypt<'py>(
    py: Python<'py>,
    password: &[u8],
    salt: &[u8],
    log_n: u8,
    r: u32,
    p: u32,
    length: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let invalid = || PyValueError::new_err("Invalid parameter combination for n, r, p, maxmem.");
    let parameters = scrypt::Params::new(log_n, r, p).map_err(|_| invalid())?;
    // The crate allocates as much, and ends the guest if it can't.
    let block = 128_usize.checked_mul(r as usize).ok_or_else(invalid)?;
    let blocks = 1_usize.checked_shl(log_n.into()).and_then(|n| n.checked_add(p as usize + 2));
    drop(room(blocks.and_then(|blocks| blocks.checked_mul(block)).ok_or_else(invalid)?)?);
    let mut key = room(length)?;
    scrypt::scrypt(password, salt, &parameters, &mut key).map_err(|_| invalid())?;
    Ok(PyBytes::new(py, &key))
}
