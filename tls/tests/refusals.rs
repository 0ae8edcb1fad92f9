//! What a session refuses of a hostile peer or of a man in the middle, as a client and as a server.

mod common;

use std::process::{Command, Stdio};
use std::sync::Arc;

use common::*;
use rcgen::{
    BasicConstraints, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, NameConstraints,
};
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    Connection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite,
};
use sandsock_tls::{
    CertificateFault, Client, ClientAuth, ClientOptions, Failure, Identity, IdentityError, Plain,
    Revocation, Roots, RootsError, Server, ServerOptions, Session, Trust, Version, Versions,
};

const VERSIONS: [Version; 2] = [Version::Tls12, Version::Tls13];

/// RFC 8446, section 6: alerts.
const CLOSE_NOTIFY: u8 = 0;
const UNEXPECTED_MESSAGE: u8 = 10;
const RECORD_OVERFLOW: u8 = 22;
const ILLEGAL_PARAMETER: u8 = 47;
const PROTOCOL_VERSION: u8 = 70;
const USER_CANCELED: u8 = 90;

/// RFC 8446, section 4: types of handshake messages.
const HELLO_REQUEST: u8 = 0;
const KEY_UPDATE: u8 = 24;

/// A client and a server of one authority that take this version alone.
fn pair(version: Version) -> (Session, Session) {
    let authority = Authority::new();
    let versions = Versions { lowest: version, highest: version };
    let options = ClientOptions { versions, ..client_options(&authority.roots()) };
    let client = Client::new(&options).unwrap().session(NAME).unwrap();
    (client, server(&authority.issue(&[NAME])))
}

/// Gives a session bytes, and returns how it failed.
#[track_caller]
fn fed(session: &mut Session, bytes: &[u8]) -> Failure {
    let mut rest = bytes;
    while !rest.is_empty() {
        match session.feed(rest) {
            Ok(0) => panic!("it takes no more, and has not failed"),
            Ok(taken) => rest = &rest[taken..],
            Err(failure) => {
                assert_eq!(session.info().map(drop), None, "a refusal within the handshake");
                return failure;
            }
        }
    }
    panic!("it has not failed")
}

