//! The certificates that are trusted: authorities, and single certificates of servers.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::setup::{SetupError, provider};

/// The largest file of roots. Those of all public authorities together have about 220 KiB.
const FILE_MAX: u64 = 16 << 20;

/// For which certificates of a chain the lists of revoked certificates count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revocation {
    /// For none.
    #[default]
    None,
    /// For the peer's own certificate.
    Leaf,
    /// For the whole chain.
    Chain,
}

/// Trusted certificates. There is at least one.
pub struct Roots {
    store: Arc<RootCertStore>,
    /// All of them in DER: a server may have one of them itself.
    exact: HashSet<CertificateDer<'static>>,
    /// Lists of revoked certificates.
    revoked: Vec<CertificateRevocationListDer<'static>>,
    check: Revocation,
    /// What verifies the chains of servers, and those of clients: without and with clients that have
    /// none. Each is made once, because it has the lists of revoked certificates in a form that takes
    /// several times their bytes.
    servers: OnceLock<Result<Arc<WebPkiServerVerifier>, SetupError>>,
    clients: [OnceLock<Result<Arc<dyn ClientCertVerifier>, SetupError>>; 2],
}

impl Roots {
    /// Reads the system's roots. The variables SSL_CERT_FILE and SSL_CERT_DIR name others, as they
    /// do for OpenSSL.
    ///
    /// # Errors
    ///
    /// The system has none.
    pub fn system() -> Result<Self, RootsError> {
        let found = rustls_native_certs::load_native_certs();
        Self::of(found.certs).ok_or_else(|| match found.errors.first() {
            Some(error) => RootsError::NoSystemRoots(format!(": {error}")),
            None => RootsError::NoSystemRoots(String::new()),
        })
    }

    /// Reads a PEM file, or all PEM files of a folder.
    ///
    /// # Errors
    ///
    /// The file can't be read, or there is no certificate in it.
    pub fn from_path(path: &Path) -> Result<Self, RootsError> {
        let shown = || path.display().to_string();
        let unreadable = |error: std::io::Error| RootsError::Unreadable(shown(), error.to_string());
        let status = std::fs::metadata(path).map_err(unreadable)?;
        if !status.is_dir() {
            let pem = read_limited(path).map_err(unreadable)?;
            return Self::from_pem(&pem, &shown());
        }
        let mut certificates = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            // A folder of OpenSSL's has each certificate twice: under its name and its hash.
            if std::fs::metadata(&file).is_ok_and(|status| status.is_file()) {
                let pem = read_limited(&file).map_err(unreadable)?;
                certificates.extend(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
            }
        }
        Self::of(certificates).ok_or_else(|| RootsError::Empty(shown()))
    }

