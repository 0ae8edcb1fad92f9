//! Identities: a certificate chain with its private key.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, InconsistentKeys};

use crate::setup::provider;

/// A certificate chain and its key. Nothing returns the key.
pub struct Identity {
    pub(crate) resolver: Arc<SingleCertAndKey>,
    chain: Vec<CertificateDer<'static>>,
}

impl Identity {
    /// Reads a chain and a key in PEM. The first certificate is the identity's own, and the others
    /// are its issuers in their order. Both texts may be the same. The key is PKCS #8, PKCS #1 or
    /// SEC1.
    ///
    /// # Errors
    ///
    /// One of the two is missing or can't be read, or the key belongs to another certificate.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| IdentityError::InvalidCertificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound if is_encrypted(key) => IdentityError::EncryptedKey,
            pem::Error::NoItemsFound => IdentityError::NoKey,
            error => IdentityError::InvalidKey(error.to_string()),
        })?;
        Self::of(chain, key)
    }

    /// Takes a chain and a key in DER.
    ///
    /// # Errors
    ///
    /// One of the two is missing or can't be read, or the key belongs to another certificate.
    pub fn from_der(chain: &[Vec<u8>], key: &[u8]) -> Result<Self, IdentityError> {
        if chain.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let key = PrivateKeyDer::try_from(key.to_vec())
            .map_err(|error| IdentityError::InvalidKey(error.to_owned()))?;
        Self::of(chain.iter().map(|der| der.clone().into()).collect(), key)
    }

    fn of(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| IdentityError::InvalidKey(error.to_string()))?;
        let spki = key.public_key().map(|spki| spki.to_vec());
        let certified = CertifiedKey::new(chain.clone(), key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            // rustls reads no certificate of version 1, but shows it. Peers with OpenSSL take it.
            Err(rustls::Error::InvalidCertificate(error)) if is_old(&error) => {
                let first: &[u8] = chain.first().map(AsRef::as_ref).unwrap_or_default();
                if spki.is_some_and(|spki| !has(first, &spki)) {
                    return Err(IdentityError::Mismatch);
                }
            }
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                return Err(IdentityError::Mismatch);
            }
            Err(rustls::Error::InvalidCertificate(error)) => {
                return Err(IdentityError::InvalidCertificate(error.to_string()));
            }
            Err(error) => return Err(IdentityError::InvalidKey(error.to_string())),
        }
        Ok(Self { resolver: Arc::new(certified.into()), chain })
    }

    /// Returns the chain in DER, its own certificate first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(AsRef::as_ref)
    }
}

/// It leaves the key out.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Returns whether a text has an encrypted key. RFC 7468, section 11, and RFC 1421's header.
fn is_encrypted(pem: &[u8]) -> bool {
    has(pem, b"BEGIN ENCRYPTED PRIVATE KEY") || has(pem, b"Proc-Type: 4,ENCRYPTED")
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Returns whether a certificate is not read because it is of version 1.
fn is_old(error: &CertificateError) -> bool {
    let CertificateError::Other(error) = error else { return false };
    matches!(error.0.downcast_ref(), Some(webpki::Error::UnsupportedCertVersion))
}

/// Why a chain and a key are no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is no certificate.
    #[error("there is no certificate; write it in PEM, from BEGIN CERTIFICATE to END CERTIFICATE")]
    NoCertificate,
    /// A certificate can't be read.
    #[error("the certificate can't be read: {0}")]
    InvalidCertificate(String),
    /// There is no key.
    #[error("there is no private key; write it in PEM, from BEGIN PRIVATE KEY to END PRIVATE KEY")]
    NoKey,
    /// The key is encrypted.
    #[error("the private key is encrypted; decrypt it with openssl pkey")]
    EncryptedKey,
    /// The key can't be read.
    #[error("the private key can't be read: {0}")]
    InvalidKey(String),
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the first certificate")]
    Mismatch,
}
