//! Promise: a reader that does not read holds up only the guest that writes to it, not the other
//! guests of its worker, and not the end of the command.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandsock_tests::{command, programs};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// `sandsock serve` with one worker, ended on drop.
pub(super) struct Serving {
    child: Child,
    socket: PathBuf,
}

impl Serving {
    pub(super) fn start(folder: &Path, options: &[&str], stdout: Stdio, stderr: Stdio) -> Self {
        let socket = folder.join("serve.sock");
        let mut command = Command::new(command());
        command.args(["serve", "--workers", "1", "--grace", "0", "--listen"]).arg(&socket);
        command.args(options).arg(programs::attack_output_unread_waits.path());
        let child =
            command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().expect("starts");
        let start = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(start.elapsed() < PATIENCE, "it does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, socket }
    }

    pub(super) fn connect(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(&self.socket).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("is set");
        BufReader::new(stream)
    }

    fn end(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is there");
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a line and returns the answer.
pub(super) fn ask(connection: &mut BufReader<UnixStream>, words: &str) -> String {
    connection.get_mut().write_all(format!("{words}\n").as_bytes()).expect("writes");
    let mut answer = String::new();
    connection.read_line(&mut answer).unwrap_or_else(|error| panic!("{words}: {error}"));
    answer.trim_end().to_owned()
}

#[test]
pub(crate) fn attack_output_unread_waits() {
    for (flood, log) in [("flood", false), ("complain", false), ("complain", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let options: &[&str] = if log { &["-v", "--trace", "--stats"] } else { &[] };
        let (stdout, stderr) = match flood {
            "flood" => (Stdio::from(writer), Stdio::null()),
            _ => (Stdio::null(), Stdio::from(writer)),
        };
        let mut serving = Serving::start(folder.path(), options, stdout, stderr);
        let mut guests = [serving.connect(), serving.connect()];
        guests[0].get_mut().write_all(format!("{flood}\n").as_bytes()).expect("writes");
        // The buffer is full by then.
        std::thread::sleep(Duration::from_millis(500));
        for _ in 0..100 {
            assert_eq!(ask(&mut guests[1], "count"), "alive", "{flood}");
        }
        assert_eq!(ask(&mut serving.connect(), "count"), "alive", "{flood}");
        assert_eq!(serving.end().code(), Some(0), "{flood}");
        drop(reader);
    }
    // The twin's reader reads late, and gets every byte.
    const BYTES: usize = 4 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut serving = Serving::start(folder.path(), &[], Stdio::from(writer), Stdio::null());
    let mut guests = [serving.connect(), serving.connect()];
    guests[0].get_mut().write_all(format!("write {BYTES}\n").as_bytes()).expect("writes");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ask(&mut guests[1], "count"), "alive");
    let mut read = vec![0; BYTES];
    reader.read_exact(&mut read).expect("reads");
    assert!(read.iter().all(|byte| *byte == b'w'));
    let mut answer = String::new();
    guests[0].read_line(&mut answer).expect("reads");
    assert_eq!(answer, "written\n");
    assert_eq!(serving.end().code(), Some(0));
}

/// More records than fit into a buffer.
const DENIALS: usize = 20_000;

#[test]
fn attack_output_of_observers_unread_is_lost_and_counted() {
    for option in ["--audit", "--trace", "--pcap", "--stats=json:"] {
        let folder = tempfile::tempdir().expect("a folder");
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from(0o600),
            0,
        )
        .expect("makes");
        let option = match option {
            "--stats=json:" => format!("{option}{}", fifo.display()),
            _ => format!("{option}={}", fifo.display()),
        };
        let said = folder.path().join("said");
        let stderr = Stdio::from(File::create(&said).expect("makes"));
        let mut serving = Serving::start(folder.path(), &[&option], Stdio::null(), stderr);
        let mut guests = [serving.connect(), serving.connect()];
        assert_eq!(ask(&mut guests[0], &format!("denials {DENIALS}")), "denied", "{option}");
        assert_eq!(ask(&mut guests[1], "count"), "alive", "{option}");
        assert_eq!(serving.end().code(), Some(0), "{option}");
        let said = std::fs::read_to_string(said).expect("is there");
        // Denied calls are not in a capture, and statistics are short.
        let lost = option.starts_with("--audit") || option.starts_with("--trace");
        assert_eq!(said.contains(" were lost: its output was too slow"), lost, "{option}: {said}");
    }
}

#[test]
fn attack_output_of_observers_to_a_file_or_a_reader_is_whole() {
    for fifo in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit");
        if fifo {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                &path,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::from(0o600),
                0,
            )
            .expect("makes");
        }
        let said = folder.path().join("said");
        let stderr = Stdio::from(File::create(&said).expect("makes"));
        let audit = format!("--audit={}", path.display());
        let mut serving = Serving::start(folder.path(), &[&audit], Stdio::null(), stderr);
        let reader = fifo.then(|| {
            let mut file = File::open(&path).expect("opens");
            std::thread::spawn(move || {
                let mut text = String::new();
                file.read_to_string(&mut text).expect("reads");
                text
            })
        });
        assert_eq!(ask(&mut serving.connect(), &format!("denials {DENIALS}")), "denied");
        assert_eq!(serving.end().code(), Some(0));
        let text = match reader {
            Some(reader) => reader.join().expect("no panic"),
            None => std::fs::read_to_string(&path).expect("is there"),
        };
        assert!(text.ends_with('\n'), "{fifo}");
        let lines = text.lines().filter(|line| line.contains("\"deny\"")).count();
        let said = std::fs::read_to_string(said).expect("is there");
        if !fifo {
            assert_eq!(lines, DENIALS, "{said}");
        }
        // The reader may be slower than the guest: then the loss is reported.
        assert_eq!(lines == DENIALS, !said.contains("were lost"), "{said}");
    }
}
