//! Sessions against each other: what they agree on, and what they refuse.

mod common;

use std::sync::Arc;

use common::*;
use rcgen::{BasicConstraints, GeneralSubtree, IsCa, NameConstraints};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use sandsock_tls::{
    Algorithms, CertificateFault, Client, ClientAuth, ClientOptions, Failure, Identity,
    IdentityError, Plain, Roots, RootsError, Server, ServerOptions, Session, SetupError, Trust,
    Version, Versions,
};

fn only(version: Version) -> Versions {
    Versions { lowest: version, highest: version }
}

#[test]
fn both_versions_move_bytes_and_close() {
    let authority = Authority::new();
    let (roots, pem) = (authority.roots(), authority.issue(&[NAME]));
    for version in [Version::Tls12, Version::Tls13] {
        let options = ClientOptions { versions: only(version), ..client_options(&roots) };
        let mut client = Client::new(&options).unwrap().session(NAME).unwrap();
        let mut server = server(&pem);
        assert_eq!(client.write(b"too early"), Ok(0), "no plain byte moves before the handshake");
        let (at_client, at_server) = handshake(&mut client, &mut server);
        let (at_client, at_server) = (at_client.unwrap(), at_server.unwrap());
        assert_eq!((at_client.version, at_server.version), (version, version));
        assert_eq!(at_client.cipher, at_server.cipher);
        assert!(at_client.cipher.0.starts_with("TLS_") && !at_client.cipher.0.contains("TLS13"));
        assert_eq!(at_server.server_name.as_deref(), Some(NAME));
        assert_eq!(at_client.peer_chain.len(), 1);
        assert!(at_server.peer_chain.is_empty() && !at_client.is_resumed);

        assert_eq!(client.write(b"question"), Ok(8));
        pump(&mut client, &mut server);
        assert!(server.is_readable());
        assert_eq!(read(&mut server), b"question");
        assert_eq!(server.read(10), Ok(Plain::NotYet));
        assert_eq!(server.write(b"answer"), Ok(6));
        server.close();
        pump(&mut client, &mut server);
        assert!(client.has_peer_closed());
        assert_eq!(client.read(3), Ok(Plain::Bytes(b"ans".to_vec())));
        assert_eq!(client.read(30), Ok(Plain::Bytes(b"wer".to_vec())));
        assert_eq!(client.read(30), Ok(Plain::End));
        client.feed_end();
        assert_eq!(client.read(30), Ok(Plain::End));
        // The other direction is still open.
        assert_eq!(client.write(b"more"), Ok(4));
        pump(&mut client, &mut server);
        assert_eq!(read(&mut server), b"more");
    }
}

#[test]
fn keying_material_is_the_same_on_both_sides_and_bounded() {
    let authority = Authority::new();
    let (mut client, mut server) = (client(&authority.roots()), server(&authority.issue(&[NAME])));
    assert_eq!(client.keying_material(32, b"label", None), None);
    pump(&mut client, &mut server);
    let material = client.keying_material(32, b"label", Some(b"context")).unwrap();
    assert_eq!(server.keying_material(32, b"label", Some(b"context")).unwrap(), material);
    assert_ne!(server.keying_material(32, b"label", None).unwrap(), material);
    assert_eq!(client.keying_material(0, b"label", None), None);
    assert_eq!(client.keying_material(1 << 20, b"label", None), None);
    assert_eq!(client.keying_material(255 * 32, b"label", None).map(|all| all.len()), Some(8160));
}

