//! TLS: sessions of guests with peers of this process, what the policy lets a guest do, and what a
//! socket for TLS alone refuses.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use sandsock_host::tls::{Identity, Roots, TlsSettings};
use sandsock_tests::{Guest, Program, both_ways, command, programs, skip};
use sandsock_tls::{
    Client, ClientAuth, ClientOptions, Failure, Plain, Server, ServerOptions, Session, Trust,
    Versions,
};

/// The name that the servers of these tests prove.
pub(crate) const NAME: &str = "server.test";

/// An authority of one test.
pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

/// A chain and a key in PEM.
pub(crate) struct Pem(pub(crate) String, pub(crate) String);

impl Authority {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // An issuer is found by its name.
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    pub(crate) fn issue(&self, names: &[&str], expired: bool) -> Pem {
        self.issue_with(names, |params| {
            if expired {
                params.not_after = date_time_ymd(2021, 1, 1);
            }
        })
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pem {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Pem(certificate.pem(), key.serialize_pem())
    }

    fn roots(&self) -> Roots {
        Roots::from_pem(self.0.pem().as_bytes(), "the test's").expect("roots")
    }

    pub(crate) fn settings(&self) -> TlsSettings {
        let mut settings = TlsSettings::default();
        settings.roots(self.roots());
        settings
    }
}

/// A certificate that has signed itself.
pub(crate) fn self_signed(name: &str) -> Pem {
    let params = CertificateParams::new([name.to_owned()]).expect("parameters");
    let key = KeyPair::generate().expect("a key");
    Pem(params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

impl Pem {
    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(self.0.as_bytes(), self.1.as_bytes()).expect("an identity")
    }
}

/// Settings with roots and the identities `web` and `other`, whose peers do not matter.
pub(crate) fn settings() -> TlsSettings {
    let authority = Authority::new();
    let mut settings = authority.settings();
    for name in ["web", "other"] {
        settings.identity(name, authority.issue(&[NAME], false).identity());
    }
    settings
}

/// A session of this process, and the connection below it.
pub(crate) struct Peer {
    pub(crate) session: Session,
    pub(crate) stream: TcpStream,
}

impl Peer {
    /// Moves bytes until `done`, or until the connection or the session ends.
    pub(crate) fn drive(&mut self, done: impl Fn(&mut Session) -> bool) {
        let mut buffer = vec![0; 16384];
        loop {
            while self.session.has_bytes() {
                if self.stream.write_all(&self.session.drain(usize::MAX)).is_err() {
                    return;
                }
            }
            if self.session.failure().is_some() || done(&mut self.session) {
                return;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => {
                    self.session.feed_end();
                    return;
                }
                Ok(count) => {
                    let mut rest = &buffer[..count];
                    while let Ok(taken @ 1..) = self.session.feed(rest) {
                        rest = &rest[taken..];
                        if rest.is_empty() {
                            break;
                        }
                        self.answer();
                    }
                }
            }
        }
    }

    /// Reads plain bytes, and sends each of them back.
    fn answer(&mut self) {
        while let Ok(Plain::Bytes(bytes)) = self.session.read(usize::MAX) {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let Ok(taken) = self.session.write(rest) else { return };
                rest = &rest[taken..];
                if self.stream.write_all(&self.session.drain(usize::MAX)).is_err() {
                    return;
                }
            }
        }
    }

    /// Echoes until the other side ends, and ends too.
    pub(crate) fn echo(&mut self) {
        loop {
            self.drive(Session::is_readable);
            self.answer();
            if self.session.failure().is_some() || self.session.has_peer_closed() {
                self.session.close();
                self.drive(|_| true);
                return;
            }
        }
    }
}

/// A server of this process.
pub(crate) fn server(pem: &Pem) -> Server {
    let options = ServerOptions {
        identity: Arc::new(pem.identity()),
        client_auth: ClientAuth::None,
        versions: Versions::default(),
        alpn: vec![b"echo".to_vec()],
    };
    Server::new(&options).expect("a server")
}

/// A client of this process, with the roots of an authority.
pub(crate) fn client(authority: &Authority) -> Client {
    let options = ClientOptions {
        trust: Trust::Roots(Arc::new(authority.roots())),
        versions: Versions::default(),
        alpn: vec![b"echo".to_vec()],
        identity: None,
    };
    Client::new(&options).expect("a client")
}

/// Serves this many connections one after the other: makes the handshake and echoes. Returns the
/// first bytes of each connection.
fn serve(pem: &Pem, count: usize) -> (u16, JoinHandle<Vec<Vec<u8>>>) {
    serve_by(server(pem), count)
}

/// As [`serve`], for a server with options of its own.
fn serve_by(server: Server, count: usize) -> (u16, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let thread = std::thread::spawn(move || {
        let mut heads = Vec::new();
        for _ in 0..count {
            let (stream, _) = listener.accept().expect("accepts");
            let mut head = [0; 3];
            let length = stream.peek(&mut head).unwrap_or(0);
            heads.push(head[..length].to_vec());
            let session = server.session().expect("a session");
            Peer { session, stream }.echo();
        }
        heads
    });
    (port, thread)
}

#[test]
pub(crate) fn tls_client_ok() {
    let authority = Authority::new();
    both_ways(|way| {
        let (port, server) = serve(&authority.issue(&[NAME, "127.0.0.1"], false), 4);
        Guest::new(programs::tls_client_ok, way)
            .allow(format!("tls-connect={NAME}:{port}"))
            .allow(format!("tls-connect=127.0.0.1:{port}"))
            .resolve(format!("{NAME}=127.0.0.1"))
            .tls(authority.settings())
            .arg(NAME)
            .arg(port)
            .run()
            .success();
        for head in server.join().expect("the server ends") {
            assert_eq!(head, [22, 3, 1], "a ClientHello comes first");
        }
    });
}

/// A budget counts the bytes of a session.
#[test]
fn tls_budget_counts_the_bytes_of_sessions() {
    let authority = Authority::new();
    both_ways(|way| {
        for verb in ["tcp-connect=127.0.0.1", "tls-connect=server.test"] {
            let (port, _server) = serve(&authority.issue(&[NAME], false), 1);
            let rule = format!("{verb}:{port};bytes=1MiB");
            let ended = Guest::new(programs::tls_client_ok, way)
                .allow(&rule)
                .resolve(format!("{NAME}=127.0.0.1"))
                .tls(authority.settings())
                .arg(NAME)
                .arg(port)
                .run();
            assert!(!matches!(ended.result, Ok(Ok(()))), "{ended:?}");
            let sentence = format!("the budget of the rule {rule} has no bytes left");
            assert!(ended.stderr.contains(&sentence), "{}", ended.stderr);
        }
    });
}

#[test]
pub(crate) fn tls_insecure_ok() {
    let (authority, other) = (Authority::new(), Authority::new());
    both_ways(|way| {
        let (port, server) = serve(&other.issue(&["other.test"], false), 1);
        Guest::new(programs::tls_insecure_ok, way)
            .allow(format!("tls-insecure={NAME}:{port}"))
            .resolve(format!("{NAME}=127.0.0.1"))
            .tls(authority.settings())
            .arg(NAME)
            .arg(port)
            .run()
            .success();
        server.join().expect("the server ends");
    });
}

/// A rule that denies a name holds for a server that need not prove it, too.
#[test]
fn tls_name_denied_holds_for_an_unverified_server() {
    let authority = Authority::new();
    both_ways(|way| {
        for verb in [None, Some("tls-connect"), Some("tls-insecure")] {
            let (port, server) = serve(&authority.issue(&[NAME], false), 1);
            let mut guest = Guest::new(programs::tls_insecure_ok, way)
                .allow(format!("tls-insecure=127.0.0.1:{port}"))
                .tls(authority.settings());
            let rule = verb.map(|verb| format!("{verb}={NAME}:{port}"));
            if let Some(rule) = &rule {
                guest = guest.deny(rule);
            }
            let ended = guest.arg("127.0.0.1").arg(port).arg(NAME).run();
            match rule {
                None => drop((ended.success(), server.join().expect("the server ends"))),
                Some(rule) => {
                    let reason = format!("is denied by the rule {rule}");
                    assert!(ended.stderr.contains(&reason), "{ended:?}");
                }
            }
        }
    });
}

/// The roots of a rule count in the place of the command's.
#[test]
fn tls_roots_of_a_rule_count_alone() {
    let (authority, other) = (Authority::new(), Authority::new());
    both_ways(|way| {
        for (of, is_good) in [(&other, true), (&authority, false)] {
            let (port, server) = serve(&of.issue(&[NAME, "127.0.0.1"], false), 4);
            let mut settings = authority.settings();
            settings.rule_roots("/roots.pem", other.roots());
            let ended = Guest::new(programs::tls_client_ok, way)
                .allow(format!("tls-connect={NAME}:{port};roots=/roots.pem;alpn=echo"))
                .allow(format!("tls-connect=127.0.0.1:{port};roots=/roots.pem"))
                .resolve(format!("{NAME}=127.0.0.1"))
                .tls(settings)
                .arg(NAME)
                .arg(port)
                .run();
            match is_good {
                true => drop((ended.success(), server.join().expect("the server ends"))),
                false => {
                    assert!(matches!(ended.result, Ok(Err(()))), "{ended:?}");
                    assert!(ended.stderr.contains("no trusted root signed it"), "{ended:?}");
                }
            }
        }
    });
}

#[test]
pub(crate) fn tls_upgrade_ok() {
    let authority = Authority::new();
    both_ways(|way| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let options = ServerOptions {
            identity: Arc::new(authority.issue(&[NAME], false).identity()),
            client_auth: ClientAuth::None,
            versions: Versions::default(),
            alpn: Vec::new(),
        };
        let server = Server::new(&options).expect("a server");
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut line = [0; 9];
            stream.read_exact(&mut line).expect("the command");
            assert_eq!(&line, b"STARTTLS\n");
            stream.write_all(b"GO\n").expect("it reads");
            Peer { session: server.session().expect("a session"), stream }.echo();
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut bytes = Vec::new();
            // The guest ends without reading all, which may reset the connection.
            let _ = stream.read_to_end(&mut bytes);
            bytes.len()
        });
        Guest::new(programs::tls_upgrade_ok, way)
            .allow(format!("tls-upgrade={NAME}:{port}"))
            .resolve(format!("{NAME}=127.0.0.1"))
            .tls(authority.settings())
            .arg(NAME)
            .arg(port)
            .run()
            .success();
        assert_eq!(thread.join().expect("the server ends"), 64 * 1024);
    });
}

