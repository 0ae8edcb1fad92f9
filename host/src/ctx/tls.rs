//! The clients and servers of TLS of one instance, and the sessions that may still be bound.

use std::sync::{Arc, Weak};

use rustix::io::Errno;
use sandsock_tls::{
    Algorithms, Client, ClientOptions, Identity, IdentityError, Revocation, Roots, RootsError,
    Server, ServerOptions, SetupError,
};

use crate::descriptor::tls::{Place, SharedTls};
use crate::tls::TlsSettings;

/// The clients, the servers and the like that an instance keeps, each with its tickets.
const KEPT: usize = 16;

/// WIT: the most bytes of certificates that the sessions of a guest trust.
const OWN_MAX: usize = 16 << 20;

/// The certificates that a guest trusts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OwnRoots {
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) with_embedder: bool,
    pub(crate) revoked: Vec<Vec<u8>>,
    pub(crate) check: Revocation,
}

/// A chain and its key in DER.
type OwnIdentity = (Vec<Vec<u8>>, Vec<u8>);

/// The TLS of one instance. No other instance has its tickets.
#[derive(Debug, Default)]
pub(crate) struct InstanceTls {
    pub(crate) settings: TlsSettings,
    clients: Vec<((ClientOptions, Algorithms), Client)>,
    servers: Vec<((ServerOptions, Algorithms), Server)>,
    roots: Vec<(OwnRoots, Arc<Roots>)>,
    identities: Vec<(OwnIdentity, Arc<Identity>)>,
    /// The guest's roots that something still uses, with their bytes.
    used: Vec<(Weak<Roots>, usize)>,
    /// The sessions that may still be bound to a description.
    sessions: Vec<Weak<SharedTls>>,
}

impl InstanceTls {
    pub(crate) fn new(settings: TlsSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Returns the client of these options. Its sessions resume each other.
    pub(crate) fn client(
        &mut self,
        options: ClientOptions,
        algorithms: Algorithms,
    ) -> Result<&Client, SetupError> {
        kept(&mut self.clients, (options, algorithms), |(options, algorithms)| {
            Client::with_algorithms(options, algorithms)
        })
    }

    /// Returns the server of these options. Its sessions resume each other.
    pub(crate) fn server(
        &mut self,
        options: ServerOptions,
        algorithms: Algorithms,
    ) -> Result<&Server, SetupError> {
        kept(&mut self.servers, (options, algorithms), |(options, algorithms)| {
            Server::with_algorithms(options, algorithms)
        })
    }

    /// Returns the guest's roots, the same ones for the same certificates. ENOBUFS if it uses too
    /// many.
    pub(crate) fn own_roots(
        &mut self,
        own: OwnRoots,
        with: Option<&Roots>,
    ) -> Result<Arc<Roots>, Errno> {
        let size = own.roots.iter().chain(&own.revoked).map(Vec::len).sum();
        let is_known = self.roots.iter().any(|(known, _)| *known == own);
        if !is_known && self.used_bytes() + size > OWN_MAX {
            // What no session uses makes room.
            self.clients.clear();
            self.servers.clear();
            self.roots.clear();
            if self.used_bytes() + size > OWN_MAX {
                return Err(Errno::NOBUFS);
            }
        }
        let roots = kept(&mut self.roots, own, |own| {
            let roots = Roots::from_der(&own.roots, with, &own.revoked, own.check);
            roots.map(Arc::new).map_err(|error| match error {
                RootsError::Empty(_) => Errno::NOKEY,
                RootsError::NoList => Errno::INVAL,
                _ => Errno::BADMSG,
            })
        })?;
        if !is_known {
            self.used.push((Arc::downgrade(roots), size));
        }
        Ok(Arc::clone(roots))
    }

    fn used_bytes(&mut self) -> usize {
        self.used.retain(|(roots, _)| roots.strong_count() > 0);
        self.used.iter().map(|(_, size)| size).sum()
    }

    /// Returns the guest's identity, the same one for the same chain and key.
    pub(crate) fn own_identity(
        &mut self,
        own: OwnIdentity,
    ) -> Result<Arc<Identity>, IdentityError> {
        kept(&mut self.identities, own, |(chain, key)| Identity::from_der(chain, key).map(Arc::new))
            .cloned()
    }

    /// Remembers a session, so that its first bytes can bind it to a description.
    pub(crate) fn remember(&mut self, tls: &Arc<SharedTls>) {
        self.sessions
            .retain(|one| one.upgrade().is_some_and(|tls| tls.lock().place() == Place::Free));
        self.sessions.push(Arc::downgrade(tls));
    }

    /// Returns the sessions that may still be bound to a description.
    pub(crate) fn unbound(&self) -> Vec<Arc<SharedTls>> {
        self.sessions.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Returns the entry of these options, and makes it if there is none. The last used ones stay.
fn kept<O: PartialEq, V, E>(
    entries: &mut Vec<(O, V)>,
    options: O,
    make: impl FnOnce(&O) -> Result<V, E>,
) -> Result<&V, E> {
    let entry = match entries.iter().position(|(known, _)| *known == options) {
        Some(at) => entries.remove(at),
        None => {
            let value = make(&options)?;
            (options, value)
        }
    };
    entries.truncate(KEPT - 1);
    entries.insert(0, entry);
    Ok(&entries[0].1)
}