/// Returns the fatal alert that a session wants to send in the clear. RFC 8446, section 5.1: its
/// type is 21, and 2 is fatal.
#[track_caller]
fn alert(session: &mut Session) -> u8 {
    match session.drain(usize::MAX)[..] {
        [21, 3, _, 0, 2, 2, alert] => alert,
        ref other => panic!("{other:?} is no alert"),
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

// Handshakes that end too soon.

#[test]
fn a_handshake_that_is_cut_at_any_byte_is_no_session() {
    for version in VERSIONS {
        let authority = Authority::new();
        let pem = authority.issue(&[NAME]);
        let versions = Versions { lowest: version, highest: version };
        let options = ClientOptions { versions, ..client_options(&authority.roots()) };
        let new = || (Client::new(&options).unwrap().session(NAME).unwrap(), server(&pem));
        for of_client in [true, false] {
            // The cut comes after this many bytes of one side, so longer ones come too late.
            let mut complete = 0;
            for length in (0..4000).step_by(7) {
                let (mut client, mut server) = new();
                let mut left = length;
                pump_through(&mut client, &mut server, |by_client, bytes| {
                    if by_client == of_client {
                        bytes.truncate(left);
                        left -= bytes.len();
                    }
                });
                let reader = if of_client { &mut server } else { &mut client };
                let is_complete = reader.info().is_some();
                reader.feed_end();
                match is_complete {
                    true => {
                        complete += 1;
                        assert_eq!(reader.failure(), None, "{version:?} {length}");
                        assert_eq!(reader.read(9), Err(Failure::Truncated), "{version:?} {length}");
                    }
                    false => {
                        assert_eq!(complete, 0, "{version:?}: {length} bytes are no handshake");
                        assert_eq!(reader.failure(), Some(&Failure::Truncated), "{length}");
                        assert_eq!(reader.info(), None);
                        assert!(reader.write(b"secret").is_err() && reader.read(9).is_err());
                    }
                }
            }
            assert!((1..550).contains(&complete), "{version:?} {of_client}: {complete}");
        }
    }
}

/// Nothing protects an alert that comes before the keys.
#[test]
fn a_close_notify_within_the_handshake_is_no_end() {
    for version in VERSIONS {
        let (mut client, mut server) = pair(version);
        let hello = client.drain(usize::MAX);
        for session in [&mut client, &mut server] {
            session.feed(&[21, 3, 3, 0, 2, 1, CLOSE_NOTIFY]).unwrap();
            assert_eq!(session.read(9), Ok(Plain::NotYet));
        }
        server.feed(&hello).unwrap();
        server.drain(usize::MAX);
        for session in [&mut client, &mut server] {
            session.feed_end();
            assert_eq!(session.read(9), Err(Failure::Truncated));
        }
    }
}

#[test]
fn a_cut_without_close_notify_is_told_from_an_end() {
    for version in VERSIONS {
        for of_client in [true, false] {
            let cut = |announce: bool| {
                let (mut client, mut server) = pair(version);
                pump(&mut client, &mut server);
                let (reader, writer) =
                    if of_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
                writer.write(b"the whole answer?").unwrap();
                if announce {
                    writer.close();
                }
                pump(reader, writer);
                reader.feed_end();
                assert_eq!(reader.read(99), Ok(Plain::Bytes(b"the whole answer?".to_vec())));
                reader.read(99)
            };
            assert_eq!(cut(true), Ok(Plain::End));
            assert_eq!(cut(false), Err(Failure::Truncated));
        }
    }
}

// Old versions, and downgrades.

/// A ServerHello in a record. RFC 5246, section 7.4.1.3.
fn server_hello(version: u16, session_id: &[u8], suite: u16, extensions: &[u8]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(session_id.len() as u8);
    body.extend(session_id);
    body.extend(suite.to_be_bytes());
    body.push(0);
    if !extensions.is_empty() {
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
    }
    let mut message = vec![2, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    let mut record = vec![22, 3, 3];
    record.extend((message.len() as u16).to_be_bytes());
    record.extend(message);
    record
}

/// The session ID of a ClientHello: after the headers, the version and the random.
fn session_id(hello: &[u8]) -> &[u8] {
    &hello[44..][..hello[43].into()]
}

#[test]
fn old_versions_are_refused_on_both_sides() {
    let (suite12, suite13) = (0xc02b, 0x1301);
    for old in [0x0300, 0x0301, 0x0302] {
        // SSL 3, TLS 1.0 and 1.1, in the old field.
        let (mut client, _) = pair(Version::Tls12);
        client.drain(usize::MAX);
        let failure = fed(&mut client, &server_hello(old, &[], suite12, &[]));
        assert!(matches!(failure, Failure::Incompatible(_)), "{failure:?}");
        assert_eq!(alert(&mut client), PROTOCOL_VERSION);
        // In the extension supported_versions.
        let (mut client, _) = pair(Version::Tls13);
        let id = session_id(&client.drain(usize::MAX)).to_vec();
        let [high, low] = old.to_be_bytes();
        let extension = [0, 43, 0, 2, high, low];
        fed(&mut client, &server_hello(0x0303, &id, suite13, &extension));
        assert!([ILLEGAL_PARAMETER, PROTOCOL_VERSION].contains(&alert(&mut client)));
        // A client that knows nothing newer.
        let (mut client, mut server) = pair(Version::Tls12);
        let mut hello = client.drain(usize::MAX);
        hello[9..11].copy_from_slice(&old.to_be_bytes());
        let at = find(&hello, &[0, 43, 0, 3, 2, 3, 3]).expect("the offered versions");
        hello[at + 5..][..2].copy_from_slice(&old.to_be_bytes());
        let failure = fed(&mut server, &hello);
        assert!(matches!(failure, Failure::Incompatible(_)), "{failure:?}");
        assert_eq!(alert(&mut server), PROTOCOL_VERSION);
    }
    // The lowest version of the options counts as well.
    for (lowest, other) in [(Version::Tls13, Version::Tls12), (Version::Tls12, Version::Tls13)] {
        let authority = Authority::new();
        let only = |version| Versions { lowest: version, highest: version };
        let options =
            ClientOptions { versions: only(lowest), ..client_options(&authority.roots()) };
        let mut client = Client::new(&options).unwrap().session(NAME).unwrap();
        let options =
            ServerOptions { versions: only(other), ..server_options(&authority.issue(&[NAME])) };
        let mut server = Server::new(&options).unwrap().session().unwrap();
        let (at_client, at_server) = handshake(&mut client, &mut server);
        assert!(matches!(at_server, Err(Some(Failure::Incompatible(_)))), "{at_server:?}");
        assert!(matches!(at_client, Err(Some(Failure::Alert(..)))), "{at_client:?}");
    }
}

/// The last bytes of a server's random if it knows TLS 1.3 and takes TLS 1.2. RFC 8446, section 4.1.3.
const DOWNGRADED: &[u8; 8] = b"DOWNGRD\x01";

/// Makes a handshake that a man in the middle downgrades to TLS 1.2: the client's hello offers
/// nothing else. Returns how the client and the server ended.
fn downgraded(hide: bool) -> (Session, Session) {
    let authority = Authority::new();
    let (mut client, mut server) = (client(&authority.roots()), server(&authority.issue(&[NAME])));
    let (mut offers, mut sentinels) = (0, 0);
    pump_through(&mut client, &mut server, |_, bytes| {
        // The extension supported_versions.
        if let Some(at) = find(bytes, &[0, 43, 0, 5, 4, 3, 4, 3, 3]) {
            bytes[at + 6] = 3;
            offers += 1;
        }
        if let Some(at) = find(bytes, DOWNGRADED) {
            sentinels += 1;
            if hide {
                bytes[at + 7] ^= 0xff;
            }
        }
    });
    assert_eq!((offers, sentinels), (1, 1), "the man in the middle has rewritten the hellos");
    (client, server)
}

#[test]
fn a_downgrade_to_tls_1_2_is_refused() {
    // The sentinel tells the client.
    let (client, server) = downgraded(false);
    let failure = client.failure().expect("refused");
    assert!(failure.to_string().contains("AttemptedDowngrade"), "{failure:?}");
    assert_eq!(
        server.failure(),
        Some(&Failure::Alert(ILLEGAL_PARAMETER, "illegal_parameter".to_owned()))
    );
    // Without the sentinel, the server's signature is about another random.
    let (client, server) = downgraded(true);
    let failure = client.failure().expect("refused");
    assert!(failure.to_string().to_lowercase().contains("signature"), "{failure:?}");
    assert!(matches!(server.failure(), Some(Failure::Alert(..))), "{:?}", server.failure());
    assert_eq!((client.info(), server.info()), (None, None));
}

#[test]
fn a_man_in_the_middle_changes_no_byte_of_a_handshake() {
    for version in VERSIONS {
        let authority = Authority::new();
        let pem = authority.issue(&[NAME]);
        let options = ClientOptions {
            versions: Versions { lowest: version, highest: version },
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            ..client_options(&authority.roots())
        };
        let (mut refused, mut unnoticed) = (0, 0);
        for of_client in [true, false] {
            for place in (0..3000).step_by(11) {
                let mut client = Client::new(&options).unwrap().session(NAME).unwrap();
                let mut server = Server::new(&ServerOptions {
                    alpn: vec![b"http/1.1".to_vec(), b"h2".to_vec()],
                    ..server_options(&pem)
                })
                .unwrap()
                .session()
                .unwrap();
                let (mut before, mut changed) = (0, false);
                pump_through(&mut client, &mut server, |by_client, bytes| {
                    if by_client == of_client {
                        if (before..before + bytes.len()).contains(&place) {
                            bytes[place - before] ^= 0x41;
                            changed = true;
                        }
                        before += bytes.len();
                    }
                });
                if !changed {
                    break;
                }
                let both = match (client.info(), server.info()) {
                    // A side that has all of the peer's messages may send before the other fails.
                    (Some(at_client), Some(at_server)) => {
                        let _ = client.write(b"question");
                        pump(&mut client, &mut server);
                        let both = client.failure().is_none() && server.failure().is_none();
                        both.then_some((at_client, at_server))
                    }
                    _ => None,
                };
                let Some((at_client, at_server)) = both else {
                    // A changed length can make a side wait.
                    assert!(!matches!(server.read(99), Ok(Plain::Bytes(_))), "{place}");
                    refused += 1;
                    continue;
                };
                // The headers' version is not protected, and no side looks at it.
                assert_eq!(read(&mut server), b"question");
                assert_eq!((at_client.version, at_server.version), (version, version));
                assert_eq!(at_client.cipher, at_server.cipher);
                assert_eq!(at_client.alpn.as_deref(), Some(&b"http/1.1"[..]), "{place}");
                assert_eq!(at_server.server_name.as_deref(), Some(NAME));
                unnoticed += 1;
            }
        }
        assert!(refused > 80 && unnoticed * 10 < refused, "{refused} {unnoticed}");
    }
}

// Plain text, and records above the limit.

#[test]
fn plain_text_is_refused_on_both_sides() {
    for version in VERSIONS {
        let (mut client, mut server) = pair(version);
        client.drain(usize::MAX);
        for text in ["HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail.test ESMTP\r\n", "SSH-2.0-x\r\n"]
        {
            let (mut client, _) = pair(version);
            client.drain(usize::MAX);
            let failure = fed(&mut client, text.as_bytes());
            assert!(matches!(failure, Failure::Protocol(_)), "{failure:?}");
            assert_eq!(client.write(b"secret"), Err(failure));
        }
        let failure = fed(&mut server, b"GET / HTTP/1.1\r\nHost: server.test\r\n\r\n");
        assert!(matches!(failure, Failure::Protocol(_)), "{failure:?}");
    }
}

/// A peer that has made an honest handshake, and encrypts what it likes.
struct Hostile {
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
    version: ProtocolVersion,
}

impl Hostile {
    /// Makes the handshake with a session.
    fn new(connection: Connection, session: &mut Session) -> Self {
        let connection = shaken(connection, session);
        let version = connection.protocol_version().unwrap();
        let suite = connection.negotiated_cipher_suite().unwrap();
        let (sequence, secrets) = connection.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } = secrets else {
            panic!("it knows one cipher")
        };
        let encrypter = match suite {
            SupportedCipherSuite::Tls12(suite) => suite.aead_alg.encrypter(key, iv.as_ref(), &[]),
            SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
        };
        Self { encrypter, sequence, version }
    }

    fn record(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let payload = OutboundChunks::Single(payload);
        // The TLS 1.3 cipher sets the version of the header itself.
        let version = match self.version {
            ProtocolVersion::TLSv1_3 => ProtocolVersion::TLSv1_2,
            version => version,
        };
        let message = OutboundPlainMessage { typ, version, payload };
        let record = self.encrypter.encrypt(message, self.sequence).unwrap();
        self.sequence += 1;
        record.encode()
    }
}

/// Moves the bytes of a connection of rustls and of a session until none is left.
fn shaken(mut connection: Connection, session: &mut Session) -> Connection {
    loop {
        let mut bytes = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while let Ok(taken @ 1..) = session.feed(rest) {
            rest = &rest[taken..];
        }
        let back = session.drain(usize::MAX);
        if bytes.is_empty() && back.is_empty() {
            return connection;
        }
        let mut back = &back[..];
        while !back.is_empty() {
            connection.read_tls(&mut back).unwrap();
            if connection.process_new_packets().is_err() {
                return connection;
            }
        }
    }
}

fn raw_provider() -> Arc<rustls::crypto::CryptoProvider> {
    let mut provider = default_provider();
    provider.cipher_suites = vec![
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    Arc::new(provider)
}

fn versions_of(version: Version) -> &'static [&'static rustls::SupportedProtocolVersion] {
    static BOTH: [&rustls::SupportedProtocolVersion; 2] =
        [&rustls::version::TLS12, &rustls::version::TLS13];
    match version {
        Version::Tls12 => &BOTH[..1],
        Version::Tls13 => &BOTH[1..],
    }
}

fn key_of(pem: &Pem) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(pem.chain.as_bytes()).map(Result::unwrap).collect();
    (chain, PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).unwrap())
}

