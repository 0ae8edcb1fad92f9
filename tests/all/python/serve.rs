//! `sandsock python --listen`: an instance of the program for each connection (`tests/python/serving.py`).

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::serve::{PATIENCE, Serving};

/// A service that sends one word to each client.
fn service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"granted");
        }
    });
    port
}

fn serving(options: &[&str], port: u16) -> Serving {
    let mut python = Command::new(command());
    python.args(["python", "--listen", "127.0.0.1:0", "--runner"]).arg(target().join("python"));
    python.args(["--allow", &format!("tcp-connect=127.0.0.1:{port}")]).args(options);
    python.arg(script("serving.py")).arg(port.to_string());
    Serving::spawn(python)
}

/// A connection spoken to by lines.
struct Client(BufReader<TcpStream>);

impl Client {
    #[track_caller]
    fn of(serving: &Serving) -> Self {
        let stream = TcpStream::connect(&serving.address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("is set");
        Self(BufReader::new(stream))
    }

    #[track_caller]
    fn ask(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).expect("writes");
        self.hear()
    }

    #[track_caller]
    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("reads");
        line.trim_end().to_owned()
    }
}

#[test]
fn python_serves_each_connection_with_an_interpreter_of_its_own() {
    if !built() {
        return;
    }
    let port = service();
    let mut serving = serving(&["--grace", "1"], port);
    let mut clients: Vec<Client> = (0..5).map(|_| Client::of(&serving)).collect();
    for client in &mut clients {
        // No interpreter was asked before, whatever the others are asked meanwhile.
        assert_eq!(client.ask("count"), "1");
        assert_eq!(client.ask("service"), "granted");
        let other = format!("--allow tcp-connect=127.0.0.1:{}", port ^ 1);
        let refused = client.ask("other");
        assert!(refused.ends_with(&other), "{refused}");
        assert_eq!(client.ask("threads"), "249985000");
    }
    // The end of one disturbs no other.
    assert_eq!(clients.pop().expect("five").ask("status 3"), "");
    assert_eq!(clients.pop().expect("five").ask("status x"), "");
    serving_said(&serving, "ValueError: invalid literal for int()");
    assert_eq!(clients[0].ask("count"), "5");
    let (_, resident) = serving.size();
    println!("{resident} KiB are resident with {} interpreters", clients.len());
    // A signal interrupts those that wait.
    serving.signal(Signal::TERM);
    serving_said(&serving, "KeyboardInterrupt");
    assert!(serving.ended().success());
}

#[track_caller]
fn serving_said(serving: &Serving, words: &str) {
    let end = Instant::now() + PATIENCE;
    while !serving.output().contains(words) {
        assert!(Instant::now() < end, "it did not say {words:?}:\n{}", serving.output());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn python_serves_without_threads_too() {
    if !built() {
        return;
    }
    let serving = serving(&["--limit", "threads=0"], service());
    let mut clients = [Client::of(&serving), Client::of(&serving)];
    for client in &mut clients {
        assert_eq!(client.ask("count"), "1");
        assert_eq!(client.ask("service"), "granted");
    }
}

#[test]
fn python_interpreters_share_a_listener() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = "
import os, socket
with socket.socket(fileno=3) as listener:
    for _ in range(2):
        connection, _ = listener.accept()
        connection.sendall(os.environ['LISTEN_FDNAMES'].encode() + b'\\n')
        connection.close()
";
    let mut python = Command::new(command());
    python.args(["python", "--listen", "127.0.0.1:0", "--instances", "2", "--runner"]);
    python.arg(target().join("python")).args(["-c", program]).current_dir(folder.path());
    let mut serving = Serving::spawn(python);
    for _ in 0..4 {
        assert_eq!(Client::of(&serving).hear(), "listen");
    }
    // Both have ended by themselves.
    assert!(serving.ended().success());
}

#[test]
fn python_serving_options_need_an_address() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for option in ["--instances=2", "--grace=1", "--workers=1", "--max-connections=9"] {
        let (_, stderr) = code(folder.path(), 125, &[option], "pass");
        assert!(stderr.contains("--listen <ADDR>"), "{option}: {stderr}");
    }
    let (_, stderr) = code(folder.path(), 125, &["--listen", "127.0.0.1"], "pass");
    assert!(stderr.contains("--listen 127.0.0.1: the port is missing"), "{stderr}");
}