#[test]
fn alpn_is_chosen_by_the_server_and_must_match() {
    let authority = Authority::new();
    let (roots, pem) = (authority.roots(), authority.issue(&[NAME]));
    let list = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
    let run = |offered: &[&str], taken: &[&str]| {
        let options = ClientOptions { alpn: list(offered), ..client_options(&roots) };
        let mut client = Client::new(&options).unwrap().session(NAME).unwrap();
        let options = ServerOptions { alpn: list(taken), ..server_options(&pem) };
        let mut server = Server::new(&options).unwrap().session().unwrap();
        handshake(&mut client, &mut server).0.map(|info| info.alpn)
    };
    assert_eq!(run(&["h2", "http/1.1"], &["http/1.1", "h2"]), Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(run(&["h2"], &[]), Ok(None));
    assert_eq!(
        run(&["h2"], &["http/1.1"]),
        Err(Some(Failure::Alert(120, "no_application_protocol".to_owned())))
    );
    let long = ClientOptions { alpn: vec![vec![b'a'; 256]], ..client_options(&roots) };
    assert_eq!(Client::new(&long).unwrap_err(), SetupError::Alpn);
    let many = ClientOptions { alpn: vec![vec![b'a']; 33], ..client_options(&roots) };
    assert_eq!(Client::new(&many).unwrap_err(), SetupError::Alpn);
}

#[test]
fn certificates_that_prove_nothing_are_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let roots = authority.roots();
    let refused = |pem: &Pem| match refused(&roots, pem) {
        Failure::Certificate(fault) => fault,
        failure => panic!("{failure:?}"),
    };
    assert_eq!(refused(&authority.issue_with(&[NAME], expired)), CertificateFault::Expired);
    assert_eq!(
        refused(&authority.issue_with(&[NAME], not_yet_valid)),
        CertificateFault::NotValidYet
    );
    assert_eq!(refused(&authority.issue(&["other.test"])), CertificateFault::WrongName);
    assert_eq!(refused(&authority.issue(&["*.server.test"])), CertificateFault::WrongName);
    assert_eq!(refused(&other.issue(&[NAME])), CertificateFault::UnknownIssuer);
    assert_eq!(refused(&self_signed(|_| {})), CertificateFault::SelfSigned);
    // An authority's certificate that is not one of the roots.
    let of_authority = authority.issue_with(&[NAME], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    assert_eq!(refused(&of_authority), CertificateFault::Authority);
    // A certificate for another purpose.
    let of_client = authority.issue_with(&[NAME], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(refused(&of_client), CertificateFault::WrongPurpose);
}

#[test]
fn name_constraints_of_an_authority_hold() {
    let constrained = Authority::with(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("other.test".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let failure = refused(&constrained.roots(), &constrained.issue(&[NAME]));
    assert_eq!(failure, Failure::Certificate(CertificateFault::NameConstraint));
}

#[test]
fn an_address_is_proved_by_a_certificate_for_it() {
    let authority = Authority::new();
    let options = client_options(&authority.roots());
    let run = |names: &[&str], asked: &str| {
        let mut client = Client::new(&options).unwrap().session(asked).unwrap();
        handshake(&mut client, &mut server(&authority.issue(names))).0.is_ok()
    };
    assert!(run(&["127.0.0.1"], "127.0.0.1"));
    assert!(run(&["::1"], "::1"));
    assert!(!run(&["127.0.0.2"], "127.0.0.1"));
    assert!(!run(&[NAME], "127.0.0.1"));
    let client = Client::new(&options).unwrap();
    for name in ["", "a b", "server.test:443", "-", "[::1]", "server..test"] {
        assert!(matches!(client.session(name), Err(SetupError::Name(_))), "{name:?}");
    }
}

#[test]
fn a_root_itself_is_a_servers_certificate() {
    let accepted = |pem: &Pem| {
        let (mut client, mut server) = (client(&roots_of(&pem.chain)), server(pem));
        handshake(&mut client, &mut server).0.map(drop)
    };
    let fault = |end: Result<(), Option<Failure>>| match end {
        Err(Some(Failure::Certificate(fault))) => fault,
        end => panic!("{end:?}"),
    };
    let as_authority = |params: &mut rcgen::CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    assert_eq!(accepted(&self_signed(|_| {})), Ok(()));
    assert_eq!(accepted(&self_signed(as_authority)), Ok(()));
    // Its issuer is unknown.
    assert_eq!(accepted(&Authority::new().issue(&[NAME])), Ok(()));
    // Its time and its name count all the same.
    for change in [|_: &mut _| {}, as_authority as fn(&mut _)] {
        let with = |more: fn(&mut rcgen::CertificateParams)| {
            fault(accepted(&self_signed(|params| {
                change(params);
                more(params);
            })))
        };
        assert_eq!(with(expired), CertificateFault::Expired);
        assert_eq!(with(not_yet_valid), CertificateFault::NotValidYet);
        assert_eq!(with(|params| params.subject_alt_names.clear()), CertificateFault::WrongName);
    }
    let issued = Authority::new().issue_with(&["other.test"], |_| {});
    assert_eq!(fault(accepted(&issued)), CertificateFault::WrongName);
}

#[test]
fn an_insecure_client_takes_any_certificate() {
    let options =
        ClientOptions { trust: Trust::Insecure, ..client_options(&Authority::new().roots()) };
    for version in [Version::Tls12, Version::Tls13] {
        let options = ClientOptions { versions: only(version), ..options.clone() };
        let mut client = Client::new(&options).unwrap().session(NAME).unwrap();
        let mut server = server(&self_signed(expired));
        assert!(handshake(&mut client, &mut server).0.is_ok());
    }
}

#[test]
fn clients_show_their_identity_if_they_are_asked() {
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let pem = authority.issue(&[NAME]);
    let run = |auth: ClientAuth, identity: Option<&Pem>| {
        let options = ServerOptions { client_auth: auth, ..server_options(&pem) };
        let mut server = Server::new(&options).unwrap().session().unwrap();
        let identity = identity.map(Pem::identity);
        let options = ClientOptions { identity, ..client_options(&authority.roots()) };
        let mut client = Client::new(&options).unwrap().session(NAME).unwrap();
        handshake(&mut client, &mut server).1.map(|info| info.peer_chain.len())
    };
    let good = of_clients.issue(&["a client"]);
    let bad = authority.issue(&["a client"]);
    let roots = || of_clients.roots();
    assert_eq!(run(ClientAuth::None, Some(&good)), Ok(0));
    assert_eq!(run(ClientAuth::Optional(roots()), None), Ok(0));
    assert_eq!(run(ClientAuth::Optional(roots()), Some(&good)), Ok(1));
    assert_eq!(run(ClientAuth::Required(roots()), Some(&good)), Ok(1));
    assert_eq!(
        run(ClientAuth::Required(roots()), None),
        Err(Some(Failure::Certificate(CertificateFault::Missing)))
    );
    assert_eq!(
        run(ClientAuth::Optional(roots()), Some(&bad)),
        Err(Some(Failure::Certificate(CertificateFault::UnknownIssuer)))
    );
}

#[test]
fn tickets_stay_with_one_client_and_one_server() {
    let authority = Authority::new();
    let (roots, pem) = (authority.roots(), authority.issue(&[NAME]));
    for version in [Version::Tls12, Version::Tls13] {
        let options = ClientOptions { versions: only(version), ..client_options(&roots) };
        let clients = [Client::new(&options).unwrap(), Client::new(&options).unwrap()];
        let servers = [
            Server::new(&server_options(&pem)).unwrap(),
            Server::new(&server_options(&pem)).unwrap(),
        ];
        let resumed = |client: &Client, server: &Server| {
            let (mut client, mut server) =
                (client.session(NAME).unwrap(), server.session().unwrap());
            let info = handshake(&mut client, &mut server).0.unwrap();
            // The peer's certificate is known all the same.
            assert_eq!(info.peer_chain.len(), 1);
            info.is_resumed
        };
        assert!(!resumed(&clients[0], &servers[0]));
        assert!(resumed(&clients[0], &servers[0]));
        assert!(!resumed(&clients[1], &servers[0]), "another client has the ticket");
        assert!(!resumed(&clients[0], &servers[1]), "another server takes the ticket");
    }
}

#[test]
fn a_cut_is_no_end() {
    let authority = Authority::new();
    let (roots, pem) = (authority.roots(), authority.issue(&[NAME]));
    let (mut one, mut other) = (client(&roots), server(&pem));
    pump(&mut one, &mut other);
    other.write(b"half").unwrap();
    pump(&mut one, &mut other);
    one.feed_end();
    assert_eq!(one.read(100), Ok(Plain::Bytes(b"half".to_vec())));
    assert_eq!(one.read(100), Err(Failure::Truncated));
    assert_eq!(one.failure(), Some(&Failure::Truncated));
    // Within a record.
    let (mut one, mut other) = (client(&roots), server(&pem));
    pump(&mut one, &mut other);
    other.write(&[1; 1000]).unwrap();
    one.feed(&other.drain(500)).unwrap();
    one.feed_end();
    assert_eq!(one.read(100), Err(Failure::Truncated));
    // Within the handshake, after each number of bytes.
    let mut other = server(&pem);
    let hello = client(&roots).drain(usize::MAX);
    other.feed(&hello).unwrap();
    let answer = other.drain(usize::MAX);
    for length in [0, 1, 5, 100, answer.len() - 1] {
        let mut one = client(&roots);
        one.drain(usize::MAX);
        // The answer is to another hello, so it may fail earlier.
        let _ = one.feed(&answer[..length]);
        one.feed_end();
        assert!(one.failure().is_some() && one.info().is_none(), "{length}");
    }
}

#[test]
fn garbage_and_oversized_records_are_refused() {
    let roots = Authority::new().roots();
    let pem = Authority::new().issue(&[NAME]);
    let http = b"HTTP/1.1 400 Bad Request\r\nServer: a server that speaks no TLS\r\n\r\n";
    let mut oversized = vec![22, 3, 3, 0xff, 0xff];
    oversized.resize(100_000, 0);
    let mut empty = Vec::new();
    (0..1000).for_each(|_| empty.extend([22, 3, 3, 0, 0]));
    // TLS 1.1: a ServerHello with this version.
    let mut old = vec![22, 3, 2, 0, 44, 2, 0, 0, 40, 3, 2];
    old.extend([7; 32]);
    old.extend([0, 0xc0, 0x13, 0, 0, 0]);
    for bytes in [&http[..], &oversized, &[0; 100], &[0xff; 100], &empty, &old] {
        for mut session in [client(&roots), server(&pem)] {
            session.drain(usize::MAX);
            let failed = session.feed(bytes).is_err();
            assert!(failed || bytes == &empty[..], "{:?}", &bytes[..20]);
            session.feed_end();
            assert!(session.failure().is_some());
            assert_eq!(session.read(10), Err(session.failure().unwrap().clone()));
            assert_eq!(session.feed(bytes), Err(session.failure().unwrap().clone()));
        }
    }
}

#[test]
fn tls_1_1_is_refused_by_a_server() {
    let pem = Authority::new().issue(&[NAME]);
    // A ClientHello of TLS 1.1 with one suite and the extension signature_algorithms.
    let mut hello = vec![22, 3, 1, 0, 55, 1, 0, 0, 51, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 1]);
    let mut server = server(&pem);
    let failure = server.feed(&hello).unwrap_err();
    assert!(matches!(failure, Failure::Incompatible(_)), "{failure:?}");
    // RFC 5246: alert 70 is protocol_version, and 2 is fatal.
    let alert = server.drain(100);
    assert_eq!((alert[0], &alert[5..]), (21, &[2, 70][..]));
    assert_eq!(alert[3..5], [0, 2]);
}

#[test]
fn changed_bytes_are_refused() {
    let authority = Authority::new();
    let (mut client, mut server) = (client(&authority.roots()), server(&authority.issue(&[NAME])));
    pump(&mut client, &mut server);
    client.write(b"first").unwrap();
    let first = client.drain(usize::MAX);
    client.write(b"second").unwrap();
    let mut second = client.drain(usize::MAX);
    server.feed(&first).unwrap();
    assert_eq!(read(&mut server), b"first");
    *second.last_mut().unwrap() ^= 1;
    assert!(matches!(server.feed(&second), Err(Failure::Protocol(_))));
    // bad_record_mac
    pump(&mut client, &mut server);
    assert_eq!(client.failure(), Some(&Failure::Alert(20, "bad_record_mac".to_owned())));
}

#[test]
fn a_replayed_record_is_refused() {
    let authority = Authority::new();
    let (mut client, mut server) = (client(&authority.roots()), server(&authority.issue(&[NAME])));
    pump(&mut client, &mut server);
    client.write(b"once").unwrap();
    let record = client.drain(usize::MAX);
    server.feed(&record).unwrap();
    assert_eq!(read(&mut server), b"once");
    assert!(server.feed(&record).is_err());
}

#[test]
fn buffers_are_bounded_in_both_directions() {
    let authority = Authority::new();
    let (mut one, mut other) = (client(&authority.roots()), server(&authority.issue(&[NAME])));
    pump(&mut one, &mut other);
    // Nobody drains.
    let big = vec![7; 1 << 20];
    let written = one.write(&big).unwrap();
    assert!((1..=64 << 10).contains(&written), "{written}");
    assert_eq!(one.write(&big), Ok(0));
    // Nobody reads.
    let (mut sent, mut taken) = (0, 0);
    for _ in 0..100 {
        one.write(&big).unwrap();
        let bytes = one.drain(usize::MAX);
        sent += bytes.len();
        taken += other.feed(&bytes).unwrap();
        if !other.wants_bytes() {
            break;
        }
    }
    assert!(taken <= 40 << 10, "{taken} of {sent}");
    assert_eq!(other.feed(&[23; 100]), Ok(0));
    assert!(read(&mut other).len() <= 40 << 10);
}

#[test]
fn a_drain_gives_no_more_than_asked_for() {
    let mut session = client(&Authority::new().roots());
    let mut bytes = Vec::new();
    while session.has_bytes() {
        let part = session.drain(7);
        assert!((1..=7).contains(&part.len()));
        bytes.extend(part);
    }
    assert_eq!(bytes[..3], [22, 3, 1]);
    assert!(session.drain(7).is_empty());
}

#[test]
fn identities_have_clear_errors() {
    let (pem, other) = (self_signed(|_| {}), self_signed(|_| {}));
    let identity =
        |chain: &str, key: &str| Identity::from_pem(chain.as_bytes(), key.as_bytes()).map(drop);
    assert_eq!(identity(&pem.chain, &pem.key), Ok(()));
    let both = format!("{}{}", pem.key, pem.chain);
    assert_eq!(identity(&both, &both), Ok(()));
    assert_eq!(identity("", &pem.key), Err(IdentityError::NoCertificate));
    assert_eq!(identity(&pem.key, &pem.key), Err(IdentityError::NoCertificate));
    assert_eq!(identity(&pem.chain, &pem.chain), Err(IdentityError::NoKey));
    assert_eq!(identity(&pem.chain, &other.key), Err(IdentityError::Mismatch));
    let encrypted = pem.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(identity(&pem.chain, &encrypted), Err(IdentityError::EncryptedKey));
    let cut: String = pem.key.lines().filter(|line| !line.contains("END")).collect();
    assert!(matches!(identity(&pem.chain, &cut), Err(IdentityError::InvalidKey(_))));
    let wrong = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(identity(&pem.chain, wrong), Err(IdentityError::InvalidKey(_))));
    let shown = format!("{:?}", Identity::from_pem(both.as_bytes(), both.as_bytes()).unwrap());
    assert_eq!(shown, "Identity { certificates: 1, .. }");
}

#[test]
fn roots_are_read_from_files_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Authority::new(), Authority::new());
    let file = folder.path().join("one.pem");
    std::fs::write(&file, one.0.pem()).unwrap();
    assert_eq!(Roots::from_path(&file).unwrap().count(), 1);
    std::fs::write(folder.path().join("other.pem"), other.0.pem()).unwrap();
    std::fs::write(folder.path().join("README"), "no certificate").unwrap();
    std::os::unix::fs::symlink("one.pem", folder.path().join("1a2b3c4d.0")).unwrap();
    let roots = Arc::new(Roots::from_path(folder.path()).unwrap());
    assert_eq!(roots.count(), 2);
    let (mut client, mut server) = (client(&roots), server(&other.issue(&[NAME])));
    assert!(handshake(&mut client, &mut server).0.is_ok());

    let readme = folder.path().join("README");
    assert!(matches!(Roots::from_path(&readme), Err(RootsError::Empty(_))));
    let none = folder.path().join("none");
    let error = Roots::from_path(&none).unwrap_err().to_string();
    assert!(error.contains("/none can't be read: No such file"), "{error}");
    std::fs::create_dir(&none).unwrap();
    assert!(matches!(Roots::from_path(&none), Err(RootsError::Empty(_))));
    let broken = one.0.pem().replace("MII", "!!!");
    assert!(matches!(Roots::from_pem(broken.as_bytes(), "x"), Err(RootsError::Invalid(_, 1, _))));
}