/// A server of rustls.
fn raw_server(version: Version, pem: &Pem) -> rustls::ServerConfig {
    let (chain, key) = key_of(pem);
    let mut config = rustls::ServerConfig::builder_with_provider(raw_provider())
        .with_protocol_versions(versions_of(version))
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.enable_secret_extraction = true;
    config
}

/// A session of a client with a hostile server, and one of a server with a hostile client.
fn against_hostile(version: Version) -> [(Session, Hostile); 2] {
    let authority = Authority::new();
    let pem = authority.issue(&[NAME]);
    let mut client = client(&authority.roots());
    let raw = rustls::ServerConnection::new(Arc::new(raw_server(version, &pem))).unwrap();
    let of_server = Hostile::new(raw.into(), &mut client);
    assert!(client.info().is_some());

    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(raw_provider())
        .with_protocol_versions(versions_of(version))
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    let raw = rustls::ClientConnection::new(Arc::new(config), NAME.try_into().unwrap()).unwrap();
    let mut server = server(&pem);
    let of_client = Hostile::new(raw.into(), &mut server);
    assert!(server.info().is_some());
    [(client, of_server), (server, of_client)]
}

/// Gives a session bytes, and returns how it failed after the handshake. None if it did not.
fn after(session: &mut Session, bytes: &[u8]) -> Option<Failure> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match session.feed(rest) {
            Ok(taken) => rest = &rest[taken..],
            Err(failure) => return Some(failure),
        }
        if let Ok(Plain::Bytes(_)) = session.read(usize::MAX) {
            while let Ok(Plain::Bytes(_)) = session.read(usize::MAX) {}
        }
    }
    None
}

