//! The tickets of a client: what its sessions need to resume each other.
//!
//! A ticket stands for a verification that was made before. So it is kept with the verifier of its
//! session, and a session that offers it has the same verifier, with the same demand.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

use crate::verify::SessionVerifier;

/// The servers whose tickets a client keeps.
const SERVERS: usize = 4;

/// The tickets that a client keeps of a server.
const TICKETS: usize = 8;

/// All tickets of a client.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<HashMap<ServerName<'static>, Kept>>);

/// The tickets of one server, all of sessions with this verifier.
#[derive(Debug)]
struct Kept {
    verifier: Arc<SessionVerifier>,
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    tls13: VecDeque<Tls13ClientSessionValue>,
}

impl Tickets {
    fn lock(&self) -> MutexGuard<'_, HashMap<ServerName<'static>, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the verifier of the sessions that can be resumed with this server.
    pub(crate) fn verifier(&self, server: &ServerName<'_>) -> Option<Arc<SessionVerifier>> {
        let kept = self.lock();
        let kept = kept.get(&server.to_owned())?;
        let has_any = kept.tls12.is_some() || !kept.tls13.is_empty();
        has_any.then(|| Arc::clone(&kept.verifier))
    }
}

/// The tickets as one session sees them.
#[derive(Debug)]
pub(crate) struct SessionTickets {
    /// They end with the client, so that its sessions keep none of a peer's bytes.
    tickets: Weak<Tickets>,
    verifier: Arc<SessionVerifier>,
    /// Whether the session may resume another one. It leaves tickets in each case.
    resume: bool,
    has_offered: AtomicBool,
}

impl SessionTickets {
    pub(crate) fn new(
        tickets: &Arc<Tickets>,
        verifier: Arc<SessionVerifier>,
        resume: bool,
    ) -> Self {
        Self {
            tickets: Arc::downgrade(tickets),
            verifier,
            resume,
            has_offered: AtomicBool::new(false),
        }
    }

    /// Returns whether the session has offered to resume another one.
    pub(crate) fn has_offered(&self) -> bool {
        self.has_offered.load(Ordering::Relaxed)
    }

    fn put(&self, server: ServerName<'static>, put: impl FnOnce(&mut Kept)) {
        let Some(tickets) = self.tickets.upgrade() else { return };
        let mut all = tickets.lock();
        let new = || Kept {
            verifier: Arc::clone(&self.verifier),
            group: None,
            tls12: None,
            tls13: VecDeque::new(),
        };
        if all.len() >= SERVERS && !all.contains_key(&server) {
            all.clear();
        }
        let kept = all.entry(server).or_insert_with(new);
        if !Arc::ptr_eq(&kept.verifier, &self.verifier) {
            *kept = new();
        }
        put(kept);
    }

    fn take<T>(
        &self,
        server: &ServerName<'_>,
        take: impl FnOnce(&mut Kept) -> Option<T>,
    ) -> Option<T> {
        let tickets = self.tickets.upgrade()?;
        let mut all = tickets.lock();
        let kept = all.get_mut(&server.to_owned())?;
        if !self.resume || !Arc::ptr_eq(&kept.verifier, &self.verifier) {
            return None;
        }
        let taken = take(kept)?;
        self.has_offered.store(true, Ordering::Relaxed);
        Some(taken)
    }
}

impl ClientSessionStore for SessionTickets {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.put(server, |kept| kept.group = Some(group));
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.tickets.upgrade()?.lock().get(&server.to_owned())?.group
    }

    fn set_tls12_session(&self, server: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.put(server, |kept| kept.tls12 = Some(value));
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.take(server, |kept| kept.tls12.clone())
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.take(server, |kept| kept.tls12.take());
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.put(server, |kept| {
            if kept.tls13.len() == TICKETS {
                kept.tls13.pop_front();
            }
            kept.tls13.push_back(value);
        });
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.take(server, |kept| kept.tls13.pop_back())
    }
}
