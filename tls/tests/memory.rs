//! What peers can make a client keep. This program has one test, because it looks at its own memory.

mod common;

use std::sync::Arc;

use common::*;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use sandsock_tls::Client;

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

#[test]
fn tickets_of_peers_take_bounded_memory() {
    const CONNECTIONS: usize = 10;
    let names: Vec<String> = (0..40).map(|at| format!("server{at}.test")).collect();
    let authority = Authority::new();
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
    let config = Arc::new(config);
    let client = Client::new(&client_options(&authority.roots())).unwrap();
    let mut moved = 0;
    let before = resident();
    for name in (0..CONNECTIONS).flat_map(|_| &names) {
        let mut session = client.session(name).unwrap();
        let mut raw = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
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
                break;
            }
        }
        assert!(session.info().is_some());
    }
    assert!(moved > names.len() * CONNECTIONS * 60_000, "{moved} bytes of tickets came");
    let kept = resident().saturating_sub(before);
    assert!(kept < 12 << 10, "{kept} KiB are kept of {} MiB of tickets", moved >> 20);
}
