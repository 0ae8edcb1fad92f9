//! Certificates for the tests, and sessions that are connected in memory.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use sandsock_tls::{
    Client, ClientAuth, ClientOptions, Failure, Identity, Info, Plain, Roots, Server,
    ServerOptions, Session, Trust, Versions,
};

/// The name of the servers in the tests.
pub(crate) const NAME: &str = "server.test";

/// An authority.
pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key in PEM.
pub(crate) struct Pem {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Pem {
    pub(crate) fn identity(&self) -> Arc<Identity> {
        Arc::new(Identity::from_pem(self.chain.as_bytes(), self.key.as_bytes()).unwrap())
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // An issuer is found by its name.
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn roots(&self) -> Arc<Roots> {
        roots_of(&self.0.pem())
    }

    /// Issues a certificate for these names.
    pub(crate) fn issue(&self, names: &[&str]) -> Pem {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pem {
        let mut params = params(names);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pem { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

pub(crate) fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "a server of the test");
    params
}

pub(crate) fn roots_of(pem: &str) -> Arc<Roots> {
    Arc::new(Roots::from_pem(pem.as_bytes(), "the test's").unwrap())
}

/// Makes a certificate that signs itself.
pub(crate) fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Pem {
    let mut params = params(&[NAME]);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Pem { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

pub(crate) fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

pub(crate) fn not_yet_valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(4000, 1, 1);
}

pub(crate) fn client_options(roots: &Arc<Roots>) -> ClientOptions {
    ClientOptions {
        trust: Trust::Roots(Arc::clone(roots)),
        versions: Versions::default(),
        alpn: Vec::new(),
        identity: None,
    }
}

pub(crate) fn server_options(pem: &Pem) -> ServerOptions {
    ServerOptions {
        identity: pem.identity(),
        client_auth: ClientAuth::None,
        versions: Versions::default(),
        alpn: Vec::new(),
    }
}

pub(crate) fn client(roots: &Arc<Roots>) -> Session {
    Client::new(&client_options(roots)).unwrap().session(NAME).unwrap()
}

pub(crate) fn server(pem: &Pem) -> Session {
    Server::new(&server_options(pem)).unwrap().session().unwrap()
}

/// Moves the bytes between two sessions until none is left.
pub(crate) fn pump(one: &mut Session, other: &mut Session) {
    pump_through(one, other, |_, _| {});
}

/// As [`pump`], through a man in the middle, who gets whether the bytes are the first side's.
pub(crate) fn pump_through(
    one: &mut Session,
    other: &mut Session,
    mut middle: impl FnMut(bool, &mut Vec<u8>),
) {
    // What a side has not taken yet, because it has bytes to send or plain ones to read.
    let mut waiting = [Vec::new(), Vec::new()];
    loop {
        let mut moved = false;
        for (of_one, waiting) in [true, false].into_iter().zip(&mut waiting) {
            let (from, to) =
                if of_one { (&mut *one, &mut *other) } else { (&mut *other, &mut *one) };
            if waiting.is_empty() {
                *waiting = from.drain(1000);
                middle(of_one, waiting);
                moved |= !waiting.is_empty();
            }
            while !waiting.is_empty() {
                match to.feed(waiting) {
                    Ok(0) => break,
                    Ok(taken) => drop(waiting.drain(..taken)),
                    // A failed side takes no more.
                    Err(_) => waiting.clear(),
                }
                moved = true;
            }
        }
        if !moved {
            return;
        }
    }
}

/// Makes the handshake, and returns how it ended on both sides.
pub(crate) fn handshake(client: &mut Session, server: &mut Session) -> (End, End) {
    pump(client, server);
    (end(client), end(server))
}

pub(crate) type End = Result<Info, Option<Failure>>;

fn end(session: &Session) -> End {
    match session.failure() {
        Some(failure) => Err(Some(failure.clone())),
        None => session.info().ok_or(None),
    }
}

/// Makes the handshake of a client with these roots, which has to fail, and returns why.
pub(crate) fn refused(roots: &Arc<Roots>, pem: &Pem) -> Failure {
    let (mut client, mut server) = (client(roots), server(pem));
    let (at_client, at_server) = handshake(&mut client, &mut server);
    assert!(matches!(at_server, Err(Some(Failure::Alert(..)))), "{at_server:?}");
    assert_eq!(client.write(b"secret").unwrap_err(), client.failure().unwrap().clone());
    at_client.unwrap_err().expect("the client refuses")
}

pub(crate) fn read(session: &mut Session) -> Vec<u8> {
    let mut all = Vec::new();
    while let Plain::Bytes(bytes) = session.read(usize::MAX).unwrap() {
        all.extend(bytes);
    }
    all
}
