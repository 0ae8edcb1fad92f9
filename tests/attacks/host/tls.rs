//! Promise: with a grant for TLS alone, a guest tells nothing to a server that does not prove its name,
//! and it never has an identity's key.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    NameConstraints, date_time_ymd,
};
use sandsock_host::OpenActs;
use sandsock_host::tls::{Roots, TlsSettings};
use sandsock_tests::{
    Ended, Guest, Way, both_ways, command, programs, root, run_together, skip, target,
};
use sandsock_tls::{Server, Session};

use crate::tls::{Authority, NAME, Peer, Pem, client, self_signed, server};

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// A server of one connection. It returns the plain bytes that it was told.
struct Served(u16, JoinHandle<Vec<u8>>);

impl Served {
    /// One that does this with the connection.
    fn by(serve: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static) -> Self {
        let (listener, port) = listener();
        Self(port, std::thread::spawn(move || serve(listener.accept().expect("accepts").0)))
    }

    /// One that speaks TLS and answers with `half`. If it is polite, it announces the end.
    fn tls(pem: &Pem, is_polite: bool) -> Self {
        let session = server(pem).session().expect("a session");
        Self::by(move |stream| {
            let mut peer = Peer { session, stream };
            peer.drive(Session::is_readable);
            let told = match peer.session.read(1000) {
                Ok(sandsock_tls::Plain::Bytes(bytes)) => bytes,
                _ => Vec::new(),
            };
            let _ = peer.session.write(b"half");
            if is_polite {
                peer.session.close();
            }
            peer.drive(|_| true);
            let _ = peer.stream.shutdown(Shutdown::Write);
            // The guest's end, so that no reset overtakes the answer.
            let _ = peer.stream.read_to_end(&mut Vec::new());
            told
        })
    }

    /// One that reads the ClientHello, answers with these bytes, and ends.
    fn raw(bytes: Vec<u8>) -> Self {
        Self::by(move |mut stream| {
            let mut head = [0; 3];
            stream.read_exact(&mut head).expect("a ClientHello");
            assert_eq!(head, [22, 3, 1], "the first record is a handshake's");
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let mut told = Vec::new();
            let _ = stream.read_to_end(&mut told);
            match told.windows(10).any(|part| part == b"the secret") {
                true => told,
                false => Vec::new(),
            }
        })
    }

    /// Puts a man in the middle before it. He changes the bytes of both sides, and gets whether they
    /// are the client's. If he returns false, he ends both connections.
    fn through(self, change: impl FnMut(bool, &mut Vec<u8>) -> bool + Send + 'static) -> Self {
        let (listener, port) = listener();
        let upstream = SocketAddr::from(([127, 0, 0, 1], self.0));
        std::thread::spawn(move || {
            let client = listener.accept().expect("accepts").0;
            let server = TcpStream::connect(upstream).expect("connects");
            let change = Arc::new(Mutex::new(change));
            let copy = |of_client: bool| {
                let (from, to) = if of_client { (&client, &server) } else { (&server, &client) };
                let (mut from, mut to) =
                    (from.try_clone().expect("a copy"), to.try_clone().expect("a copy"));
                let change = Arc::clone(&change);
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(count @ 1..) = from.read(&mut buffer) {
                        let mut bytes = buffer[..count].to_vec();
                        let go_on = change.lock().expect("no panic")(of_client, &mut bytes);
                        if to.write_all(&bytes).is_err() || !go_on {
                            break;
                        }
                    }
                    let _ = to.shutdown(Shutdown::Write);
                    let _ = from.shutdown(Shutdown::Read);
                })
            };
            let threads = [copy(true), copy(false)];
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        });
        Self(port, self.1)
    }

    /// Lets the guest connect. Returns what it printed, and what the server was told.
    fn meet(self, way: Way, settings: TlsSettings, twin: bool) -> (Vec<String>, Vec<u8>) {
        self.meet_by(way, settings, twin, ("", &[]))
    }

    /// As [`meet`](Self::meet), with the terms of the rule, and the protocols that the guest offers.
    fn meet_by(
        self,
        way: Way,
        settings: TlsSettings,
        twin: bool,
        (terms, protocols): (&str, &[&str]),
    ) -> (Vec<String>, Vec<u8>) {
        let guest = Guest::new(programs::attack_tls_peers_refused, way)
            .allow(format!("tls-connect={NAME}:{}{terms}", self.0))
            .resolve(format!("{NAME}=127.0.0.1"))
            .tls(settings);
        let guest = if twin { guest.arg("twin") } else { guest };
        let guest = guest.arg(NAME).arg(self.0);
        let guest = protocols.iter().fold(guest, |guest, protocol| guest.arg(protocol));
        let printed = guest.run().success();
        let told = self.1.join().expect("the server ends");
        (printed.lines().map(str::to_owned).collect(), told)
    }
}

