//! Sessions against OpenSSL's command, in both roles and both versions, over TCP.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::*;
use sandsock_tls::{
    Client, ClientAuth, ClientOptions, Plain, Server, ServerOptions, Session, Version,
};

/// Kills the command at the end of a test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has_openssl() -> bool {
    let has = Command::new("openssl").arg("version").output().is_ok_and(|out| out.status.success());
    if !has {
        eprintln!("skipped: the command openssl is missing");
    }
    has
}

/// Moves bytes until a condition holds.
fn drive(session: &mut Session, stream: &mut TcpStream, done: impl Fn(&mut Session) -> bool) {
    let mut buffer = [0; 4096];
    loop {
        while session.has_bytes() {
            stream.write_all(&session.drain(usize::MAX)).unwrap();
        }
        if session.failure().is_some() || done(session) {
            return;
        }
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            session.feed_end();
            return;
        }
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            match session.feed(rest) {
                Ok(0) | Err(_) => break,
                Ok(taken) => rest = &rest[taken..],
            }
        }
    }
}

fn write_files(folder: &Path, authority: &Authority, server: &Pem, client: &Pem) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("roots.pem", &authority.0.pem());
    write("server.pem", &format!("{}{}", server.chain, server.key));
    write("client.pem", &format!("{}{}", client.chain, client.key));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn openssl_serves_a_client() {
    if !has_openssl() {
        return;
    }
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let pem = authority.issue(&["client"]);
    write_files(folder.path(), &authority, &authority.issue(&[NAME]), &pem);
    for (flag, version) in [("-tls1_2", Version::Tls12), ("-tls1_3", Version::Tls13)] {
        let port = free_port();
        let _server = Running(
            Command::new("openssl")
                .args(["s_server", "-quiet", "-rev", "-cert", "server.pem", "-Verify", "1"])
                .args(["-CAfile", "roots.pem", "-verify_return_error", "-alpn", "echo", flag])
                .args(["-accept", &format!("127.0.0.1:{port}")])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let until = Instant::now() + Duration::from_secs(20);
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let options = ClientOptions {
            alpn: vec![b"other".to_vec(), b"echo".to_vec()],
            identity: Some(pem.identity()),
            ..client_options(&authority.roots())
        };
        let mut session = Client::new(&options).unwrap().session(NAME).unwrap();
        drive(&mut session, &mut stream, |session| !session.is_handshaking());
        let info = session.info().expect("the handshake is over");
        assert_eq!((info.version, info.alpn.as_deref()), (version, Some(&b"echo"[..])));
        // s_server -rev answers each line with its bytes in reverse.
        session.write(b"olleh\n").unwrap();
        drive(&mut session, &mut stream, Session::is_readable);
        assert_eq!(session.read(100), Ok(Plain::Bytes(b"hello\n".to_vec())));
    }
}

#[test]
fn a_server_serves_openssl() {
    if !has_openssl() {
        return;
    }
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let pem = authority.issue(&[NAME]);
    write_files(folder.path(), &authority, &pem, &authority.issue(&["client"]));
    for (flag, version) in [("-tls1_2", Version::Tls12), ("-tls1_3", Version::Tls13)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = Running(
            Command::new("openssl")
                .args(["s_client", "-quiet", "-CAfile", "roots.pem", "-verify_return_error"])
                .args(["-verify_hostname", NAME, "-servername", NAME, "-cert", "client.pem", flag])
                .args(["-connect", &format!("127.0.0.1:{port}")])
                .current_dir(folder.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let (mut stream, _) = listener.accept().unwrap();
        let options = ServerOptions {
            client_auth: ClientAuth::Required(authority.roots()),
            ..server_options(&pem)
        };
        let mut session = Server::new(&options).unwrap().session().unwrap();
        drive(&mut session, &mut stream, |session| !session.is_handshaking());
        let info = session.info().expect("the handshake is over");
        assert_eq!((info.version, info.server_name.as_deref()), (version, Some(NAME)));
        // The command sends the authority's certificate too.
        assert_eq!(info.peer_chain.len(), 2);
        let mut stdin = client.0.stdin.take().unwrap();
        stdin.write_all(b"question").unwrap();
        drive(&mut session, &mut stream, Session::is_readable);
        assert_eq!(session.read(100), Ok(Plain::Bytes(b"question".to_vec())));
        session.write(b"answer").unwrap();
        session.close();
        drive(&mut session, &mut stream, |_| true);
        drop((stream, stdin));
        let mut answer = String::new();
        client.0.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    }
}