#[test]
pub(crate) fn tls_plain_denied() {
    let authority = Authority::new();
    both_ways(|way| {
        let (port, server) = serve(&authority.issue(&[NAME], false), 1);
        Guest::new(programs::tls_plain_denied, way)
            .allow(format!("tls-connect={NAME}:{port}"))
            .allow("tls-connect=127.0.0.1:1")
            .allow("tls-identity=web")
            .allow("ancillary=rights:send")
            .resolve(format!("{NAME}=127.0.0.1"))
            .tls({
                let mut settings = authority.settings();
                settings.identity("web", authority.issue(&[NAME], false).identity());
                settings
            })
            .dir(&sandsock_tests::root().join("tests/programs"), "data")
            .arg(NAME)
            .arg(port)
            .run()
            .success();
        let heads = server.join().expect("the server ends");
        assert_eq!(heads, [[22, 3, 1]], "no plain byte came before the ClientHello");
    });
}

/// A folder with a client's chain and key, and with the key of another certificate.
fn identity_folder(authority: &Authority) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let (client, other) = (authority.issue(&["a client"], false), self_signed("other.test"));
    for (name, text) in [
        ("chain.pem", client.0.clone()),
        ("key.pem", client.1.clone()),
        ("both.pem", format!("{}{}", client.1, client.0)),
        ("other.pem", other.1),
    ] {
        std::fs::write(folder.path().join(name), text).expect("writes");
    }
    folder
}