/// What a change of a certificate is.
type Change = fn(&mut CertificateParams);

/// The certificates that prove nothing: what is wrong, and the reason that the guest gets.
const CHANGES: [(&str, Change, &str); 7] = [
    ("expired", |params| params.not_after = date_time_ymd(2021, 1, 1), "it has expired"),
    (
        "not yet valid",
        |params| params.not_before = date_time_ymd(4000, 1, 1),
        "it is not valid yet",
    ),
    (
        "another name",
        |params| {
            params.subject_alt_names =
                vec![rcgen::SanType::DnsName("other.test".try_into().expect("a name"))];
        },
        "it is for another name",
    ),
    ("no name", |params| params.subject_alt_names.clear(), "it is for another name"),
    (
        "a wildcard for names below",
        |params| {
            params.subject_alt_names =
                vec![rcgen::SanType::DnsName("*.server.test".try_into().expect("a name"))];
        },
        "it is for another name",
    ),
    (
        "an authority's",
        |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        "it is an authority's",
    ),
    (
        "a client's",
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        "certificate",
    ),
];

#[test]
pub(crate) fn attack_tls_peers_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.issue(&[NAME], false);
    let constrained = Authority::with(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("other.test".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let itself = self_signed(NAME);
    both_ways(|way| {
        // The twin's server.
        let (printed, told) = Served::tls(&good, true).meet(way, authority.settings(), true);
        assert_eq!(printed, ["open", "half: the end"]);
        assert_eq!(told, b"the secret");

        let refused = |what: &str, served: Served, settings: TlsSettings, reason: &str| {
            let (printed, told) = served.meet(way, settings, false);
            let [line] = &printed[..] else { panic!("{what}: {printed:?}") };
            assert!(line.starts_with("refused: ") && line.contains(reason), "{what}: {line}");
            assert_eq!(told, b"", "{what}");
        };
        for (what, change, reason) in CHANGES {
            let pem = authority.issue_with(&[NAME], change);
            refused(what, Served::tls(&pem, true), authority.settings(), reason);
        }
        let unknown = "no trusted root signed it";
        let served = Served::tls(&other.issue(&[NAME], false), true);
        refused("an unknown issuer", served, authority.settings(), unknown);
        let served = Served::tls(&itself, true);
        refused("signed by itself", served, authority.settings(), "it has signed itself");
        let served = Served::tls(&constrained.issue(&[NAME], false), true);
        refused(
            "name constraints",
            served,
            constrained.settings(),
            "a name constraint of an authority",
        );

        // Bytes that are no TLS, old versions, long records.
        let protocol = |what: &str, bytes: &[u8]| {
            refused(what, Served::raw(bytes.to_vec()), authority.settings(), "");
        };
        protocol("plain text", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        protocol("an end at once", b"");
        for version in 0..=2 {
            let mut hello = vec![22, 3, version, 0, 44, 2, 0, 0, 40, 3, version];
            hello.extend([7; 32]);
            hello.extend([0, 0xc0, 0x2b, 0, 0, 0]);
            protocol("an old version", &hello);
        }
        protocol("a long record", &[&[22, 3, 3, 0xff, 0xff][..], &[0; 70_000]].concat());
        protocol("a close_notify", &[21, 3, 3, 0, 2, 1, 0]);

        // A man in the middle cuts the handshake, or rewrites the version.
        for at in [1, 50, 120, 400] {
            let mut left = at;
            let served = Served::tls(&good, true).through(move |of_client, bytes| {
                if !of_client {
                    bytes.truncate(left);
                    left -= bytes.len();
                }
                left > 0
            });
            let cut = "the connection ended without close_notify";
            refused("a cut handshake", served, authority.settings(), cut);
        }
        for hides in [false, true] {
            let served = Served::tls(&good, true).through(move |of_client, bytes| {
                let find = |part: &[u8]| bytes.windows(part.len()).position(|here| here == part);
                // The extension supported_versions, and the end of the server's random.
                match (find(&[0, 43, 0, 5, 4, 3, 4, 3, 3]), find(b"DOWNGRD\x01")) {
                    (Some(at), _) if of_client => bytes[at + 6] = 3,
                    (_, Some(at)) if hides => bytes[at] = 0,
                    _ => {}
                }
                true
            });
            let reason = if hides { "ignature" } else { "AttemptedDowngradeToTls12" };
            refused("a downgrade", served, authority.settings(), reason);
        }

        // The protocol that the rule asks for. The server speaks `echo`, and ignores what it does
        // not know if it is not asked for a protocol.
        for (protocols, twin) in [(&["echo"][..], true), (&[], false), (&["other"], false)] {
            let terms = (";alpn=echo", protocols);
            let served = Served::tls(&good, true);
            let (printed, told) = served.meet_by(way, authority.settings(), twin, terms);
            assert_eq!(printed[0] == "open", twin, "{protocols:?}: {printed:?}");
            assert_eq!(told, if twin { &b"the secret"[..] } else { b"" }, "{protocols:?}");
        }

        // A cut after the handshake is no end.
        let (printed, told) = Served::tls(&good, false).meet(way, authority.settings(), false);
        assert_eq!(printed, ["open", "half: the connection ended without close_notify"]);
        assert_eq!(told, b"the secret");
    });
}

/// Runs OpenSSL's command in a folder.
fn openssl(folder: &Path, args: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(args.split(' ')).current_dir(folder).stdin(Stdio::null());
    let Ok(output) = command.output() else { return false };
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn attack_tls_weak_certificates_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let text = |name: &str| std::fs::read_to_string(at.join(name)).expect("it was written");
    std::fs::write(at.join("names.ext"), format!("subjectAltName=DNS:{NAME}")).expect("writes");
    for (bits, digest, is_weak) in
        [(2048, "sha256", false), (2048, "sha1", true), (1024, "sha256", true)]
    {
        let root = "-x509 -nodes -sha256 -subj /CN=weak -days 9 -keyout root.key -out root.pem";
        if !openssl(at, &format!("req -newkey rsa:{bits} {root}")) {
            return skip("attack_tls_weak_certificates", "the command openssl is missing");
        }
        openssl(
            at,
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=leaf -keyout leaf.key -out leaf.csr",
        );
        openssl(
            at,
            &format!(
                "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 -{digest} -extfile names.ext -out leaf.pem"
            ),
        );
        let pem = Pem(text("leaf.pem"), text("leaf.key"));
        both_ways(|way| {
            let mut settings = TlsSettings::default();
            settings.roots(Roots::from_pem(text("root.pem").as_bytes(), "weak").expect("roots"));
            let (printed, told) = Served::tls(&pem, true).meet(way, settings, !is_weak);
            if is_weak {
                assert!(printed[0].starts_with("refused: the peer's certificate"), "{printed:?}");
                assert_eq!(told, b"");
            } else {
                assert_eq!((&*printed[0], &*told), ("open", &b"the secret"[..]));
            }
        });
    }
}

#[test]
pub(crate) fn attack_tls_tickets_apart() {
    let authority = Authority::new();
    let pem = authority.issue(&[NAME], false);
    both_ways(|way| {
        // Two instances of one policy are clients of one server.
        let server = server(&pem);
        let (listener, port) = listener();
        let thread = std::thread::spawn(move || {
            for _ in 0..4 {
                let stream = listener.accept().expect("accepts").0;
                let session = server.session().expect("a session");
                Peer { session, stream }.echo();
            }
        });
        let policy = Guest::new(programs::attack_tls_tickets_apart, way)
            .allow(format!("tls-connect={NAME}:{port}"))
            .resolve(format!("{NAME}=127.0.0.1"))
            .policy();
        let settings = authority.settings();
        for _ in 0..2 {
            let printed = Guest::new(programs::attack_tls_tickets_apart, way)
                .under(&policy)
                .tls(settings.clone())
                .arg("client")
                .arg(NAME)
                .arg(port)
                .run()
                .success();
            assert_eq!(printed, "false\ntrue\n", "only the own ticket is taken");
        }
        thread.join().expect("the server ends");

        // Two instances that show one identity are servers of one client.
        let client = client(&authority);
        let mut settings = authority.settings();
        settings.identity("web", pem.identity());
        for _ in 0..2 {
            let guest = Guest::new(programs::attack_tls_tickets_apart, way)
                .allow("tcp-listen=127.0.0.1:0")
                .allow("tls-identity=web")
                .tls(settings.clone())
                .arg("server")
                .start();
            let port: u16 = guest.lines(1)[0].parse().expect("a port");
            for _ in 0..2 {
                let stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
                let session = client.session(NAME).expect("a session");
                let mut peer = Peer { session, stream };
                // The tickets come before the byte.
                peer.drive(Session::is_readable);
                peer.session.close();
                peer.drive(|session| session.has_peer_closed());
            }
            let printed = guest.join().success();
            let resumed: Vec<&str> = printed.lines().skip(1).collect();
            assert_eq!(resumed, ["false", "true"], "only the own ticket is taken");
        }
    });
}

/// A ClientHello carries bytes that the guest chose, so a name opens no private space for TLS either.
#[test]
fn attack_tls_private_denied() {
    let authority = Authority::new();
    let pem = authority.issue(&["localhost"], false);
    both_ways(|way| {
        for (verb, twin) in [
            ("tls-connect", false),
            ("tls-insecure", false),
            ("tls-upgrade", false),
            ("tls-connect", true),
        ] {
            let port = Served::tls(&pem, true).0;
            let guest = Guest::new(programs::attack_tls_peers_refused, way)
                .allow(format!("{verb}=localhost:{port}"))
                .tls(authority.settings());
            let guest = if twin { guest.resolve("localhost=127.0.0.1") } else { guest };
            let ended = guest.arg("localhost").arg(port).run();
            if twin {
                assert!(ended.success().starts_with("open"));
            } else {
                assert!(matches!(ended.result, Ok(Err(()))), "{ended:?}");
                assert!(ended.stderr.contains("which is private"), "{ended:?}");
            }
        }
    });
}

/// Serves any number of connections, each until it ends, as long as the test's process lives.
fn echoing(server: &Server) -> u16 {
    let ((listener, port), server) = (listener(), server.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, session) = (stream.expect("accepts"), server.session());
            let mut peer = Peer { session: session.expect("a session"), stream };
            std::thread::spawn(move || peer.echo());
        }
    });
    port
}