#[test]
fn records_above_the_limit_are_refused() {
    for version in VERSIONS {
        // RFC 8446, section 5.1, and RFC 5246, section 6.2.1: a record has 2^14 plain bytes.
        for (mut session, mut hostile) in against_hostile(version) {
            let record = hostile.record(ContentType::ApplicationData, &[7; 1 << 14]);
            assert_eq!(after(&mut session, &record), None, "the longest record");
            let record = hostile.record(ContentType::ApplicationData, &[7; (1 << 14) + 1]);
            let failure = after(&mut session, &record).expect("refused");
            assert!(matches!(failure, Failure::Protocol(_)), "{failure:?}");
            assert_eq!(session.read(9), Err(failure));
        }
        // The header is enough: no byte of such a record is waited for.
        for (mut session, _) in against_hostile(version) {
            let failure = after(&mut session, &[23, 3, 3, 0xff, 0xff]).expect("refused");
            assert!(matches!(failure, Failure::Protocol(_)), "{failure:?}");
        }
        let (mut client, mut server) = pair(version);
        client.drain(usize::MAX);
        for session in [&mut client, &mut server] {
            fed(session, &[22, 3, 3, 0xff, 0xff]);
            let alert = alert(session);
            assert!([RECORD_OVERFLOW, 50].contains(&alert), "{alert}");
        }
    }
    // A handshake message that never ends.
    for version in VERSIONS {
        let (mut client, mut server) = pair(version);
        client.drain(usize::MAX);
        for session in [&mut client, &mut server] {
            let mut endless = vec![22, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff];
            endless.resize(5 + (1 << 14), 0);
            let mut taken = 0;
            while session.failure().is_none() && taken < 1 << 20 {
                taken += session.feed(&endless).unwrap_or(0);
            }
            assert!(session.failure().is_some() && taken < 128 << 10, "{taken}");
        }
    }
}

