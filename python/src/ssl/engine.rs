//! A session of the host's, in the terms of this module.

use std::time::{Duration, Instant};

use pyo3::prelude::*;
use sandsock::errno::ENOKEY;
use sandsock::raw::tls::{
    ClientCertificate, ClientOptions, FailureKind, Identity as RawIdentity, OwnIdentity, OwnTrust,
    RevocationCheck, ServerOptions, SessionFailure, State, Trust, Version,
};
use sandsock::{ErrorKind, Result, Socket, TlsSession};

use super::constants::{
    CERT_NONE, CERT_OPTIONAL, TLSV1_2, VERIFY_CRL_CHECK_CHAIN, VERIFY_CRL_CHECK_LEAF,
};
use super::context::Settings;
use super::errors;
use super::identity::Identity;
use super::store::Store;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A server's session has the client's hello, and waits for an answer.
    Hello,
    Handshake,
    Open,
    Failed,
}

/// A client's hello.
pub(super) struct Hello {
    pub(super) server_name: Option<String>,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) ciphers: Vec<u16>,
    pub(super) schemes: Vec<u16>,
}

/// What both sides have agreed on.
pub(super) struct Info {
    /// OpenSSL's name of the version.
    pub(super) version: &'static str,
    /// The cipher suite by IANA's number.
    pub(super) cipher: u16,
    pub(super) alpn: Option<Vec<u8>>,
    pub(super) resumed: bool,
    pub(super) peer_chain: Vec<Vec<u8>>,
}

/// A session of the host's.
pub(super) struct Engine(TlsSession);

/// Returns the version of a number of TLS.
const fn version(number: i32) -> Version {
    if number <= TLSV1_2 { Version::Tls12 } else { Version::Tls13 }
}

/// Returns the suites to agree on. An empty list stands for all.
fn suites(settings: &Settings) -> Vec<u16> {
    if !settings.has_suites {
        return Vec::new();
    }
    settings.suites.iter().map(|suite| suite.number).collect()
}

/// Makes a call with the embedder's roots, if the context wants them. If the host has none, those of
/// the program count alone.
fn with_embedder<T>(store: &Store, call: impl Fn(bool) -> Result<T>) -> Result<T> {
    match call(store.has_defaults) {
        Err(error) if error.errno() == Some(ENOKEY) && !store.roots.is_empty() => call(false),
        result => result,
    }
}

/// Returns a length as the host takes it.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Lists of bytes as the host takes them, for the time of a call.
struct Lists<'a> {
    roots: Vec<&'a [u8]>,
    revoked: Vec<&'a [u8]>,
    chain: Vec<&'a [u8]>,
    alpn: Vec<&'a [u8]>,
}

fn slices(lists: &[Vec<u8>]) -> Vec<&[u8]> {
    lists.iter().map(Vec::as_slice).collect()
}

impl<'a> Lists<'a> {
    /// `known` has the certificates that complete a chain of one.
    fn new(
        store: &'a Store,
        known: &'a Store,
        shown: Option<&'a Identity>,
        alpn: &'a [Vec<u8>],
    ) -> Self {
        Self {
            roots: store.roots.iter().map(|root| &*root.der).collect(),
            revoked: slices(&store.revocations),
            chain: match shown {
                Some(Identity::Own(own)) => match own.chain.as_slice() {
                    [leaf] => known.chain_of(leaf),
                    chain => slices(chain),
                },
                Some(Identity::Lent(_)) | None => Vec::new(),
            },
            alpn: slices(alpn),
        }
    }

    /// Returns what is trusted, with or without the embedder's roots.
    fn trust(&self, settings: &Settings, store: &Store, with_embedder: bool) -> Trust<'_> {
        let check_revoked = match settings.verify_flags & VERIFY_CRL_CHECK_CHAIN {
            VERIFY_CRL_CHECK_CHAIN => RevocationCheck::Chain,
            VERIFY_CRL_CHECK_LEAF => RevocationCheck::Leaf,
            _ => RevocationCheck::None,
        };
        if settings.verify_mode == CERT_NONE {
            return Trust::None;
        }
        let is_checked = check_revoked != RevocationCheck::None;
        if store.has_defaults && store.roots.is_empty() && !is_checked {
            return Trust::Embedder;
        }
        Trust::Own(OwnTrust {
            roots: &self.roots,
            with_embedder,
            revoked: &self.revoked,
            check_revoked,
        })
    }

    fn identity<'b>(&'b self, identity: &'b Identity) -> RawIdentity<'b> {
        match identity {
            Identity::Lent(name) => RawIdentity::Lent(name),
            Identity::Own(own) => {
                RawIdentity::Own(OwnIdentity { chain: &self.chain, key: &own.key })
            }
        }
    }
}

