//! Programs for wasi:sockets that were not written for sandsock: with stock libraries from the
//! registry (hyper on tokio, minreq, rsdns), in C with wasi-libc, in Python with its own `socket`.
//! `make apps` builds them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use sandsock_tests::{command, raise_descriptor_limit, skip, target};

/// The time that one app may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Returns `sandsock run` with options, the app and its arguments. None if the app is not built.
fn app(test: &str, name: &str, options: &[&str], args: &[&str]) -> Option<assert_cmd::Command> {
    let path = target().join("apps").join(name).with_extension("wasm");
    if !path.exists() {
        skip(test, &format!("no target/apps/{name}.wasm; `make apps` builds it"));
        return None;
    }
    let mut run = assert_cmd::Command::new(command());
    run.arg("run").args(options).arg(path).args(args).timeout(LIMIT);
    Some(run)
}

/// A server that runs as an app.
struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Server {
    /// Starts the app and waits for the line `listening on ADDRESS`. None if it is not built.
    fn start(test: &str, name: &str, options: &[&str], args: &[&str]) -> Option<Self> {
        let path = target().join("apps").join(name).with_extension("wasm");
        if !path.exists() {
            skip(test, &format!("no target/apps/{name}.wasm; `make apps` builds it"));
            return None;
        }
        let mut child = std::process::Command::new(command())
            .arg("run")
            .args(options)
            .arg(path)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("reads");
        let address = line.trim_end().strip_prefix("listening on ").expect("it listens");
        let address = address.parse().expect("an address");
        Some(Self { child, stdout, address })
    }

    /// Waits for the app's end, and returns the rest of its output.
    fn end(mut self) -> String {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("reads");
        assert!(self.child.wait().expect("ends").success(), "{rest}");
        rest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a text of its own on every connection at the same time, and gets it back.
fn echo(address: SocketAddr, connections: usize) {
    let mut streams: Vec<TcpStream> = (0..connections)
        .map(|_| {
            let stream = TcpStream::connect(address).expect("connects");
            stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
            stream
        })
        .collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.write_all(format!("number {number:08}").as_bytes()).expect("sends");
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let mut back = [0; 15];
        stream.read_exact(&mut back).expect("receives");
        assert_eq!(String::from_utf8_lossy(&back), format!("number {number:08}"));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn apps_in_c_serve_a_thousand_connections() {
    let name = "apps_in_c_serve_a_thousand_connections";
    raise_descriptor_limit(3000);
    let options = ["--allow", "tcp-listen=127.0.0.1:0", "--limit", "descriptors=2000"];
    let args = ["127.0.0.1", "0", "1000"];
    let Some(server) = Server::start(name, "poll_echo", &options, &args) else { return };
    echo(server.address, 1000);
    assert_eq!(server.end(), "served 1000 connections\n");
}

#[test]
fn apps_in_c_without_a_grant_are_denied_and_the_grant_is_printed_once() {
    let name = "apps_in_c_without_a_grant_are_denied_and_the_grant_is_printed_once";
    let Some(mut run) = app(name, "poll_echo", &[], &["127.0.0.1", "0", "1"]) else { return };
    let output = run.output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert_eq!(stderr.matches("--allow tcp-listen=127.0.0.1:0").count(), 1, "{stderr}");
}

#[test]
fn apps_in_python_serve_http() {
    let options = ["--allow", "tcp-listen=127.0.0.1:0"];
    let args = ["127.0.0.1", "0", "2"];
    let Some(server) = Server::start("apps_in_python_serve_http", "http_server", &options, &args)
    else {
        return;
    };
    for path in ["/one", "/two"] {
        let mut stream = TcpStream::connect(server.address).expect("connects");
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("receives");
        let body = format!("you asked for {path}\n");
        assert!(answer.starts_with("HTTP/1.0 200 OK") && answer.ends_with(&body), "{answer}");
    }
    server.end();
}

/// Serves one HTTP answer a connection.
fn http_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = BufReader::new(stream.try_clone().expect("another handle"));
            let mut first = String::new();
            let _ = request.read_line(&mut first);
            let mut line = String::new();
            while request.read_line(&mut line).is_ok_and(|count| count > 2) {
                line.clear();
            }
            let path = first.split(' ').nth(1).unwrap_or_default();
            let body = format!("you asked for {path}\n");
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    address
}

#[test]
fn apps_minreq_gets_a_page() {
    let address = http_server();
    let grant = format!("tcp-connect=page.example:{}", address.port());
    let url = format!("http://page.example:{}/a", address.port());
    let resolve = ["--resolve", "page.example=127.0.0.1"];
    let options = [&["--allow", &grant], &resolve[..]].concat();
    let Some(mut run) = app("apps_minreq_gets_a_page", "minreq_client", &options, &[&url]) else {
        return;
    };
    run.assert().success().stdout("200 you asked for /a\n");

    let Some(mut run) = app("apps_minreq_gets_a_page", "minreq_client", &[], &[&url]) else {
        return;
    };
    let stderr = text(&run.output().expect("runs").stderr);
    assert!(stderr.contains("--allow resolve=page.example"), "{stderr}");
}

#[test]
fn apps_rsdns_asks_a_name_server() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let server = socket.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            // RFC 1035 4.1: the same header with one answer, the question, and one A record whose
            // name points to the question's.
            let question = 12 + buffer[12..].iter().position(|&byte| byte == 0).expect("ends") + 5;
            assert!(count >= question);
            let mut answer = buffer[..question].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
            let _ = socket.send_to(&answer, from);
        }
    });
    let name = "apps_rsdns_asks_a_name_server";
    let grant = format!("udp-send={server}");
    let args = [server.as_str(), "host.example"];
    let Some(mut run) = app(name, "rsdns_client", &["--allow", &grant], &args) else { return };
    run.assert().success().stdout("192.0.2.7\n");

    // It panics if it can't bind. With a grant to bind alone, the send is denied.
    for (options, missing) in
        [(&[][..], "udp-bind=0.0.0.0:0"), (&["--allow", "udp-bind=0.0.0.0:0"][..], grant.as_str())]
    {
        let Some(mut run) = app(name, "rsdns_client", options, &args) else { return };
        let output = run.output().expect("runs");
        assert!(!output.status.success());
        let stderr = text(&output.stderr);
        assert!(stderr.contains(&format!("--allow {missing}")), "{stderr}");
    }
}