// Floods.

#[test]
fn a_flood_of_key_updates_is_refused() {
    for (mut session, mut hostile) in against_hostile(Version::Tls13) {
        // Without the new keys only one can come, so a peer of rustls makes the rest below.
        let record = hostile.record(ContentType::Handshake, &[KEY_UPDATE, 0, 0, 1, 1]);
        assert_eq!(after(&mut session, &record), None);
    }
    let authority = Authority::new();
    let pem = authority.issue(&[NAME]);
    let config = Arc::new(raw_server(Version::Tls13, &pem));
    let new = || {
        let mut client = client(&authority.roots());
        let raw = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        (shaken(raw.into(), &mut client), client)
    };
    let flood = |count: usize, between: bool| {
        let (mut raw, mut client) = new();
        for _ in 0..count {
            raw.refresh_traffic_keys().unwrap();
            if between {
                std::io::Write::write_all(&mut raw.writer(), b"x").unwrap();
            }
            let mut bytes = Vec::new();
            while raw.wants_write() {
                raw.write_tls(&mut bytes).unwrap();
            }
            if let Some(failure) = after(&mut client, &bytes) {
                return Some(failure);
            }
            // Its answers are not drained: they don't pile up.
            assert!(client.drain(0).is_empty());
        }
        let bytes = client.drain(usize::MAX);
        assert!(bytes.len() < 70 << 10, "{} bytes to send", bytes.len());
        None
    };
    assert_eq!(flood(30, false), None);
    assert_eq!(flood(300, true), None, "a key for each record is allowed");
    let failure = flood(300, false).expect("refused");
    assert!(
        matches!(&failure, Failure::Protocol(text) if text.contains("KeyUpdate")),
        "{failure:?}"
    );
    // As a server.
    let mut server = server(&pem);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(raw_provider())
        .with_protocol_versions(versions_of(Version::Tls13))
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let raw = rustls::ClientConnection::new(Arc::new(config), NAME.try_into().unwrap()).unwrap();
    let mut raw = shaken(raw.into(), &mut server);
    let failure = (0..300).find_map(|_| {
        raw.refresh_traffic_keys().unwrap();
        let mut bytes = Vec::new();
        raw.write_tls(&mut bytes).unwrap();
        after(&mut server, &bytes)
    });
    assert!(matches!(failure, Some(Failure::Protocol(_))), "{failure:?}");
}