impl Engine {
    /// Begins a client's session.
    pub(super) fn client(
        settings: &Settings,
        store: &Store,
        (lowest, highest): (i32, i32),
        hostname: Option<&str>,
        resume: bool,
    ) -> Result<Self> {
        let shown = settings.identities.last();
        let lists = Lists::new(store, store, shown, &settings.alpn);
        let ciphers = suites(settings);
        let session = with_embedder(store, |with_embedder| {
            TlsSession::client(ClientOptions {
                server_name: hostname,
                check_name: settings.check_hostname,
                trust: lists.trust(settings, store, with_embedder),
                alpn: &lists.alpn,
                lowest: version(lowest),
                highest: version(highest),
                ciphers: &ciphers,
                groups: &settings.groups,
                identity: shown.map(|shown| lists.identity(shown)),
                resume,
            })
        })?;
        Ok(Self(session))
    }

    /// Begins a server's session, which waits for the client's hello.
    pub(super) fn server() -> Result<Self> {
        Ok(Self(TlsSession::server()?))
    }

    /// Answers the client's hello. `settings` are those at the start, and `chosen` those of the context
    /// that the program has chosen. Without `trusted`, clients are not asked for certificates.
    /// `known` has the certificates that complete the chain.
    pub(super) fn choose(
        &self,
        settings: &Settings,
        chosen: &Settings,
        shown: &Identity,
        (trusted, known): (Option<&Store>, &Store),
        alpn: &[Vec<u8>],
        (lowest, highest): (i32, i32),
    ) -> Result<()> {
        let client_certificate = match settings.verify_mode {
            CERT_NONE => ClientCertificate::None,
            CERT_OPTIONAL => ClientCertificate::Optional,
            _ => ClientCertificate::Required,
        };
        let nothing = Store::default();
        let lists = Lists::new(trusted.unwrap_or(&nothing), known, Some(shown), alpn);
        let ciphers = suites(chosen);
        with_embedder(trusted.unwrap_or(&nothing), |with_embedder| {
            Ok(self.0.choose(ServerOptions {
                identity: lists.identity(shown),
                trust: trusted
                    .map_or(Trust::None, |store| lists.trust(settings, store, with_embedder)),
                client_certificate,
                alpn: &lists.alpn,
                lowest: version(lowest),
                highest: version(highest),
                ciphers: &ciphers,
                groups: &settings.groups,
            })?)
        })
    }

    /// Answers the client's hello with an alert.
    pub(super) fn refuse(&self, alert: u8) -> Result<()> {
        Ok(self.0.refuse(alert)?)
    }

    /// Returns the client's hello, once it has come.
    pub(super) fn hello(&self) -> Result<Option<Hello>> {
        let hello = self.0.hello()?;
        Ok(hello.map(|hello| Hello {
            server_name: hello.server_name,
            alpn: hello.alpn,
            ciphers: hello.ciphers,
            schemes: hello.signature_schemes,
        }))
    }
}

/// The form without I/O, and what both forms share.
impl Engine {
    pub(super) fn feed(&self, bytes: &[u8]) -> Result<usize> {
        if bytes.is_empty() { Ok(0) } else { Ok(self.0.feed(bytes)? as usize) }
    }

    pub(super) fn feed_end(&self) -> Result<()> {
        Ok(self.0.feed_end()?)
    }

    pub(super) fn drain(&self, most: usize) -> Result<Vec<u8>> {
        Ok(self.0.drain(number(most))?)
    }