#[test]
pub(crate) fn tls_ssl_ok() {
    let issuer = "the issuer";
    let authority = Authority::with(|params| {
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, issuer);
    });
    let pem = authority.issue_with(&[NAME, "127.0.0.1"], |params| {
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, "caf\u{e9}");
    });
    let asking = ServerOptions {
        identity: Arc::new(pem.identity()),
        client_auth: ClientAuth::Required(Arc::new(authority.roots())),
        versions: Versions::default(),
        alpn: Vec::new(),
    };
    let folder = identity_folder(&authority);
    both_ways(|way| {
        let (port, server) = serve(&pem, 4);
        let (other, asking) = serve_by(Server::new(&asking).expect("a server"), 3);
        let mut settings = authority.settings();
        settings.identity("web", authority.issue(&["a client"], false).identity());
        Guest::new(programs::tls_ssl_ok, way)
            .allow(format!("tls-connect={NAME}:*"))
            .allow("tls-connect=127.0.0.1:*")
            .allow("tls-identity=web")
            .resolve(format!("{NAME}=127.0.0.1"))
            .tls(settings)
            .dir(folder.path(), "data")
            .arg(NAME)
            .arg(port)
            .arg(other)
            .arg("/O=Example/CN=caf\\xC3\\xA9")
            .arg(format!("/CN={issuer}"))
            .run()
            .success();
        server.join().expect("the server ends");
        asking.join().expect("the server ends");
    });
}

#[test]
pub(crate) fn tls_ssl_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = identity_folder(&authority);
    both_ways(|way| {
        // More connections than the guest makes.
        let (port, _server) = serve(&authority.issue(&[NAME], false), 99);
        let (stranger, _other) = serve(&other.issue(&[NAME], false), 99);
        Guest::new(programs::tls_ssl_refused, way)
            .allow(format!("tls-connect={NAME}:*"))
            .allow("tls-connect=other.test:*")
            .allow("tls-connect=127.0.0.1:*")
            .resolve(format!("{NAME}=127.0.0.1"))
            .resolve("other.test=127.0.0.1")
            .tls(authority.settings())
            .dir(folder.path(), "data")
            .arg(port)
            .arg(stranger)
            .run()
            .success();
    });
}

