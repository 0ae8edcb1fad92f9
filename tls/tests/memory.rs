//! What peers can make a client keep, and what a client's options can. This program has one test,
//! because it looks at its own memory.

mod common;

use std::sync::Arc;

use common::*;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use sandsock_tls::{Client, Revocation, Roots, Session};

/// Makes tickets as long as TLS allows.
#[derive(Debug)]
struct Long;

impl ProducesTickets for Long {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        86_400
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        Some(vec![7; 60_000])
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A server with long tickets.
fn long_tickets(authority: &Authority, names: &[String]) -> Arc<rustls::ServerConfig> {
    let pem = authority.issue(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let chain = CertificateDer::pem_slice_iter(pem.chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_protocol_versions(&[&rustls::version::TLS13])
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(chain, key)
    .unwrap();
    config.ticketer = Arc::new(Long);
    config.send_tls13_tickets = 1;
    Arc::new(config)
}

/// Moves the bytes of a handshake and its tickets. Returns how many the server has sent.
fn shake(session: &mut Session, config: &Arc<rustls::ServerConfig>) -> usize {
    let mut raw = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
    let mut moved = 0;
    loop {
        let bytes = session.drain(usize::MAX);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            raw.read_tls(&mut rest).unwrap();
            raw.process_new_packets().unwrap();
        }
        let mut back = Vec::new();
        while raw.wants_write() {
            raw.write_tls(&mut back).unwrap();
        }
        moved += back.len();
        let mut rest = &back[..];
        while !rest.is_empty() {
            let taken = session.feed(rest).unwrap();
            rest = &rest[taken..];
            if taken == 0 {
                // It has bytes to send first.
                let bytes = session.drain(usize::MAX);
                assert!(!bytes.is_empty(), "it takes no bytes: {} left", rest.len());
                raw.read_tls(&mut &bytes[..]).unwrap();
                raw.process_new_packets().unwrap();
            }
        }
        if bytes.is_empty() && back.is_empty() {
            assert!(session.info().is_some());
            return moved;
        }
    }
}

fn one_client(authority: &Authority) {
    const CONNECTIONS: usize = 10;
    let names: Vec<String> = (0..40).map(|at| format!("server{at}.test")).collect();
    let config = long_tickets(authority, &names);
    let client = Client::new(&client_options(&authority.roots())).unwrap();
    let mut moved = 0;
    let before = resident();
    for name in (0..CONNECTIONS).flat_map(|_| &names) {
        moved += shake(&mut client.session(name).unwrap(), &config);
    }
    assert!(moved > names.len() * CONNECTIONS * 60_000, "{moved} bytes of tickets came");
    let kept = resident().saturating_sub(before);
    assert!(kept < 12 << 10, "{kept} KiB are kept of {} MiB of tickets", moved >> 20);
}

/// A session of a client that is gone keeps no tickets.
fn many_clients(authority: &Authority) {
    const CLIENTS: usize = 400;
    let config = long_tickets(authority, &["server.test".to_owned()]);
    let roots = authority.roots();
    let before = resident();
    let sessions: Vec<Session> = (0..CLIENTS)
        .map(|_| {
            let client = Client::new(&client_options(&roots)).unwrap();
            let mut session = client.session("server.test").unwrap();
            drop(client);
            assert!(shake(&mut session, &config) > 60_000);
            session
        })
        .collect();
    let kept = resident().saturating_sub(before) / sessions.len();
    // Its tickets would be 480 KiB. A buffer that has held one of them may stay.
    assert!(kept < 128, "a session keeps {kept} KiB");
}

/// Lists of revoked certificates take their memory once.
fn many_clients_with_lists(authority: &Authority) {
    const CLIENTS: usize = 16;
    let serial = |at: u64| rcgen::SerialNumber::from(at);
    let revoked = (1..50_000)
        .map(|at| rcgen::RevokedCertParams {
            serial_number: serial(at),
            revocation_time: rcgen::date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        })
        .collect();
    let list = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2024, 1, 1),
        next_update: rcgen::date_time_ymd(4000, 1, 1),
        crl_number: serial(1),
        issuing_distribution_point: None,
        revoked_certs: revoked,
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&authority.0).unwrap().der().to_vec();
    let roots = [authority.0.der().to_vec()];
    let roots =
        Roots::from_der(&roots, None, std::slice::from_ref(&list), Revocation::Leaf).unwrap();
    let roots = Arc::new(roots);
    let before = resident();
    let clients: Vec<Client> =
        (0..CLIENTS).map(|_| Client::new(&client_options(&roots)).unwrap()).collect();
    let kept = resident().saturating_sub(before);
    let most = (16 * list.len()) >> 10;
    assert!(kept < most, "{} clients keep {kept} KiB, of {} bytes", clients.len(), list.len());
}

#[test]
fn memory_is_bounded() {
    let authority = Authority::new();
    one_client(&authority);
    many_clients(&authority);
    many_clients_with_lists(&authority);
}