    /// Reads the certificates of a PEM text. Errors name it `shown`.
    ///
    /// # Errors
    ///
    /// It is no PEM text, or there is no certificate in it.
    pub fn from_pem(pem: &[u8], shown: &str) -> Result<Self, RootsError> {
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            certificates.push(certificate.map_err(|error| {
                RootsError::Invalid(shown.to_owned(), certificates.len() + 1, error.to_string())
            })?);
        }
        Self::of(certificates).ok_or_else(|| RootsError::Empty(shown.to_owned()))
    }

    /// Takes certificates in DER. Those that can't be read are left out. None if none is left.
    fn of(certificates: Vec<CertificateDer<'static>>) -> Option<Self> {
        let mut store = RootCertStore::empty();
        let mut exact = HashSet::new();
        for certificate in certificates {
            if store.add(certificate.clone()).is_ok() {
                exact.insert(certificate);
            }
        }
        (!store.is_empty()).then(|| Self::new(store, exact, Vec::new(), Revocation::None))
    }

    fn new(
        store: RootCertStore,
        exact: HashSet<CertificateDer<'static>>,
        revoked: Vec<CertificateRevocationListDer<'static>>,
        check: Revocation,
    ) -> Self {
        let (servers, clients) = (OnceLock::new(), [OnceLock::new(), OnceLock::new()]);
        Self { store: Arc::new(store), exact, revoked, check, servers, clients }
    }

    /// Takes certificates in DER, those of `with`, and lists of revoked certificates in DER.
    ///
    /// # Errors
    ///
    /// A certificate or a list can't be read, there is no certificate, or lists count and there is none.
    pub fn from_der(
        certificates: &[Vec<u8>],
        with: Option<&Self>,
        revoked: &[Vec<u8>],
        check: Revocation,
    ) -> Result<Self, RootsError> {
        let given = "given in DER";
        let mut store = with.map_or_else(RootCertStore::empty, |with| (*with.store).clone());
        let mut exact = with.map_or_else(HashSet::new, |with| with.exact.clone());
        for (at, der) in certificates.iter().enumerate() {
            let certificate = CertificateDer::from(der.clone());
            // A server's own certificate may be trusted by itself, also one that is no authority's.
            store.add(certificate.clone()).map_err(|error| {
                RootsError::Invalid(given.to_owned(), at + 1, error.to_string())
            })?;
            exact.insert(certificate);
        }
        for (at, der) in revoked.iter().enumerate() {
            webpki::BorrowedCertRevocationList::from_der(der)
                .map_err(|error| RootsError::InvalidList(at + 1, error.to_string()))?;
        }
        // webpki checks nothing where it has no list at all.
        if check != Revocation::None && revoked.is_empty() {
            return Err(RootsError::NoList);
        }
        if store.is_empty() {
            return Err(RootsError::Empty(given.to_owned()));
        }
        let revoked = revoked.iter().map(|der| der.clone().into()).collect();
        Ok(Self::new(store, exact, revoked, check))
    }

    /// Returns what verifies the chains of servers.
    pub(crate) fn servers(&self) -> Result<Arc<WebPkiServerVerifier>, SetupError> {
        let make = || {
            let store = Arc::clone(&self.store);
            let mut builder = WebPkiServerVerifier::builder_with_provider(store, provider());
            if self.check != Revocation::None {
                builder = builder.with_crls(self.revoked.iter().cloned());
            }
            if self.check == Revocation::Leaf {
                builder = builder.only_check_end_entity_revocation();
            }
            builder.build().map_err(|error| SetupError::Roots(error.to_string()))
        };
        self.servers.get_or_init(make).clone()
    }

    /// Returns what verifies the chains of clients. `is_optional` is whether a client may have none.
    pub(crate) fn clients(
        &self,
        is_optional: bool,
    ) -> Result<Arc<dyn ClientCertVerifier>, SetupError> {
        let make = || {
            let store = Arc::clone(&self.store);
            let mut builder = WebPkiClientVerifier::builder_with_provider(store, provider());
            if self.check != Revocation::None {
                builder = builder.with_crls(self.revoked.iter().cloned());
            }
            if self.check == Revocation::Leaf {
                builder = builder.only_check_end_entity_revocation();
            }
            if is_optional {
                builder = builder.allow_unauthenticated();
            }
            builder.build().map_err(|error| SetupError::Roots(error.to_string()))
        };
        self.clients[usize::from(is_optional)].get_or_init(make).clone()
    }

    /// Returns whether this very certificate is one of them.
    pub(crate) fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        self.exact.contains(certificate)
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.exact.len()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("count", &self.count()).finish()
    }
}

fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(std::io::Error::other("it has more than 16 MiB"));
    }
    Ok(bytes)
}

/// Why there are no roots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// The system has none.
    #[error(
        "this system has no root certificates{0}; install its package ca-certificates, or name a \
         file of roots"
    )]
    NoSystemRoots(String),
    /// A file or a folder can't be read.
    #[error("the roots {0} can't be read: {1}")]
    Unreadable(String, String),
    /// A certificate of a file can't be read: its number from 1, and why.
    #[error("certificate {1} of the roots {0} can't be read: {2}")]
    Invalid(String, usize, String),
    /// A list of revoked certificates can't be read: its number from 1, and why.
    #[error("list {0} of revoked certificates can't be read: {1}")]
    InvalidList(usize, String),
    /// Revocation is to be checked, and there is no list of revoked certificates.
    #[error("there is no list of revoked certificates to check")]
    NoList,
    /// There is no certificate.
    #[error(
        "the roots {0} have no certificate; write certificates in PEM, from BEGIN CERTIFICATE to END CERTIFICATE"
    )]
    Empty(String),
}