#[test]
pub(crate) fn tls_aio_ok() {
    let authority = Authority::new();
    both_ways(|way| {
        let mut settings = authority.settings();
        settings.identity("web", authority.issue(&[NAME], false).identity());
        Guest::new(programs::tls_aio_ok, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow(format!("tls-connect={NAME}:*"))
            .allow("tls-connect=other.test:*")
            .allow("tls-identity=web")
            .resolve(format!("{NAME}=127.0.0.1"))
            .resolve("other.test=127.0.0.1")
            .limit("descriptors=1024")
            .tls(settings)
            .arg(50)
            .run()
            .success();
    });
}

/// Serves one connection: reads all of its bytes as soon as `begin` says so. Returns them, with the
/// listener, which takes no other connection.
fn collect(pem: &Pem, begin: Receiver<()>) -> (u16, JoinHandle<(Vec<u8>, TcpListener)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let session = server(pem).session().expect("a session");
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("accepts");
        let mut peer = Peer { session, stream };
        peer.drive(|session| !session.is_handshaking());
        begin.recv().expect("the test says so");
        let (mut received, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        while let Ok(count @ 1..) = peer.stream.read(&mut buffer) {
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                rest = &rest[peer.session.feed(rest).expect("good records")..];
                while let Ok(Plain::Bytes(bytes)) = peer.session.read(usize::MAX) {
                    received.extend(bytes);
                }
            }
        }
        (received, listener)
    });
    (port, thread)
}

#[test]
pub(crate) fn tls_sendfile_ok() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let content = crate::inet::pattern(32 << 20);
    std::fs::write(folder.path().join("large"), &content).expect("writes");
    both_ways(|way| {
        let (begin, begins) = channel();
        let (port, server) = collect(&authority.issue(&[NAME], false), begins);
        let guest = |rule: &str| {
            Guest::new(programs::tls_sendfile_ok, way)
                .allow(rule)
                .resolve(format!("{NAME}=127.0.0.1"))
                .tls(authority.settings())
                .dir(folder.path(), "data")
                .arg(NAME)
        };
        let running =
            guest(&format!("tls-connect={NAME}:{port}")).arg(port).arg(content.len()).start();
        assert_eq!(running.lines(1), ["full"]);
        begin.send(()).expect("the server waits");
        let (received, listener) = server.join().expect("the server ends");
        let last = &content[content.len() - 10..];
        let expected = [&content[..], &content[1_000_003..4_000_003], b"between", last];
        assert!(received == expected.concat(), "{} bytes", received.len());
        let ended = running.join();
        assert_eq!(ended.by_kernel, 0, "the kernel would send the bytes in the clear");
        ended.success();
        drop(listener);

        // A budget counts the bytes of the file.
        let (begin, begins) = channel();
        begin.send(()).expect("the channel is open");
        let (port, server) = collect(&authority.issue(&[NAME], false), begins);
        let rule = format!("tls-connect={NAME}:{port};bytes=1MiB");
        let ended = guest(&rule).arg(port).arg(content.len()).run();
        let sentence = format!("the budget of the rule {rule} has no bytes left");
        assert!(ended.stderr.contains(&sentence), "{}", ended.stderr);
        let (received, _) = server.join().expect("the server ends");
        assert!((1 << 19..1 << 20).contains(&received.len()), "{}", received.len());
        assert!(content.starts_with(&received));
    });
}

#[test]
pub(crate) fn tls_poller_ok() {
    let authority = Authority::new();
    both_ways(|way| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let session = server(&authority.issue(&[NAME], false)).session().expect("a session");
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("accepts");
            let mut peer = Peer { session, stream };
            let mut buffer = vec![0; 16384];
            while peer.session.is_handshaking() {
                let count = peer.stream.read(&mut buffer).expect("the guest is there");
                assert_eq!(peer.session.feed(&buffer[..count]), Ok(count));
                if !peer.session.is_handshaking() {
                    assert_eq!(peer.session.write(b"greeting"), Ok(8));
                }
                // One write has the end of the handshake and the greeting.
                peer.stream.write_all(&peer.session.drain(usize::MAX)).expect("it reads");
            }
            peer.echo();
        });
        Guest::new(programs::tls_poller_ok, way)
            .allow(format!("tls-connect={NAME}:{port}"))
            .resolve(format!("{NAME}=127.0.0.1"))
            .tls(authority.settings())
            .arg(NAME)
            .arg(port)
            .run()
            .success();
        thread.join().expect("the server ends");
    });
}

/// The guest moves the bytes of its sessions itself.
#[test]
pub(crate) fn tls_without_io_ok() {
    let authority = Authority::new();
    both_ways(|way| {
        let (port, server) = serve(&authority.issue(&[NAME], false), 3);
        Guest::new(programs::tls_without_io_ok, way)
            .allow(format!("tls-connect={NAME}:{port}"))
            .resolve(format!("{NAME}=127.0.0.1"))
            .tls(authority.settings())
            .arg(NAME)
            .arg(port)
            .run()
            .success();
        drop(server);
    });
}

#[test]
pub(crate) fn tls_without_io_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    both_ways(|way| {
        let (port, server) = serve(&other.issue(&[NAME], false), 1);
        Guest::new(programs::tls_without_io_refused, way)
            .allow(format!("tls-connect={NAME}:{port}"))
            .resolve(format!("{NAME}=127.0.0.1"))
            .tls(authority.settings())
            .arg(NAME)
            .arg(port)
            .run()
            .success();
        server.join().expect("the server ends");
    });
}