#[test]
fn the_lowest_version_is_not_above_the_highest() {
    let versions = Versions { lowest: Version::Tls13, highest: Version::Tls12 };
    let options = ClientOptions { versions, ..client_options(&Authority::new().roots()) };
    assert_eq!(Client::new(&options).unwrap_err(), SetupError::NoVersion);
}

#[test]
fn algorithms_limit_what_is_agreed_on() {
    /// IANA's numbers.
    const SECP256R1: u16 = 23;
    const SECP384R1: u16 = 24;
    const UNKNOWN: u16 = 0x0a0a;
    let authority = Authority::new();
    let (roots, pem) = (authority.roots(), authority.issue(&[NAME]));
    let of = |groups: &[u16]| Algorithms { groups: groups.to_vec(), ..Algorithms::default() };
    for version in [Version::Tls12, Version::Tls13] {
        let options = ClientOptions { versions: only(version), ..client_options(&roots) };
        for (ours, theirs, fits) in [
            (vec![], vec![SECP384R1], true),
            (vec![UNKNOWN, SECP384R1], vec![], true),
            (vec![SECP256R1], vec![SECP384R1], false),
        ] {
            let client = Client::with_algorithms(&options, &of(&ours)).unwrap();
            let server = Server::with_algorithms(&server_options(&pem), &of(&theirs)).unwrap();
            let (mut client, mut server) =
                (client.session(NAME).unwrap(), server.session().unwrap());
            let (_, at_server) = handshake(&mut client, &mut server);
            match fits {
                true => drop(at_server.unwrap()),
                false => assert!(matches!(at_server, Err(Some(Failure::Incompatible(_))))),
            }
        }
    }
    let none = Client::with_algorithms(&client_options(&roots), &of(&[UNKNOWN]));
    assert_eq!(none.unwrap_err(), SetupError::NoCipher);
}