#[test]
pub(crate) fn attack_tls_ticket_unverified_denied() {
    let authority = Authority::new();
    both_ways(|way| {
        for twin in [false, true] {
            // It gives tickets on one port, and takes them on the other.
            let server = server(&self_signed(NAME));
            let (any, only) = (echoing(&server), echoing(&server));
            let verb = if twin { "tls-insecure" } else { "tls-connect" };
            let guest = Guest::new(programs::attack_tls_ticket_unverified_denied, way)
                .allow(format!("tcp-connect={NAME}:{any}"))
                .allow(format!("{verb}={NAME}:{only}"))
                .resolve(format!("{NAME}=127.0.0.1"))
                .tls(authority.settings());
            let guest = if twin { guest.arg("twin") } else { guest };
            guest.arg(NAME).arg(any).arg(only).run().success();
        }
    });
}

#[test]
pub(crate) fn attack_tls_replaced_denied() {
    let authority = Authority::new();
    let server = server(&authority.issue(&[NAME], false));
    both_ways(|way| {
        // Either the server is granted, or any bytes are, with a rule that denies the name.
        for twin in [false, true] {
            for verb in ["tls-connect", "tcp-connect"] {
                let port = echoing(&server);
                let policy = |named: Option<&str>| {
                    let guest = Guest::new(programs::attack_tls_replaced_denied, way)
                        .allow(format!("{verb}=other.test:{port}"))
                        .resolve(format!("{NAME}=127.0.0.1"))
                        .resolve("other.test=127.0.0.1");
                    match (named, verb) {
                        (Some(name), _) => guest.allow(format!("{verb}={name}:{port}")),
                        (None, "tls-connect") => guest,
                        (None, _) => guest.deny(format!("tls-connect={NAME}:{port}")),
                    }
                };
                let guest = policy(Some(NAME)).tls(authority.settings());
                let guest = if twin { guest.arg("twin") } else { guest };
                let guest = guest.arg(NAME).arg(port).arg("other.test").start();
                assert_eq!(guest.lines(1), ["open"]);
                let later = policy(if twin { Some(NAME) } else { None }).policy();
                let closed = guest.policy().replace(&later, OpenActs::Close);
                if twin {
                    assert_eq!(closed, [""; 0]);
                    std::thread::sleep(Duration::from_millis(100));
                    guest.interrupt();
                    guest.join();
                } else {
                    let [reason] = &closed[..] else { panic!("{verb}: {closed:?}") };
                    assert!(reason.contains(NAME), "{reason}");
                    let printed = guest.join().success();
                    assert!(printed.contains("the policy was replaced"), "{printed}");
                }
            }
        }
    });
}