#[test]
pub(crate) fn tls_certificate_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    both_ways(|way| {
        for (pem, expected) in [
            (authority.issue(&[NAME], true), "it has expired"),
            (authority.issue(&["other.test"], false), "it is for another name"),
            (other.issue(&[NAME], false), "no trusted root signed it"),
        ] {
            let (port, server) = serve(&pem, 1);
            Guest::new(programs::tls_certificate_refused, way)
                .allow(format!("tls-connect={NAME}:{port}"))
                .resolve(format!("{NAME}=127.0.0.1"))
                .tls(authority.settings())
                .arg(NAME)
                .arg(port)
                .arg(format!("the peer's certificate is refused: {expected}"))
                .run()
                .success();
            server.join().expect("the server ends");
        }
        // A server that speaks no TLS, and one that ends at once.
        for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
            let port = listener.local_addr().expect("an address").port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("accepts");
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            });
            Guest::new(programs::tls_certificate_refused, way)
                .allow(format!("tls-connect={NAME}:{port}"))
                .resolve(format!("{NAME}=127.0.0.1"))
                .tls(authority.settings())
                .arg(NAME)
                .arg(port)
                .arg("")
                .run()
                .success();
            server.join().expect("the server ends");
        }
    });
}

#[test]
pub(crate) fn tls_server_ok() {
    let authority = Authority::new();
    both_ways(|way| {
        let mut settings = authority.settings();
        settings.identity("web", authority.issue(&[NAME], false).identity());
        let guest = Guest::new(programs::tls_server_ok, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tls-identity=web")
            .tls(settings)
            .start();
        let port: u16 = guest.lines(1)[0].parse().expect("a port");
        let session = client(&authority).session(NAME);
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)));
        let mut peer =
            Peer { session: session.expect("a session"), stream: stream.expect("connects") };
        peer.drive(|session| !session.is_handshaking());
        assert_eq!(peer.session.info().expect("agreed").alpn.as_deref(), Some(&b"echo"[..]));
        peer.session.write(b"question").expect("it is open");
        peer.drive(Session::is_readable);
        assert_eq!(peer.session.read(100), Ok(Plain::Bytes(b"noitseuq".to_vec())));
        peer.drive(Session::is_readable);
        assert_eq!(peer.session.read(100), Ok(Plain::End));
        drop(peer);
        guest.join().success();
    });
}

/// Connects to a guest, with a session of a client.
fn connected(authority: &Authority, at: SocketAddr) -> Peer {
    let session = client(authority).session(NAME).expect("a session");
    Peer { session, stream: TcpStream::connect(at).expect("connects") }
}

fn at(host: [u8; 4], line: &str) -> SocketAddr {
    (host, line.parse().expect("a port")).into()
}

/// The identity that the rule names is lent where it allows to listen, also if plain bytes may move
/// there.
#[test]
pub(crate) fn tls_listen_ok() {
    let authority = Authority::new();
    both_ways(|way| {
        for plain in [None, Some("tcp-listen=127.0.0.1:0")] {
            let mut settings = authority.settings();
            settings.identity("web", authority.issue(&[NAME], false).identity());
            let mut guest = Guest::new(programs::tls_listen_ok, way)
                .allow("tls-listen=127.0.0.1:0;identity=web;alpn=echo;connections=3")
                .tls(settings);
            if let Some(plain) = plain {
                guest = guest.allow(plain).arg("plain");
            }
            let guest = guest.start();
            let at = at([127, 0, 0, 1], &guest.lines(1)[0]);
            for _ in 0..2 {
                let mut peer = connected(&authority, at);
                peer.drive(|session| !session.is_handshaking());
                let info = peer.session.info().expect("agreed");
                assert_eq!(info.alpn.as_deref(), Some(&b"echo"[..]));
                peer.session.write(b"question").expect("it is open");
                peer.drive(Session::is_readable);
                assert_eq!(peer.session.read(100), Ok(Plain::Bytes(b"noitseuq".to_vec())));
                peer.drive(Session::is_readable);
                assert_eq!(peer.session.read(100), Ok(Plain::End));
            }
            let mut peer = connected(&authority, at);
            peer.drive(|session| !session.is_handshaking());
            let refused = matches!(peer.session.failure(), Some(Failure::Alert(49, _)));
            assert!(refused, "{:?}", peer.session.failure());
            guest.join().success();
        }
    });
}

/// A rule that asks for a protocol lets no session without it go on.
#[test]
fn tls_listen_protocol_is_agreed_on() {
    let authority = Authority::new();
    both_ways(|way| {
        let mut settings = authority.settings();
        settings.identity("web", authority.issue(&[NAME], false).identity());
        let guest = Guest::new(programs::tls_server_ok, way)
            .allow("tls-listen=127.0.0.1:0;identity=web;alpn=h2")
            .tls(settings)
            .start();
        let mut peer = connected(&authority, at([127, 0, 0, 1], &guest.lines(1)[0]));
        peer.drive(Session::is_readable);
        drop(peer);
        let ended = guest.join();
        assert!(ended.stderr.contains("no protocol that is granted was agreed on"), "{ended:?}");
    });
}