#[test]
fn a_hello_has_the_signature_schemes() {
    /// RFC 8446, section 4.2.3.
    const ECDSA_SECP256R1_SHA256: u16 = 0x0403;
    let (mut client, mut server) = (client(&Authority::new().roots()), Session::accept());
    pump(&mut client, &mut server);
    let hello = server.hello().expect("the hello has come");
    assert!(hello.signature_schemes.contains(&ECDSA_SECP256R1_SHA256), "{hello:?}");
}

#[test]
fn a_certificate_of_version_1_is_shown_and_is_refused_by_clients() {
    let (pem, other) = (self_signed(|_| {}), self_signed(|_| {}));
    let mut der = pem.identity().chain().next().unwrap().to_vec();
    // RFC 5280, section 4.1: the version is tagged, and is 2 for version 3.
    let version = der.windows(5).position(|part| part == [0xa0, 3, 2, 1, 2]).unwrap();
    der[version + 4] = 0;
    let identity = |key: &str| {
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        Identity::from_der(&[der.clone()], key.secret_der())
    };
    assert_eq!(identity(&other.key).unwrap_err(), IdentityError::Mismatch);
    let options =
        ServerOptions { identity: Arc::new(identity(&pem.key).unwrap()), ..server_options(&pem) };
    let mut server = Server::new(&options).unwrap().session().unwrap();
    let (at_client, _) = handshake(&mut client(&Authority::new().roots()), &mut server);
    assert!(matches!(at_client, Err(Some(Failure::Certificate(_)))), "{at_client:?}");
}
