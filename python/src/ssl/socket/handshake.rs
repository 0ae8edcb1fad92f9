//! The handshake: the answer to the client's hello, and the checks that only OpenSSL has.

use std::sync::Arc;

use pyo3::prelude::*;
use sandsock::Error;
use sandsock::errno::EPROTO;

use super::{Agreed, Doing, SslSocket, refused};
use crate::error::exception;
use crate::ssl::certificate::facts;
use crate::ssl::ciphers::Suite;
use crate::ssl::constants::{CERT_NONE, VERIFY_X509_STRICT};
use crate::ssl::context::SslContext;
use crate::ssl::engine::{Engine, Phase};
use crate::ssl::errors;
use crate::ssl::session::SslSession;
use crate::ssl::store::Store;

/// Alerts of RFC 8446.
const HANDSHAKE_FAILURE: u8 = 40;
const INTERNAL_ERROR: u8 = 80;

impl SslSocket {
    /// Makes the handshake, or the rest of it.
    pub(super) fn shake(&self, py: Python<'_>) -> PyResult<Arc<Engine>> {
        let engine = self.engine(py)?;
        if self.agreed().is_some() {
            return Ok(engine);
        }
        loop {
            let step = match self.socket() {
                Some(socket) => engine.handshake(socket),
                None => self.pump(py, &engine),
            };
            match engine.phase() {
                Phase::Hello if self.answer_hello(py, &engine)? => {}
                Phase::Open if step.is_ok() => break,
                Phase::Hello | Phase::Open | Phase::Handshake => match step {
                    Err(error) => return Err(self.error(py, &engine, &error, Doing::Handshake)),
                    // The program has to bring more bytes.
                    Ok(()) if self.socket().is_none() => return Err(errors::want_read(py)),
                    Ok(()) => {}
                },
                Phase::Failed => {
                    let error = step.err().unwrap_or_else(|| Error::from_errno(EPROTO));
                    return Err(self.error(py, &engine, &error, Doing::Handshake));
                }
            }
        }
        self.agree(py, &engine)?;
        Ok(engine)
    }

    /// Answers the client's hello, if it has come: the program's function may choose another context.
    fn answer_hello(&self, py: Python<'_>, engine: &Engine) -> PyResult<bool> {
        let hello = engine.hello().map_err(|error| exception(&error))?;
        let Some(hello) = hello else { return Ok(false) };
        // Another thread may be at it.
        if std::mem::replace(&mut self.changing().is_chosen, true) {
            return Ok(false);
        }
        self.changing().offered.clone_from(&hello.ciphers);
        let context = self.current(py);
        let callback = context.get().callback(py);
        let refusal = match callback {
            Some(callback) => {
                self.ask(py, callback.bind(py), hello.server_name.as_deref(), &context)?
            }
            None => None,
        };
        // The function may have set another one.
        let chosen = self.current(py).get().settings();
        let versions = self.settings.versions();
        let is_possible = |suite: &&Suite| versions.is_some_and(|range| suite.is_within(range));
        let suites: Vec<_> = chosen.suites.iter().copied().filter(is_possible).collect();
        let shown = chosen.identities.choose(&suites, &hello.ciphers, &hello.schemes);
        let answer = match (refusal, shown, versions) {
            (Some(alert), ..) => {
                self.refuse(py, engine, alert)?;
                return Err(errors::reason(py, "CALLBACK_FAILED"));
            }
            (None, Some(identity), Some(versions)) => {
                // OpenSSL: without a common protocol the handshake goes on.
                let is_common = |name: &&Vec<u8>| hello.alpn.contains(name);
                let alpn = if chosen.alpn.iter().any(|name| is_common(&name)) {
                    chosen.alpn.as_slice()
                } else {
                    &[]
                };
                let trusted = (self.settings.verify_mode != CERT_NONE).then_some(&self.trusted);
                engine.choose(
                    &self.settings,
                    &chosen,
                    identity,
                    (trusted, &self.trusted),
                    alpn,
                    versions,
                )
            }
            // OpenSSL: no suite works without a certificate.
            (None, None, Some(_)) => {
                self.refuse(py, engine, HANDSHAKE_FAILURE)?;
                return Err(errors::reason(py, "NO_SHARED_CIPHER"));
            }
            (None, _, None) => {
                self.refuse(py, engine, HANDSHAKE_FAILURE)?;
                return Err(errors::reason(py, "NO_PROTOCOLS_AVAILABLE"));
            }
        };
        answer.map_err(|error| refused(py, &error))?;
        // A session without I/O has an answer for the program to send.
        self.flush(engine).map_err(|error| exception(&error))?;
        Ok(true)
    }