#[test]
fn apps_hyper_on_tokio_gets_pages() {
    let name = "apps_hyper_on_tokio_gets_pages";
    let address = http_server().to_string();
    let grant = format!("tcp-connect={address}");
    let args = [address.as_str(), "/a", "/b", "/c"];
    let Some(mut run) = app(name, "hyper_client", &["--allow", &grant], &args) else { return };
    run.assert()
        .success()
        .stdout("200 you asked for /a\n200 you asked for /b\n200 you asked for /c\n");

    let Some(mut run) = app(name, "hyper_client", &[], &args) else { return };
    let output = run.output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert_eq!(stderr.matches(&format!("--allow {grant}")).count(), 1, "{stderr}");
}

#[test]
fn apps_in_python_use_its_own_socket() {
    let name = "apps_in_python_use_its_own_socket";
    let address = http_server();
    let port = address.port().to_string();
    let grant = format!("tcp-connect=127.0.0.1:{port}");
    let args = ["127.0.0.1", port.as_str(), "/p"];
    let Some(mut run) = app(name, "http_client", &["--allow", &grant], &args) else { return };
    run.assert().success().stdout("200 you asked for /p\n");

    let Some(mut run) = app(name, "http_client", &[], &args) else { return };
    let output = run.output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("PermissionError"), "{stderr}");
    assert!(stderr.contains(&format!("--allow {grant}")), "{stderr}");
}