/// A server of TLS that floods its client. It returns when the client has gone.
fn flood(pem: &Pem, tickets: usize) -> u16 {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_slice_iter(pem.0.as_bytes());
    let chain = chain.collect::<Result<_, _>>().expect("a chain");
    let key = PrivateKeyDer::from_pem_slice(pem.1.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a key");
    config.send_tls13_tickets = tickets;
    let (listener, port) = listener();
    std::thread::spawn(move || {
        let mut stream = listener.accept().expect("accepts").0;
        let mut server = rustls::ServerConnection::new(Arc::new(config)).expect("a session");
        if tickets > 0 {
            // All of them follow the handshake, and then no byte.
            while server.complete_io(&mut stream).is_ok_and(|(read, _)| read > 0) {}
            return;
        }
        while server.is_handshaking() {
            if server.complete_io(&mut stream).is_err() {
                return;
            }
        }
        // Keys are allowed if a byte is between them.
        while server.refresh_traffic_keys().is_ok()
            && server.writer().write_all(b"x").is_ok()
            && server.write_tls(&mut stream).is_ok()
        {}
    });
    port
}

#[test]
pub(crate) fn attack_tls_flood_bounded() {
    let authority = Authority::new();
    let pem = authority.issue(&[NAME], false);
    let honest = echoing(&server(&pem));
    // Tickets, and keys.
    for tickets in [100_000, 0] {
        let guest = |port: u16, mode: &str| {
            Guest::new(programs::attack_tls_flood_bounded, Way::Fiber)
                .allow(format!("tls-connect={NAME}:{port}"))
                .resolve(format!("{NAME}=127.0.0.1"))
                .tls(authority.settings())
                .arg(mode)
                .arg(NAME)
                .arg(port)
        };
        let mut guests = vec![guest(honest, "twin")];
        guests.extend((0..4).map(|_| guest(flood(&pem, tickets), "flooded")));
        let ended = run_together(guests).join().expect("the host must not panic");
        let printed: Vec<String> = ended.into_iter().map(Ended::success).collect();
        let longest: u64 = printed[0].trim().parse().expect("milliseconds");
        // Tickets bring no plain byte, so those receives have to give way. A receive that returns a
        // byte each time is as one from any busy peer, and shares the thread by the engine's ticks,
        // which this engine does not have.
        let is_shared = tickets == 0 || longest < 400;
        assert!(is_shared, "{tickets} tickets: another guest waited for {longest} ms");
        // On a thread of its own, the guest gives up in time too.
        guest(flood(&pem, tickets), "flooded").run().success();
    }
}

#[test]
pub(crate) fn attack_tls_bytes_denied() {
    let authority = Authority::new();
    let pem = authority.issue(&[NAME], false);
    both_ways(|way| {
        for twin in [false, true] {
            let server = server(&pem);
            let (listener, port) = listener();
            let heads = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&heads);
            // It serves until the test's process ends.
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let (mut stream, seen) = (stream.expect("accepts"), Arc::clone(&seen));
                    let session = server.session().expect("a session");
                    std::thread::spawn(move || {
                        let mut head = [0; 3];
                        match stream.peek(&mut head) {
                            Ok(1..) => seen.lock().expect("no panic").push(head),
                            Ok(0) | Err(_) => return,
                        }
                        if twin {
                            let _ = stream.read_to_end(&mut Vec::new());
                        } else {
                            Peer { session, stream }.echo();
                        }
                    });
                }
            });
            let guest = Guest::new(programs::attack_tls_bytes_denied, way)
                .resolve(format!("{NAME}=127.0.0.1"))
                .tls(authority.settings());
            let guest = if twin {
                guest.allow(format!("tcp-connect={NAME}:{port}")).arg("twin")
            } else {
                guest.allow(format!("tls-connect={NAME}:{port}"))
            };
            guest.arg(NAME).arg(port).run().success();
            let heads = heads.lock().expect("no panic");
            let are_hellos = heads.iter().all(|head| *head == [22, 3, 1]);
            assert_eq!(are_hellos, !twin, "{heads:?}");
        }
    });
}