#[test]
fn floods_of_empty_records_and_warnings_are_refused() {
    for version in VERSIONS {
        for (mut session, mut hostile) in against_hostile(version) {
            let failure = (0..1000).find_map(|_| {
                let record = hostile.record(ContentType::ApplicationData, b"");
                after(&mut session, &record)
            });
            assert!(matches!(failure, Some(Failure::Protocol(_))), "{version:?} {failure:?}");
        }
        for (mut session, mut hostile) in against_hostile(version) {
            let failure = (0..1000).find_map(|_| {
                let record = hostile.record(ContentType::Alert, &[1, USER_CANCELED]);
                after(&mut session, &record)
            });
            assert!(matches!(failure, Some(Failure::Protocol(_))), "{version:?} {failure:?}");
        }
    }
    // TLS 1.2: a server asks for another handshake, again and again.
    let [(mut session, mut hostile), _] = against_hostile(Version::Tls12);
    let failure = (0..1000).find_map(|_| {
        let record = hostile.record(ContentType::Handshake, &[HELLO_REQUEST, 0, 0, 0]);
        after(&mut session, &record)
    });
    assert!(matches!(failure, Some(Failure::Protocol(_))), "{failure:?}");
    assert!(session.drain(usize::MAX).len() < 1000);
}

#[test]
fn a_second_hello_retry_request_is_refused() {
    let authority = Authority::new();
    let pem = authority.issue(&[NAME]);
    // The client has sent a key for another group.
    let (chain, key) = key_of(&pem);
    let provider = rustls::crypto::CryptoProvider {
        kx_groups: vec![kx_group::SECP384R1],
        ..default_provider()
    };
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions_of(Version::Tls13))
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let mut session = client(&authority.roots());
    let raw = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
    shaken(raw.into(), &mut session);
    assert!(session.info().is_some(), "one request is part of a handshake");

    let mut session = client(&authority.roots());
    let mut raw = rustls::ServerConnection::new(config).unwrap();
    let hello = session.drain(usize::MAX);
    raw.read_tls(&mut &hello[..]).unwrap();
    raw.process_new_packets().unwrap();
    let mut request = Vec::new();
    raw.write_tls(&mut request).unwrap();
    session.feed(&request).unwrap();
    assert_eq!(session.failure(), None);
    assert!(session.has_bytes(), "the second hello");
    session.drain(usize::MAX);
    let failure = fed(&mut session, &request);
    assert!(matches!(failure, Failure::Protocol(_)), "{failure:?}");
    assert!([UNEXPECTED_MESSAGE, ILLEGAL_PARAMETER].contains(&alert(&mut session)));
}

// Certificates.

/// Makes the handshake of a server that requires a certificate of these roots' authority, with a
/// client that shows this one.
fn shown(roots: &Arc<Roots>, shown: &Pem) -> Result<(), Failure> {
    let authority = Authority::new();
    for version in VERSIONS {
        let options = ServerOptions {
            client_auth: ClientAuth::Required(Arc::clone(roots)),
            versions: Versions { lowest: version, highest: version },
            ..server_options(&authority.issue(&[NAME]))
        };
        let mut server = Server::new(&options).unwrap().session().unwrap();
        let options = ClientOptions {
            identity: Some(shown.identity()),
            ..client_options(&authority.roots())
        };
        let mut client = Client::new(&options).unwrap().session(NAME).unwrap();
        // In TLS 1.3 the client ends first, and sends before it knows.
        pump(&mut client, &mut server);
        let _ = client.write(b"from nobody");
        pump(&mut client, &mut server);
        if let Some(failure) = server.failure().cloned() {
            assert_eq!(server.read(99), Err(failure.clone()), "no byte of it is read");
            assert!(matches!(client.failure(), Some(Failure::Alert(..))));
            return Err(failure);
        }
        assert_eq!(read(&mut server), b"from nobody");
    }
    Ok(())
}