#[test]
pub(crate) fn tls_listen_denied() {
    let authority = Authority::new();
    both_ways(|way| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let mut settings = authority.settings();
        for name in ["web", "other"] {
            settings.identity(name, authority.issue(&[NAME], false).identity());
        }
        let guest = Guest::new(programs::tls_listen_denied, way)
            .allow("tls-listen=127.0.0.1:0;identity=web")
            .allow("tcp-listen=127.0.0.2:0")
            .allow("ancillary=rights:send")
            .allow(format!("tcp-connect=127.0.0.1:{port}"))
            .tls(settings)
            .dir(&sandsock_tests::root().join("tests/programs"), "data")
            .arg(port)
            .start();
        let lines = guest.lines(2);
        let (here, other) = (at([127, 0, 0, 1], &lines[0]), at([127, 0, 0, 2], &lines[1]));
        // The peers are in the guest's queue in this order.
        let mut plain = TcpStream::connect(here).expect("connects");
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it reads");
        let threads: Vec<_> = [here, here, here, other]
            .into_iter()
            .map(|at| connected(&authority, at))
            .chain((0..2).map(|_| {
                let (stream, _) = listener.accept().expect("accepts");
                Peer { session: client(&authority).session(NAME).expect("a session"), stream }
            }))
            .map(|mut peer| {
                std::thread::spawn(move || {
                    peer.drive(Session::is_readable);
                    let told = peer.session.read(100);
                    peer.session.close();
                    peer.drive(|_| true);
                    told
                })
            })
            .collect();
        guest.join().success();
        let mut told = Vec::new();
        // The guest closed it without reading all, which may reset the connection.
        let _ = plain.read_to_end(&mut told);
        assert_eq!(told, b"", "no plain byte came");
        for (nth, thread) in threads.into_iter().enumerate() {
            let told = thread.join().expect("no panic");
            let is_told = told == Ok(Plain::Bytes(b"within TLS".to_vec()));
            assert_eq!(is_told, nth == 0, "{nth}: {told:?}");
        }
    });
}