    fn refuse(&self, py: Python<'_>, engine: &Engine, alert: u8) -> PyResult<()> {
        let _ = py;
        let refused = engine.refuse(alert).and_then(|()| match self.socket() {
            // The host sends the alert.
            Some(socket) => engine.handshake(socket).or(Ok(())),
            None => self.flush(engine),
        });
        refused.map_err(|error| exception(&error))
    }

    /// Asks the program's function. Returns the alert to send.
    fn ask(
        &self,
        py: Python<'_>,
        callback: &Bound<'_, PyAny>,
        name: Option<&str>,
        context: &Py<SslContext>,
    ) -> PyResult<Option<u8>> {
        let owner = self.owner(py);
        let answer = match callback.call1((owner, name, context.bind(py))) {
            Ok(answer) => answer,
            Err(error) => {
                error.write_unraisable(py, Some(callback));
                return Ok(Some(HANDSHAKE_FAILURE));
            }
        };
        if answer.is_none() {
            return Ok(None);
        }
        match answer.extract::<i32>() {
            Ok(alert) => Ok(Some(alert as u8)),
            Err(error) => {
                error.write_unraisable(py, Some(&answer));
                Ok(Some(INTERNAL_ERROR))
            }
        }
    }

    /// Keeps what was agreed on, and makes the checks that only OpenSSL has.
    fn agree(&self, py: Python<'_>, engine: &Engine) -> PyResult<()> {
        let info = engine.info().map_err(|error| exception(&error))?;
        let peer: Vec<Arc<[u8]>> =
            info.peer_chain.iter().map(|der| der.as_slice().into()).collect();
        let verified =
            if self.settings.verify_mode == CERT_NONE { Vec::new() } else { self.verified(&peer) };
        if self.settings.verify_flags & VERIFY_X509_STRICT != 0 {
            self.check_strictly(py, &verified)?;
        }
        let context = self.current(py);
        let is_resumed = info.resumed;
        context.get().count(|stats| {
            let good =
                if self.is_server { &mut stats.accept_good } else { &mut stats.connect_good };
            *good += 1;
            stats.hits += u32::from(is_resumed);
        });
        context.get().keep(self.used(&verified));
        let wanted = self.changing().session.as_ref().map(|session| session.clone_ref(py));
        let session = match wanted {
            Some(wanted) if is_resumed => SslSession::resumed(py, wanted.get()),
            _ => SslSession::new(py, context)?,
        };
        let session = Py::new(py, session)?;
        let mut changing = self.changing();
        changing.agreed = Some(Arc::new(Agreed { info, verified, peer }));
        let old = changing.session.replace(session);
        drop(changing);
        drop(old);
        Ok(())
    }

    /// Returns the peer's chain with the root that it ends at, as far as this guest has the root.
    fn verified(&self, peer: &[Arc<[u8]>]) -> Vec<Arc<[u8]>> {
        let mut chain = Vec::new();
        let Some(first) = peer.first() else { return chain };
        let mut last = Arc::clone(first);
        chain.push(Arc::clone(&last));
        // RFC 5246: a peer may send certificates that do not belong to the chain.
        while let Some(end) = facts(&last).filter(|end| !end.is_self_issued) {
            let is_issuer = |subject: &[u8]| subject == end.issuer;
            let root = self.trusted.roots.iter().find(|root| is_issuer(&root.facts.subject));
            let sent = || {
                let is_next = |der: &&Arc<[u8]>| {
                    !chain.contains(der)
                        && facts(der).is_some_and(|facts| is_issuer(&facts.subject))
                };
                peer.iter().find(is_next)
            };
            let Some(next) = root.map(|root| &root.der).or_else(sent).cloned() else { break };
            if chain.contains(&next) {
                break;
            }
            last = Arc::clone(&next);
            chain.push(next);
        }
        chain
    }

    /// Returns the roots that a chain has used.
    fn used(&self, chain: &[Arc<[u8]>]) -> Store {
        let mut used = Store::default();
        let is_used = |der: &Arc<[u8]>| chain.contains(der);
        used.roots = self.trusted.roots.iter().filter(|root| is_used(&root.der)).cloned().collect();
        used
    }

    /// Refuses a chain whose certificates do not name their issuers' keys. RFC 5280, section 4.2.1.1.
    fn check_strictly(&self, py: Python<'_>, chain: &[Arc<[u8]>]) -> PyResult<()> {
        /// OpenSSL: X509_V_ERR_MISSING_AUTHORITY_KEY_IDENTIFIER.
        const MISSING: i32 = 85;
        let is_bad = |der: &Arc<[u8]>| {
            facts(der).is_some_and(|facts| !facts.is_self_issued && !facts.has_authority_key)
        };
        if chain.iter().any(is_bad) {
            return Err(errors::verification(py, MISSING, "Missing Authority Key Identifier"));
        }
        Ok(())
    }
}
