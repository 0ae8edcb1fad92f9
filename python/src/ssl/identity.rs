//! What a context shows of itself: lent identities, and certificates with keys of files.

use std::sync::Arc;

use super::certificate::KeyKind;
use super::ciphers::{ECDSA, RSA, Suite};

/// What a session shows of itself.
#[derive(Clone)]
pub(super) enum Identity {
    /// An identity of the embedder, by its name.
    Lent(String),
    /// Certificates and a key of files.
    Own(Arc<OwnIdentity>),
}

/// A chain of certificates and its key, in DER.
pub(super) struct OwnIdentity {
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) key: Vec<u8>,
    /// The kind of the key. None if no cipher suite is for it.
    pub(super) kind: Option<KeyKind>,
}

/// Returns the authentication of the suites of TLS 1.2 that a key is for. RFC 8422, section 5.10:
/// Ed25519 has the suites of ECDSA.
const fn authentication(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Elliptic | KeyKind::Edwards => ECDSA,
        KeyKind::Rsa => RSA,
    }
}

/// The identities of a context: one of each kind of key.
#[derive(Clone, Default)]
pub(super) struct Identities(Vec<Identity>);

impl Identities {
    /// Adds an identity, in place of one with the same kind of key. The kind of a lent key is not
    /// known here, so a lent identity takes the place of all, and any identity the place of a lent one.
    pub(super) fn add(&mut self, new: Identity) {
        self.0.retain(|old| match (old, &new) {
            (Identity::Own(old), Identity::Own(new)) => old.kind != new.kind,
            (Identity::Lent(_), _) | (_, Identity::Lent(_)) => false,
        });
        self.0.push(new);
    }

    /// Returns the identity that was added last, which is the one that a client shows.
    pub(super) fn last(&self) -> Option<&Identity> {
        self.0.last()
    }

    /// Returns the identity that a server with these suites shows to a client that offers these
    /// ones and takes these signature schemes. If none suits, the handshake fails with the last one.
    pub(super) fn choose(
        &self,
        suites: &[&Suite],
        offered: &[u16],
        schemes: &[u16],
    ) -> Option<&Identity> {
        let takes = |kind: &KeyKind| {
            suits(*kind, suites, offered)
                && schemes.iter().any(|scheme| schemes_of(*kind).contains(scheme))
        };
        let suitable = self.0.iter().filter_map(|identity| match identity {
            Identity::Own(own) => own.kind.filter(takes).map(|kind| (kind, identity)),
            Identity::Lent(_) => None,
        });
        let preferred = suitable.min_by_key(|(kind, _)| *kind);
        preferred.map(|(_, identity)| identity).or_else(|| self.last())
    }
}

/// Returns the signature schemes of a kind of key. RFC 8446, section 4.2.3.
const fn schemes_of(kind: KeyKind) -> &'static [u16] {
    match kind {
        KeyKind::Elliptic => &[0x0403, 0x0503, 0x0603],
        KeyKind::Edwards => &[0x0807],
        KeyKind::Rsa => &[0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806],
    }
}

/// Whether a key of this kind is for one of the shared suites.
fn suits(kind: KeyKind, suites: &[&Suite], offered: &[u16]) -> bool {
    let mut shared = suites.iter().filter(|suite| offered.contains(&suite.number));
    // The suites of TLS 1.3 are for every kind of key.
    shared.any(|suite| suite.authentication.is_none_or(|name| name == authentication(kind)))
}