/// Kills the command at the end of a test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The forms of a private key that a memory could have: a name and the bytes.
struct Key(Vec<(String, Vec<u8>)>);

impl Key {
    /// Makes a key with a certificate, `NAME.key` and `NAME.pem`. None if OpenSSL is missing.
    fn new(folder: &Path, name: &str, algorithm: &str) -> Option<Self> {
        let made = openssl(
            folder,
            &format!(
                "req -x509 -nodes -sha256 -days 9 -subj /CN={NAME} -addext subjectAltName=DNS:{NAME} -newkey {algorithm} -keyout {name}.key -out {name}.pem"
            ),
        );
        if !made {
            return None;
        }
        let convert = if name == "rsa" { "rsa -traditional" } else { "ec" };
        openssl(folder, &format!("{convert} -in {name}.key -outform DER -out {name}.der"));
        let der = std::fs::read(folder.join(name).with_extension("der")).expect("it was written");
        let pem = std::fs::read_to_string(folder.join(name).with_extension("key")).expect("too");
        let mut forms = vec![
            (format!("{name}: a line of the PEM"), pem.lines().nth(1).expect("a line").into()),
            (format!("{name}: the DER"), der.clone()),
        ];
        // PKCS #1 has the version, n, e, d, p, q. SEC1 has the version, and the scalar in a string.
        let parts = match name {
            "rsa" => &[(3, "d"), (4, "p"), (5, "q")][..],
            _ => &[(1, "the scalar")],
        };
        let elements = elements(&der);
        for (place, part) in parts {
            let number: Vec<u8> =
                elements[*place].iter().copied().skip_while(|&byte| byte == 0).collect();
            assert!(number.len() >= 31, "{name} {part}");
            forms.push((
                format!("{name}: {part} from its end"),
                number.iter().rev().copied().collect(),
            ));
            forms.push((format!("{name}: {part}"), number));
        }
        Some(Self(forms))
    }
}

