//! Promise: what an instance leaves to the pools of threads does not stop other instances: not
//! those that ask this host's own files, and not those that ask a name server.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sandsock_tests::resolver::with_own_resolver;
use sandsock_tests::{command, programs};

use crate::names::HostileServer;

/// Ended on drop.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One connection, to an instance of its own: says a line, and gives the answer and how long it
/// took.
fn ask(address: &str, line: &str) -> (String, Duration) {
    let start = Instant::now();
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("is set");
    stream.write_all(format!("{line}\n").as_bytes()).expect("writes");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("reads");
    (answer.trim_end().to_owned(), start.elapsed())
}

#[test]
pub(crate) fn attack_pools_lookups_bounded() {
    with_own_resolver("attacks::pools::attack_pools_lookups_bounded", || {
        // It never answers for one name, and for no address.
        let server = HostileServer::start(|name, _| match name {
            "quick.example" => Some((None, vec![[93, 184, 216, 34]])),
            _ => None,
        });
        // The resolver's own time, for three rounds of questions.
        std::fs::write("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:10 attempts:3\n")
            .expect("the file is ours");
        for (name, connections) in [("quick.example", 8), ("silent.example", 8)] {
            let mut command = Command::new(command());
            command.args(["serve", "--workers", "1", "--listen", "127.0.0.1:0"]);
            command.args(["--allow", "resolve=*", "--allow", "reverse-resolve=*"]);
            command.arg(programs::attack_pools_lookups_bounded.path());
            let mut serving = Serving(command.stderr(Stdio::piped()).spawn().expect("starts"));
            let mut said = BufReader::new(serving.0.stderr.take().expect("piped")).lines();
            let line = said.find_map(|line| {
                line.ok()?.split_once("listening on ").map(|(_, address)| address.to_owned())
            });
            let address = line.expect("it says where it listens");
            std::thread::spawn(move || said.for_each(drop));
            for _ in 0..connections {
                assert_eq!(ask(&address, &format!("abandon {name}")).0, "abandoned");
            }
            // The twin's name server answers, and the same acts are harmless.
            for line in ["tables", "name quick.example", "tables"] {
                let (answer, took) = ask(&address, line);
                println!("{name}: {line}: {answer} after {took:?}");
                let expected = if line == "tables" {
                    "192.0.2.1 192.0.2.80 files.example"
                } else {
                    "93.184.216.34"
                };
                assert_eq!(answer, expected);
                assert!(took < Duration::from_secs(5), "{name}: {line}: {took:?}");
            }
        }
        assert!(server.asked().iter().any(|name| name == "silent.example"));
    });
}
