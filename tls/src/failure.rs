//! Why a session failed.

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error};

/// Why a session failed. The session stays failed: it moves no more plain bytes, and it may have an
/// alert to send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The peer's certificate was refused.
    #[error("the peer's certificate is refused: {0}")]
    Certificate(CertificateFault),
    /// The peer ended the session with this fatal alert: its number (RFC 8446, section 6) and name.
    #[error("the peer sent the alert {1} ({0})")]
    Alert(u8, String),
    /// The two sides have no protocol version, cipher suite or the like in common.
    #[error("{0}")]
    Incompatible(String),
    /// The peer sent bytes that are no TLS, or that TLS does not allow at this place.
    #[error("{0}")]
    Protocol(String),
    /// This side has refused the client by this alert.
    #[error("this side has refused the client with the alert {0}")]
    Refused(u8),
    /// The transport ended without close_notify, so bytes may be missing.
    #[error("the connection ended without close_notify")]
    Truncated,
}

/// Why a certificate was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotValidYet,
    /// It does not have the name that was asked for.
    #[error("it is for another name")]
    WrongName,
    /// No root signed it, directly or by a chain.
    #[error("no trusted root signed it")]
    UnknownIssuer,
    /// It has signed itself.
    #[error("it has signed itself")]
    SelfSigned,
    /// The chain ends at a root that is not trusted.
    #[error("the root of its chain is not trusted")]
    SelfSignedInChain,
    /// It is revoked, or an authority of its chain.
    #[error("it is revoked")]
    Revoked,
    /// There is no list of an issuer's revoked certificates.
    #[error("there is no list of revoked certificates of its issuer")]
    NoRevocationList,
    /// It is an authority's.
    #[error("it is an authority's")]
    Authority,
    /// It is for another purpose.
    #[error("it is for another purpose")]
    WrongPurpose,
    /// A constraint of an authority on names does not allow its name.
    #[error("a name constraint of an authority does not allow its name")]
    NameConstraint,
    /// A signature is wrong, or of an algorithm that is not accepted.
    #[error("{0}")]
    BadSignature(String),
    /// The peer sent none, and one is required.
    #[error("there is none")]
    Missing,
    /// Any other reason, such as a weak signature or a name constraint.
    #[error("{0}")]
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::Certificate(error.into()),
            Error::NoCertificatesPresented => Self::Certificate(CertificateFault::Missing),
            Error::AlertReceived(alert) => {
                Self::Alert(alert.into(), alert.as_str().map_or_else(String::new, spell))
            }
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => {
                Self::Incompatible(error.to_string())
            }
            error => Self::Protocol(error.to_string()),
        }
    }
}

impl From<CertificateError> for CertificateFault {
    fn from(error: CertificateError) -> Self {
        use CertificateError as From;
        match error {
            From::Expired | From::ExpiredContext { .. } => Self::Expired,
            From::NotValidYet | From::NotValidYetContext { .. } => Self::NotValidYet,
            From::NotValidForName | From::NotValidForNameContext { .. } => Self::WrongName,
            From::UnknownIssuer => Self::UnknownIssuer,
            From::Revoked => Self::Revoked,
            From::UnknownRevocationStatus => Self::NoRevocationList,
            From::InvalidPurpose | From::InvalidPurposeContext { .. } => Self::WrongPurpose,
            From::BadSignature
            | From::UnsupportedSignatureAlgorithmContext { .. }
            | From::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                Self::BadSignature(error.to_string())
            }
            From::Other(error) => match error.0.downcast_ref() {
                Some(webpki::Error::CaUsedAsEndEntity) => Self::Authority,
                Some(webpki::Error::NameConstraintViolation) => Self::NameConstraint,
                _ => Self::Other(error.to_string()),
            },
            error => Self::Other(error.to_string()),
        }
    }
}

/// Returns the fault of a chain whose issuer is not known, in OpenSSL's distinction.
pub(crate) fn unknown_issuer(chain: &[Vec<u8>]) -> CertificateFault {
    let has_signed_itself = |der: &Vec<u8>| {
        let certificate = CertificateDer::from(der.as_slice());
        webpki::EndEntityCert::try_from(&certificate)
            .is_ok_and(|certificate| certificate.issuer() == certificate.subject())
    };
    match chain {
        [own, ..] if has_signed_itself(own) => CertificateFault::SelfSigned,
        [_, issuers @ ..] if issuers.iter().any(has_signed_itself) => {
            CertificateFault::SelfSignedInChain
        }
        _ => CertificateFault::UnknownIssuer,
    }
}

/// Spells an alert's name as the RFCs do: `BadCertificate` is `bad_certificate`.
fn spell(name: &str) -> String {
    let mut spelt = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_lower {
            spelt.push('_');
        }
        after_lower = c.is_ascii_lowercase();
        spelt.push(c.to_ascii_lowercase());
    }
    spelt
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

    use super::*;

    #[test]
    fn alerts_are_spelt_as_the_rfcs_do() {
        let alert = Failure::from(Error::AlertReceived(AlertDescription::UnknownCA));
        assert_eq!(alert, Failure::Alert(48, "unknown_ca".to_owned()));
        let alert = Failure::from(Error::AlertReceived(AlertDescription::BadRecordMac));
        assert_eq!(alert.to_string(), "the peer sent the alert bad_record_mac (20)");
    }
}