#[test]
fn certificates_of_clients_that_prove_nothing_are_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let roots = authority.roots();
    let fault = |pem: &Pem| match shown(&roots, pem) {
        Err(Failure::Certificate(fault)) => fault,
        end => panic!("{end:?}"),
    };
    assert_eq!(shown(&roots, &authority.issue(&["a client"])), Ok(()));
    assert_eq!(fault(&authority.issue_with(&["a client"], expired)), CertificateFault::Expired);
    assert_eq!(
        fault(&authority.issue_with(&["a client"], not_yet_valid)),
        CertificateFault::NotValidYet
    );
    assert_eq!(fault(&other.issue(&["a client"])), CertificateFault::UnknownIssuer);
    assert_eq!(fault(&self_signed(|_| {})), CertificateFault::UnknownIssuer);
    let of_authority = authority.issue_with(&["a client"], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    assert_eq!(fault(&of_authority), CertificateFault::Authority);
    let of_server = authority.issue_with(&["a client"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(fault(&of_server), CertificateFault::WrongPurpose);
    let constrained = Authority::with(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("other.test".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let failure = shown(&constrained.roots(), &constrained.issue(&["client.test"])).unwrap_err();
    assert_eq!(failure, Failure::Certificate(CertificateFault::NameConstraint));
    assert_eq!(shown(&constrained.roots(), &constrained.issue(&["a.other.test"])), Ok(()));
}

#[test]
fn name_constraints_permit_and_exclude() {
    let subtree = || vec![GeneralSubtree::DnsName("test".to_owned())];
    let with = |permitted_subtrees, excluded_subtrees| {
        let authority = Authority::with(|params| {
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees, excluded_subtrees });
        });
        let mut server = server(&authority.issue(&[NAME]));
        handshake(&mut client(&authority.roots()), &mut server).0.map(drop)
    };
    assert_eq!(with(subtree(), Vec::new()), Ok(()));
    let Err(Some(failure)) = with(Vec::new(), subtree()) else { panic!("it is excluded") };
    assert_eq!(failure, Failure::Certificate(CertificateFault::NameConstraint));
}

#[test]
fn an_intermediate_that_is_no_authority_issues_nothing() {
    let authority = Authority::new();
    let issue = |is_ca: IsCa| {
        let mut params = params(&["an.intermediate"]);
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let middle = params.signed_by(&key, &authority.0).unwrap();
        let issuer = rcgen::Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let leaf = common::params(&[NAME]).signed_by(&key, &issuer).unwrap();
        Pem { chain: format!("{}{}", leaf.pem(), middle.pem()), key: key.serialize_pem() }
    };
    let run = |pem: &Pem| handshake(&mut client(&authority.roots()), &mut server(pem)).0.map(drop);
    assert_eq!(run(&issue(IsCa::Ca(BasicConstraints::Unconstrained))), Ok(()));
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let end = run(&issue(is_ca));
        assert!(matches!(end, Err(Some(Failure::Certificate(_)))), "{end:?}");
    }
}

/// A server has the certificate of another one, but not its key.
#[test]
fn a_certificate_without_its_key_proves_nothing() {
    #[derive(Debug)]
    struct Stolen(Arc<rustls::sign::CertifiedKey>);
    impl rustls::server::ResolvesServerCert for Stolen {
        fn resolve(
            &self,
            _: rustls::server::ClientHello<'_>,
        ) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }
    let authority = Authority::new();
    let (chain, _) = key_of(&authority.issue(&[NAME]));
    let (_, key) = key_of(&authority.issue(&["attacker.test"]));
    let key = default_provider().key_provider.load_private_key(key).unwrap();
    let stolen = Arc::new(Stolen(Arc::new(rustls::sign::CertifiedKey::new(chain, key))));
    for version in VERSIONS {
        for trust in [Trust::Roots(authority.roots()), Trust::Insecure] {
            let config = rustls::ServerConfig::builder_with_provider(raw_provider())
                .with_protocol_versions(versions_of(version))
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(stolen.clone());
            let options = ClientOptions { trust, ..client_options(&authority.roots()) };
            let mut client = Client::new(&options).unwrap().session(NAME).unwrap();
            let raw = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            shaken(raw.into(), &mut client);
            let failure = client.failure().expect("refused").to_string();
            assert!(failure.to_lowercase().contains("signature"), "{failure}");
            assert_eq!(client.info(), None);
        }
    }
}

/// Runs OpenSSL's command in a folder. None if there is none.
fn openssl(folder: &std::path::Path, args: &str) -> Option<()> {
    let mut command = Command::new("openssl");
    command.args(args.split(' ')).current_dir(folder).stdin(Stdio::null());
    let Ok(output) = command.output() else {
        eprintln!("skipped: the command openssl is missing");
        return None;
    };
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

#[test]
fn weak_signatures_of_certificates_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    std::fs::write(at.join("names.ext"), format!("subjectAltName=DNS:{NAME}")).unwrap();
    for (bits, digest, is_weak) in
        [(2048, "sha256", false), (2048, "sha1", true), (1024, "sha256", true)]
    {
        let run = |args: &str| openssl(at, args);
        let root = format!(
            "req -x509 -newkey rsa:{bits} -nodes -sha256 -subj /CN=weak -days 9 -keyout root.key -out root.pem"
        );
        if run(&root).is_none() {
            return;
        }
        run(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=leaf -keyout leaf.key -out leaf.csr",
        );
        run(&format!(
            "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 -{digest} -extfile names.ext -out leaf.pem"
        ));
        let pem = Pem { chain: text("leaf.pem"), key: text("leaf.key") };
        let roots = roots_of(&text("root.pem"));
        let at_client = handshake(&mut client(&roots), &mut server(&pem)).0.map(drop);
        let at_server = shown(&roots, &pem);
        match is_weak {
            false => assert_eq!((at_client, at_server), (Ok(()), Ok(()))),
            true => {
                for failure in [at_client.unwrap_err().expect("refused"), at_server.unwrap_err()] {
                    assert!(
                        matches!(failure, Failure::Certificate(_)),
                        "{bits} {digest}: {failure:?}"
                    );
                }
            }
        }
    }
    // A short key of a server itself.
    openssl(
        at,
        "req -x509 -newkey rsa:1024 -nodes -sha256 -subj /CN=short -days 9 -keyout short.key -out short.pem",
    );
    let identity = Identity::from_pem(text("short.pem").as_bytes(), text("short.key").as_bytes());
    assert!(matches!(identity, Err(IdentityError::InvalidKey(_))), "{identity:?}");
}

/// No peer is told that it may sign with SHA-1, MD5 or DSA. RFC 8446, section 4.2.3: the low byte is
/// the signature, and the high byte of the old schemes is the hash.
#[test]
fn weak_signature_schemes_are_not_offered() {
    let hello = client(&Authority::new().roots()).drain(usize::MAX);
    // The extensions begin after the session ID, the suites and the compression methods.
    let word = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    let mut at = 44 + session_id(&hello).len();
    at += 2 + word(at);
    at += 1 + usize::from(hello[at]) + 2;
    let schemes = loop {
        let (kind, length) = (word(at), word(at + 2));
        if kind == 13 {
            break &hello[at + 6..at + 4 + length];
        }
        at += 4 + length;
    };
    assert!(schemes.len() >= 8, "{schemes:?}");
    for scheme in schemes.chunks(2) {
        // 4 and above: SHA-256, SHA-384, SHA-512, and the schemes of TLS 1.3. DSA is 2.
        assert!(scheme[0] >= 4 && (scheme[0] == 8 || scheme[1] != 2), "{scheme:?}");
    }
}

// Names.

#[test]
fn a_name_is_proved_as_it_was_asked_for() {
    let authority = Authority::new();
    let run = |proved: &[&str], asked: &str| {
        let client = Client::new(&client_options(&authority.roots())).unwrap();
        let mut client = client.session(asked).unwrap();
        let mut server = server(&authority.issue(proved));
        let (at_client, at_server) = handshake(&mut client, &mut server);
        at_client.is_ok().then(|| at_server.unwrap().server_name)
    };
    let sent = |name: &str| Some(Some(name.to_owned()));
    assert_eq!(run(&["server.test"], "server.test"), sent("server.test"));
    // Names are compared without their case.
    assert_eq!(run(&["server.test"], "SERVER.test").map(drop), Some(()));
    assert_eq!(run(&["*.server.test"], "a.server.test"), sent("a.server.test"));
    // A wildcard stands for one label, and for the first.
    assert_eq!(run(&["*.server.test"], "a.b.server.test"), None);
    assert_eq!(run(&["*.server.test"], "server.test"), None);
    assert_eq!(run(&["a*.server.test"], "ab.server.test"), None);
    assert_eq!(run(&["a.*.test"], "a.server.test"), None);
    assert_eq!(run(&["xserver.test", "server.test.x"], "server.test"), None);
    // An address is not sent, and no name proves it.
    assert_eq!(run(&["127.0.0.1"], "127.0.0.1"), Some(None));
    assert_eq!(run(&["*.0.0.1"], "127.0.0.1"), None);
    assert_eq!(run(&["127.0.0.1"], "::ffff:127.0.0.1"), None);
    assert_eq!(run(&["::ffff:127.0.0.1"], "127.0.0.1"), None);
    // The common name proves nothing. Each certificate of these tests has this one.
    assert_eq!(run(&[], "a-server"), None);
}

#[test]
fn revocation_without_a_list_is_refused() {
    let der = vec![Authority::new().0.der().to_vec()];
    assert!(Roots::from_der(&der, None, &[], Revocation::None).is_ok());
    for check in [Revocation::Leaf, Revocation::Chain] {
        let error = Roots::from_der(&der, None, &[], check).unwrap_err();
        assert_eq!(error, RootsError::NoList, "{check:?}");
    }
}