/// Returns the contents of the elements of a DER sequence.
fn elements(der: &[u8]) -> Vec<&[u8]> {
    /// Takes one element.
    fn take<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
        let (length, header) = match rest[1] {
            long @ 0x80.. => {
                let count = usize::from(long & 0x7f);
                let length =
                    rest[2..2 + count].iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
                (length, 2 + count)
            }
            short => (short.into(), 2),
        };
        let (element, after) = rest[header..].split_at(length);
        *rest = after;
        element
    }
    let mut rest = take(&mut &*der);
    let mut all = Vec::new();
    while !rest.is_empty() {
        all.push(take(&mut rest));
    }
    all
}

/// The writable memory of a process, in pieces.
fn memory(process: u32) -> Vec<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).expect("the maps");
    let mut file = File::open(format!("/proc/{process}/mem")).expect("the memory of a child");
    let mut pieces = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1) == Some("rw-p")) {
        let (start, end) =
            line.split(' ').next().and_then(|span| span.split_once('-')).expect("a span");
        let number = |text| u64::from_str_radix(text, 16).expect("an address");
        let mut piece = vec![0; (number(end) - number(start)) as usize];
        file.seek(SeekFrom::Start(number(start))).expect("an address");
        // Pages that are not there can't be read.
        if file.read_exact(&mut piece).is_ok() {
            pieces.push(piece);
        }
    }
    pieces
}