    pub(super) fn read(&self, place: &mut [u8]) -> Result<usize> {
        let bytes = self.0.read(number(place.len()))?;
        let count = bytes.len().min(place.len());
        place[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    pub(super) fn write(&self, bytes: &[u8]) -> Result<usize> {
        Ok(self.0.write(bytes)? as usize)
    }

    pub(super) fn close(&self) -> Result<()> {
        Ok(self.0.close()?)
    }

    pub(super) fn phase(&self) -> Phase {
        match self.0.state() {
            State::Hello => Phase::Hello,
            State::Handshake => Phase::Handshake,
            State::Open | State::Closed => Phase::Open,
            State::Failed => Phase::Failed,
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.0.pending() as usize
    }

    pub(super) fn info(&self) -> Result<Info> {
        let info = self.0.info()?;
        Ok(Info {
            version: match info.version {
                Version::Tls12 => "TLSv1.2",
                Version::Tls13 => "TLSv1.3",
            },
            cipher: info.cipher_number,
            alpn: info.alpn,
            resumed: info.resumed,
            peer_chain: info.peer_chain,
        })
    }

    pub(super) fn failure(&self) -> Option<SessionFailure> {
        self.0.failure()
    }
}

/// The form over a socket.
impl Engine {
    pub(super) fn attach(&self, socket: &Socket) -> Result<()> {
        self.0.attach(socket)
    }

    pub(super) fn detach(&self, socket: &Socket) -> Result<()> {
        self.0.detach(socket)
    }

    pub(super) fn handshake(&self, socket: &Socket) -> Result<()> {
        self.0.handshake(socket)
    }

    pub(super) fn close_notify(&self, socket: &Socket) -> Result<()> {
        self.0.close_notify(socket)
    }

    /// Receives plain bytes of a wrapped socket.
    pub(super) fn receive(&self, socket: &Socket, place: &mut [u8]) -> Result<usize> {
        socket.recv_into(place, 0)
    }

    /// Sends plain bytes on a wrapped socket, and returns how many. A socket that waits sends all of
    /// them, as with OpenSSL: programs call `send` once, and count on it. After a timeout it returns
    /// what is sent, because the program can't know it otherwise.
    pub(super) fn send(&self, socket: &Socket, data: &[u8]) -> Result<usize> {
        let mut done = socket.send(data, 0)?;
        let timeout = socket.gettimeout();
        if done >= data.len() || timeout == Some(Duration::ZERO) {
            return Ok(done);
        }
        let begun = Instant::now();
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            if timeout.is_some_and(|timeout| begun.elapsed() >= timeout) {
                break;
            }
            match socket.send(rest, 0) {
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::TimedOut => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// Returns the exception of a failure, as OpenSSL words it. `hostname` is the name that the
/// certificate had to prove, and `is_open` says whether the handshake was over.
pub(super) fn explain(
    py: Python<'_>,
    failure: &SessionFailure,
    hostname: Option<&str>,
    is_open: bool,
) -> PyErr {
    if let Some(alert) = failure.alert.filter(|_| failure.kind == FailureKind::Alert) {
        return errors::alert(py, alert);
    }
    let verification = |code, message: &str| errors::verification(py, code, message);
    // OpenSSL: the numbers and texts of x509_vfy.h.
    match failure.kind {
        FailureKind::Expired => verification(10, "certificate has expired"),
        FailureKind::NotYetValid => verification(9, "certificate is not yet valid"),
        FailureKind::WrongName => {
            let name = hostname.unwrap_or_default();
            let (code, what) = match name.parse::<std::net::IpAddr>() {
                Ok(_) => (64, "IP address"),
                Err(_) => (62, "Hostname"),
            };
            let text = format!("{what} mismatch, certificate is not valid for '{name}'.");
            verification(code, &text)
        }
        FailureKind::SelfSigned => verification(18, "self-signed certificate"),
        FailureKind::SelfSignedInChain => {
            verification(19, "self-signed certificate in certificate chain")
        }
        FailureKind::UnknownIssuer => verification(20, "unable to get local issuer certificate"),
        FailureKind::Revoked => verification(23, "certificate revoked"),
        FailureKind::NoRevocationList => verification(3, "unable to get certificate CRL"),
        FailureKind::Authority => verification(79, "invalid CA certificate"),
        FailureKind::WrongPurpose => verification(26, "unsuitable certificate purpose"),
        FailureKind::NameConstraint => verification(47, "permitted subtree violation"),
        FailureKind::BadSignature => verification(7, "certificate signature failure"),
        FailureKind::BadCertificate => verification(1, &failure.reason),
        FailureKind::NoCertificate => errors::reason(py, "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        FailureKind::Refused => errors::reason(py, "CALLBACK_FAILED"),
        FailureKind::Truncated => errors::unexpected_eof(py),
        FailureKind::Incompatible => errors::reason(py, incompatible(&failure.reason)),
        FailureKind::Protocol if is_open => errors::reason(py, "BAD_RECORD_TYPE"),
        // Plain text in place of a hello, most of the time. Packages look for this reason.
        FailureKind::Protocol => errors::reason(py, "WRONG_VERSION_NUMBER"),
        FailureKind::Alert => errors::of_library(py, "SSL", &failure.reason),
    }
}

/// Returns OpenSSL's reason for two sides that have nothing in common.
fn incompatible(text: &str) -> &'static str {
    if text.contains("ipher") {
        "NO_SHARED_CIPHER"
    } else if text.contains("version") || text.contains("ersions") {
        "UNSUPPORTED_PROTOCOL"
    } else if text.contains("KxGroup") {
        "NO_SUITABLE_KEY_SHARE"
    } else {
        "NO_APPLICATION_PROTOCOL"
    }
}