#[test]
fn tls_options_of_the_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let Pem(chain, key) = authority.issue(&[NAME], false);
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the folder is writable");
        path.display().to_string()
    };
    let roots = write("roots.pem", &authority.0.pem());
    let (chain, key) = (write("chain.pem", &chain), write("key.pem", &key));
    let run = |options: &[&str]| {
        let mut run = Command::new(command());
        run.arg("run").args(options).arg(programs::tls_server_ok.path());
        run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        run
    };
    let identity = format!("web={chain},{key}");
    for (options, error) in [
        (vec!["--tls-identity", "web"], "write NAME=CERT.pem,KEY.pem"),
        (vec!["--tls-identity", "a b=c,d"], "is not an identity's name"),
        (vec!["--tls-identity", "web=/none.pem,/none.pem"], "/none.pem"),
        (
            vec!["--allow", "tls-listen=127.0.0.1:0;identity=wed", "--tls-identity", &identity],
            "there is no identity wed; add --tls-identity wed=CERT.pem,KEY.pem",
        ),
        (vec!["--allow", "tls-listen=127.0.0.1:0"], "write tls-listen=127.0.0.1:0;identity=web"),
        (vec!["--tls-roots", "/none.pem"], "the roots /none.pem can't be read"),
        (vec!["--tls-roots", &key], "have no certificate"),
        (vec!["--tls-identity", &identity, "--tls-identity", &identity], "twice"),
        (
            vec!["--tls-identity", &identity, "--dir", folder.path().to_str().expect("UTF-8")],
            "the key of --tls-identity web",
        ),
    ] {
        let output = run(&options).output().expect("starts");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && stderr.contains(error), "{options:?}: {stderr}");
    }
    if !Command::new("openssl").arg("version").output().is_ok_and(|out| out.status.success()) {
        return skip("tls_options_of_the_command", "the command openssl is missing");
    }
    let allow = ["--allow", "tcp-listen=127.0.0.1:0", "--allow", "tls-identity=web"];
    let mut guest = run(&[&allow[..], &["--tls-identity", &identity]].concat());
    let mut guest = guest.spawn().expect("starts");
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(guest.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("the port");
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-CAfile", &roots, "-verify_return_error"])
        .args(["-verify_hostname", NAME, "-connect", &format!("127.0.0.1:{}", line.trim())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut stdin = client.stdin.take().expect("piped");
    stdin.write_all(b"question").expect("it reads");
    let mut answer = String::new();
    client.stdout.take().expect("piped").read_to_string(&mut answer).expect("UTF-8");
    drop(stdin);
    assert_eq!(answer, "noitseuq");
    assert!(guest.wait().expect("ends").success());
    let _ = client.wait();
}

/// Without roots nothing is verified, so the command does not start with a rule that needs them.
#[test]
fn tls_rules_need_roots() {
    let folder = tempfile::tempdir().expect("a folder");
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, Authority::new().0.pem()).expect("writes");
    let run = |verb: &str, has_roots: bool| {
        let mut run = Command::new(command());
        run.args(["run", "--allow", &format!("{verb}=a.test:1")]);
        if has_roots {
            run.arg("--tls-roots").arg(&roots);
        }
        run.arg(programs::unix_pair_unnamed.path());
        run.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nonexistent");
        let output = run.stdin(Stdio::null()).output().expect("starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for verb in ["tls-connect", "tls-upgrade"] {
        let (is_success, stderr) = run(verb, false);
        let reason = format!("a rule of {verb} needs roots");
        assert!(!is_success && stderr.contains(&reason), "{stderr}");
        let (is_success, stderr) = run(verb, true);
        assert!(is_success, "{stderr}");
    }
    let (is_success, stderr) = run("tls-insecure", false);
    assert!(is_success, "{stderr}");
}

#[test]
fn tls_example_fetches_a_page_from_openssl() {
    if !Command::new("openssl").arg("version").output().is_ok_and(|out| out.status.success()) {
        return skip("tls_example_fetches_a_page", "the command openssl is missing");
    }
    let (folder, authority) = (tempfile::tempdir().expect("a folder"), Authority::new());
    let Pem(chain, key) = authority.issue(&["www.example.com"], false);
    std::fs::write(folder.path().join("server.pem"), format!("{chain}{key}")).expect("writes");
    for version in ["-tls1_2", "-tls1_3"] {
        // A port that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut server = Command::new("openssl")
            .args(["s_server", "-www", "-quiet", "-cert", "server.pem", version])
            .args(["-accept", &format!("127.0.0.1:{port}")])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(std::time::Instant::now() < until, "s_server does not listen");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        both_ways(|way| {
            let guest = |settings| {
                Guest::new(Program::example("https_get"), way)
                    .allow(format!("tls-connect=www.example.com:{port}"))
                    .resolve("www.example.com=127.0.0.1")
                    .tls(settings)
                    .arg("www.example.com")
                    .arg(port)
                    .arg("/")
                    .run()
            };
            let page = guest(authority.settings()).success();
            assert!(page.starts_with("HTTP/1.0 200 ok"), "{page}");
            let ended = guest(Authority::new().settings());
            assert!(matches!(ended.result, Ok(Err(()))), "another authority: {ended:?}");
            assert!(ended.stderr.contains("no trusted root signed it"), "{}", ended.stderr);
        });
        server.kill().expect("it runs");
        let _ = server.wait();
    }
}

/// Runs a command in a folder, with an input that ends after a moment. Returns its status and output.
pub(crate) fn ran(folder: &std::path::Path, line: &str) -> (Option<i32>, String) {
    let mut words = line.split(' ');
    let mut child = Command::new(words.next().expect("a command"))
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    // s_client ends with its input, and curl does not look at it.
    let _ = stdin.write_all(b"GET / HTTP/1.1\r\n\r\n");
    let mut output = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut output).expect("UTF-8");
    drop(stdin);
    (child.wait().expect("ends").code(), output)
}

#[test]
pub(crate) fn tls_pages_ok() {
    for tool in ["openssl version", "curl --version"] {
        let mut words = tool.split(' ');
        let mut command = Command::new(words.next().expect("a command"));
        if command.args(words).stdout(Stdio::null()).status().is_err() {
            return skip("tls_pages_ok", &format!("{tool} does not run"));
        }
    }
    let (folder, authority) = (tempfile::tempdir().expect("a folder"), Authority::new());
    let (pem, client) = (authority.issue(&[NAME], false), authority.issue(&["a client"], false));
    let stranger = Authority::new().issue(&["a stranger"], false);
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("writes");
    };
    write("roots.pem", &authority.0.pem());
    write("client.pem", &format!("{}{}", client.0, client.1));
    write("stranger.pem", &format!("{}{}", stranger.0, stranger.1));
    let curl = "curl -sS --max-time 20 --noproxy * --resolve server.test:PORT:127.0.0.1";
    let roots = "--cacert roots.pem https://server.test:PORT/";
    let s_client =
        "openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:PORT -servername server.test";
    let verified = "-CAfile roots.pem -verify_return_error -verify_hostname server.test";
    // The command, its status, and what the guest says. An empty status is any but 0.
    let cases = [
        (format!("{curl} --tlsv1.3 {roots}"), Some(0), "Tls13 TLS_"),
        (format!("{curl} --tls-max 1.2 {roots}"), Some(0), "Tls12 TLS_ECDHE_"),
        (format!("{curl} --http1.1 {roots}"), Some(0), " http/1.1 nobody"),
        (format!("{curl} --cert client.pem {roots}"), Some(0), " http/1.1 somebody"),
        (format!("{s_client} -tls1_3 {verified}"), Some(0), "Tls13 TLS_"),
        (format!("{s_client} -tls1_2 {verified}"), Some(0), "Tls12 TLS_ECDHE_"),
        (format!("{s_client} -tls1_2 -cert client.pem {verified}"), Some(0), "  somebody"),
        // The clients refuse the server.
        (format!("{curl} https://server.test:PORT/"), None, "no session: the peer sent the alert"),
        (
            format!(
                "{} --cacert roots.pem https://other.test:PORT/",
                curl.replace("server", "other")
            ),
            None,
            // The client speaks TLS 1.3, and refuses the name after the handshake.
            "",
        ),
        // The server refuses the clients.
        (format!("{s_client} -tls1_1 -cipher ALL:@SECLEVEL=0"), None, "no session: "),
        (format!("{s_client} -tls1_2 -cipher AES128-SHA"), None, "no session: "),
        (format!("{s_client} -alpn other"), None, "no session: "),
        (
            format!("{curl} --cert stranger.pem {roots}"),
            None,
            "no session: the peer's certificate is refused: no trusted root signed it",
        ),
        (format!("{curl} http://127.0.0.1:PORT/"), None, "no session: "),
        // The guest goes on all the same.
        (format!("{curl} {roots}"), Some(0), "Tls13 TLS_"),
    ];
    both_ways(|way| {
        let mut settings = authority.settings();
        settings.identity("web", pem.identity());
        let guest = Guest::new(programs::tls_pages_ok, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tls-identity=web")
            .tls(settings)
            .arg(cases.len())
            .start();
        let port = guest.lines(1)[0].clone();
        for (at, (line, status, said)) in cases.iter().enumerate() {
            let line = line.replace("PORT", &port);
            let (ended, page) = ran(folder.path(), &line);
            let told = &guest.lines(at + 2)[at + 1];
            assert!(told.contains(said), "{line}: {told}");
            match status {
                Some(0) => {
                    assert_eq!(ended, Some(0), "{line}: {page}");
                    assert!(page.contains(told.as_str()), "{line}: {page}");
                }
                _ => {
                    assert!(!page.contains("TLS_"), "{line}: {page}");
                    // s_client ends well whatever the server does.
                    assert!(ended != Some(0) || line.starts_with("openssl"), "{line}");
                }
            }
        }
        guest.join().success();
    });
}

/// A client that is granted TLS alone, and servers of OpenSSL's with old versions and weak keys.
#[test]
fn tls_weak_servers_of_openssl_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let make = |name: &str, key: &str, digest: &str| {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "9", "-subj", "/CN=server.test"])
            .args(["-addext", "subjectAltName=DNS:server.test", "-newkey", key, digest])
            .args(["-keyout", &format!("{name}.pem"), "-out", &format!("{name}.crt")])
            .current_dir(folder.path())
            .stderr(Stdio::null())
            .status();
        made.is_ok_and(|status| status.success())
    };
    if !make("good", "rsa:2048", "-sha256") {
        return skip("tls_weak_servers_of_openssl", "the command openssl is missing");
    }
    assert!(make("short", "rsa:1024", "-sha256"));
    let weak = "-cipher ALL:@SECLEVEL=0";
    for (name, flags, refused) in [
        ("good", "-tls1_2", false),
        ("good", "-tls1_3", false),
        ("good", &*format!("-tls1_1 {weak}"), true),
        ("good", &*format!("-tls1 {weak}"), true),
        ("good", &*format!("-tls1_2 -sigalgs RSA+SHA1 {weak}"), true),
        ("good", "-tls1_2 -cipher AES128-SHA", true),
        ("short", &*format!("-tls1_2 {weak}"), true),
        ("short", &*format!("-tls1_3 {weak}"), true),
    ] {
        let free = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut server = Command::new("openssl")
            .args(["s_server", "-www", "-quiet", "-key", &format!("{name}.pem")])
            .args(["-cert", &format!("{name}.crt")])
            .args(flags.split(' '))
            .args(["-accept", &format!("127.0.0.1:{port}")])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(std::time::Instant::now() < until, "s_server {flags} does not listen");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let certificate = std::fs::read(folder.path().join(name).with_extension("crt"));
        let roots = Roots::from_pem(&certificate.expect("it was made"), "the test's");
        let mut settings = TlsSettings::default();
        settings.roots(roots.expect("a root"));
        both_ways(|way| {
            let ended = Guest::new(Program::example("https_get"), way)
                .allow(format!("tls-connect={NAME}:{port}"))
                .resolve(format!("{NAME}=127.0.0.1"))
                .tls(settings.clone())
                .arg(NAME)
                .arg(port)
                .arg("/")
                .run();
            match refused {
                false => assert!(ended.success().starts_with("HTTP/1.0 200 ok")),
                true => {
                    assert!(matches!(ended.result, Ok(Err(()))), "{name} {flags}: {ended:?}");
                    assert!(ended.stderr.contains("SSLError"), "{flags}: {}", ended.stderr);
                }
            }
        });
        server.kill().expect("it runs");
        let _ = server.wait();
    }
}