fn has(memory: &[u8], part: &[u8]) -> bool {
    memory.windows(part.len()).any(|here| here == part)
}

#[test]
pub(crate) fn attack_tls_key_hidden() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let (Some(rsa), Some(ec)) = (
        Key::new(at, "rsa", "rsa:2048"),
        Key::new(at, "ec", "ec -pkeyopt ec_paramgen_curve:P-256"),
    ) else {
        return skip("attack_tls_key_hidden", "the command openssl is missing");
    };
    let path = |name: &str| at.join(name).display().to_string();
    // Links lead out of the folder that the guest has. The twin's folder has copies.
    let (links, copies) = (at.join("links"), at.join("copies"));
    for folder in [&links, &copies] {
        std::fs::create_dir(folder).expect("makes");
    }
    for name in ["rsa.key", "ec.key"] {
        std::os::unix::fs::symlink(at.join(name), links.join(name)).expect("links");
        std::fs::copy(at.join(name), copies.join(name)).expect("copies");
    }
    let identities =
        ["rsa", "ec"].map(|name| format!("{name}={}.pem,{}.key", path(name), path(name)));
    let options = |folder: &Path| {
        let mut run = Command::new(command());
        run.args(["run", "--allow", "tcp-listen=127.0.0.1:0", "--allow", "tls-identity=rsa"]);
        run.args(["--allow", "tls-identity=ec"]);
        run.args(["--tls-identity", &identities[0], "--tls-identity", &identities[1]]);
        run.arg("--dir").arg(format!("{}::/data:ro", folder.display()));
        run.arg(programs::attack_tls_key_hidden.path());
        run
    };
    // A hard link is the same file, so the folder is refused.
    let linked = at.join("linked");
    std::fs::create_dir(&linked).expect("makes");
    std::fs::hard_link(at.join("ec.key"), linked.join("innocent")).expect("links");
    for folder in [&linked, &at.to_owned()] {
        let output = options(folder).stdin(Stdio::null()).output().expect("starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("the key of --tls-identity"), "{said}");
    }
    std::fs::remove_dir_all(&linked).expect("removes");

    let roots: Vec<u8> = ["rsa.pem", "ec.pem"]
        .iter()
        .flat_map(|name| std::fs::read(at.join(name)).expect("reads"))
        .collect();
    let roots = Arc::new(Roots::from_pem(&roots, "the test's").expect("roots"));
    for twin in [false, true] {
        let mut run = options(if twin { &copies } else { &links });
        if twin {
            run.arg("twin");
        }
        run.args(["/data/rsa.key", "/data/ec.key"]);
        if !twin {
            run.args([path("rsa.key"), path("ec.key"), "/data/../ec.key".to_owned()]);
        }
        let child = run.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("starts");
        let mut child = Running(child);
        let mut line = String::new();
        let mut printed = BufReader::new(child.0.stdout.take().expect("piped"));
        printed.read_line(&mut line).expect("a port");
        let port: u16 = line.trim().parse().expect("a port");
        let mut looked = 0;
        for key in [&rsa, &ec] {
            let options = sandsock_tls::ClientOptions {
                trust: sandsock_tls::Trust::Roots(Arc::clone(&roots)),
                versions: sandsock_tls::Versions::default(),
                alpn: Vec::new(),
                identity: None,
            };
            let session =
                sandsock_tls::Client::new(&options).and_then(|client| client.session(NAME));
            let stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
            let mut peer = Peer { session: session.expect("a session"), stream };
            peer.drive(|session| !session.is_handshaking());
            peer.session.write(b"question").expect("it is open");
            peer.drive(Session::is_readable);
            assert!(peer.session.info().is_some(), "{:?}", peer.session.failure());

            let memory = memory(child.0.id());
            let pattern: Vec<u8> =
                (0..1_u32 << 16).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            let guests: Vec<_> = memory.iter().filter(|piece| has(piece, &pattern)).collect();
            assert_eq!(guests.len(), 1, "the guest's memory is there");
            for (form, bytes) in &key.0 {
                let is_there = has(guests[0], bytes);
                // The copy of the twin is the text.
                assert_eq!(is_there, twin && form.ends_with("PEM"), "{form}");
            }
            // The host has the key, and the search finds it there: ring keeps the primes as numbers.
            if key.0.len() > 4 {
                let found =
                    |form: &(String, Vec<u8>)| memory.iter().any(|piece| has(piece, &form.1));
                assert!(key.0.iter().any(found), "the host's own memory has the key");
            }
            looked += 1;
            peer.session.close();
            peer.drive(|session| session.has_peer_closed());
        }
        assert_eq!(looked, 2);
        drop(TcpStream::connect(("127.0.0.1", port)));
        assert!(child.0.wait().expect("it ends").success());
    }
}

