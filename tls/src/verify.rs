//! How a client verifies a server's certificate.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::roots::Roots;
use crate::setup::{SetupError, Trust, provider};

/// Verifies the chain up to a root, the time and the name. A certificate that is itself one of the
/// roots needs no chain, as with OpenSSL's X509_V_FLAG_PARTIAL_CHAIN.
#[derive(Debug)]
pub(crate) struct Verifier {
    chains: Arc<WebPkiServerVerifier>,
    roots: Arc<Roots>,
}

impl Verifier {
    pub(crate) fn new(roots: &Arc<Roots>) -> Result<Self, SetupError> {
        Ok(Self { chains: roots.servers()?, roots: Arc::clone(roots) })
    }
}

/// Returns whether an error is about the issuer alone. webpki checks a certificate's time before it
/// looks for an issuer, and before it refuses an authority's certificate as a server's.
fn is_about_issuer(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Error::InvalidCertificate(CertificateError::Other(error)) => {
            error.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}

impl Verifier {
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        // No list of revoked certificates is asked for by OCSP.
        let result =
            self.chains.verify_server_cert(end_entity, intermediates, server_name, &[], now);
        match result {
            Err(error) if is_about_issuer(&error) && self.roots.has(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)
            }
            result => result.map(drop),
        }
    }
}

/// Returns whether an error is about the name alone. rustls verifies the chain before the name.
fn is_about_name(error: &Error) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    matches!(error, Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
}

/// What the sessions of a client ask of a server's certificate.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// None takes any certificate.
    verifier: Option<Arc<Verifier>>,
    check_name: bool,
}

impl Wish {
    pub(crate) fn new(trust: &Trust) -> Result<Self, SetupError> {
        let (roots, check_name) = match trust {
            Trust::Roots(roots) => (Some(roots), true),
            Trust::AnyName(roots) => (Some(roots), false),
            Trust::Insecure => (None, false),
        };
        let verifier = roots.map(Verifier::new).transpose()?.map(Arc::new);
        Ok(Self { verifier, check_name })
    }

    /// Returns whether the server has to prove its name.
    pub(crate) fn checks_name(&self) -> bool {
        self.check_name
    }
}

/// Verifies the certificates of one session, and of those that resume it.
#[derive(Debug)]
pub(crate) struct SessionVerifier {
    wish: Wish,
    /// What has to hold in addition.
    demand: OnceLock<Demand>,
    /// The last chain that was refused.
    refused: Mutex<Vec<Vec<u8>>>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// What the embedder asks of a server's certificate, whatever its guest asks for: these roots have
/// to prove the session's server name.
#[derive(Clone, Debug)]
pub struct Demand {
    roots: Arc<Roots>,
    verifier: Arc<Verifier>,
    is_alone: bool,
}

impl Demand {
    /// Makes a demand.
    ///
    /// # Errors
    ///
    /// The roots can't be used.
    pub fn new(roots: &Arc<Roots>) -> Result<Self, SetupError> {
        Ok(Self {
            roots: Arc::clone(roots),
            verifier: Arc::new(Verifier::new(roots)?),
            is_alone: false,
        })
    }

    /// Lets the demand stand in the place of what the guest asks for, and not in addition to it.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { is_alone: true, ..self }
    }
}

impl SessionVerifier {
    pub(crate) fn new(wish: Wish) -> Self {
        Self {
            wish,
            demand: OnceLock::new(),
            refused: Mutex::default(),
            algorithms: provider().signature_verification_algorithms,
        }
    }

    /// Sets the demand. `is_new` is whether this verifier has verified nothing yet. Returns false if
    /// earlier verifications were made without it.
    pub(crate) fn demand(&self, demand: Demand, is_new: bool) -> bool {
        let same = |known: &Demand| Arc::ptr_eq(&known.roots, &demand.roots);
        if is_new {
            same(self.demand.get_or_init(|| demand.clone()))
        } else {
            self.demand.get().is_some_and(same)
        }
    }

    /// Returns whether there is a demand.
    pub(crate) fn is_demanded(&self) -> bool {
        self.demand.get().is_some()
    }

    /// Returns the last chain that was refused.
    pub(crate) fn refused(&self) -> Vec<Vec<u8>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for SessionVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify =
            |verifier: &Verifier| verifier.verify(end_entity, intermediates, server_name, now);
        let demanded = self.demand.get().map_or(Ok(()), |demand| verify(&demand.verifier));
        let is_alone = self.demand.get().is_some_and(|demand| demand.is_alone);
        let wished = match &self.wish.verifier {
            Some(verifier) if !is_alone => match verify(verifier) {
                Err(error) if !self.wish.check_name && is_about_name(&error) => Ok(()),
                result => result,
            },
            Some(_) | None => Ok(()),
        };
        match demanded.and(wished) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                let chain = std::iter::once(end_entity).chain(intermediates);
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) =
                    chain.map(|der| der.to_vec()).collect();
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