/// What a Python program can do with a socket for TLS alone.
#[test]
fn attack_tls_python_denied() {
    if !target().join("python/version").exists() {
        return skip("attack_tls_python_denied", "`make python` builds the Python runner");
    }
    let (folder, authority) = (tempfile::tempdir().expect("a folder"), Authority::new());
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority.0.pem()).expect("writes");
    for twin in [false, true] {
        let (listener, port) = listener();
        // The connections end at once or have the first bytes of the guest.
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, seen) = (stream.expect("accepts"), Arc::clone(&seen));
                let _ = stream.write_all(b"plain bytes of the server");
                std::thread::spawn(move || {
                    let mut bytes = Vec::new();
                    let _ = stream.read_to_end(&mut bytes);
                    seen.lock().expect("no panic").push(bytes);
                });
            }
        });
        let verb = if twin { "tcp-connect" } else { "tls-connect" };
        let mut run = assert_cmd::Command::new(command());
        run.arg("python").arg("--runner").arg(target().join("python"));
        run.args(["--allow", &format!("{verb}={NAME}:{port}"), "--allow", "ancillary=rights:send"]);
        run.args(["--resolve", &format!("{NAME}=127.0.0.1")]).arg("--tls-roots").arg(&roots);
        run.arg(root().join("tests/attacks/python/attack_tls_denied.py"));
        run.args([if twin { "twin" } else { "attack" }, NAME, &port.to_string()]);
        let output = run.timeout(Duration::from_secs(120)).output().expect("starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "twin {twin}: {errors}");
        let tried: usize =
            String::from_utf8_lossy(&output.stdout).trim().parse().expect("the number of ways");
        assert!(tried > 20, "{tried}");
        let told = told.lock().expect("no panic");
        let is_plain = |bytes: &Vec<u8>| bytes.windows(5).any(|part| part == b"plain");
        assert_eq!(told.iter().filter(|bytes| is_plain(bytes)).count() > 10, twin);
        assert_eq!(told.iter().any(is_plain), twin, "{told:?}");
    }
}
