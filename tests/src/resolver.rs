//! A system's resolver of a test's own: namespaces in which glibc asks a name server that the test
//! runs.

use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::skip;

/// Set in a test's own child, which has the network and the mounts for itself.
const INSIDE: &str = "SANDSOCK_TESTS_IN_NAMESPACE";

/// Runs a test's body in namespaces of its own, where the system's resolver asks 127.0.0.1, host
/// names are `/etc/hosts` of [`HOSTS`], and the loopback has the addresses 93.184.216.34 to .36.
/// The host name is the body's to change.
///
/// The test, by its path `suite::name`, is this program again, as a child under unshare(1): the
/// host's resolver threads must be inside as well.
///
/// # Panics
/// If the body does.
pub fn with_own_resolver(test: &str, body: impl Fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let script = r#"
        set -e
        ip link set lo up
        for address in 93.184.216.34 93.184.216.35 93.184.216.36; do ip address add $address/32 dev lo; done
        folder=$(mktemp -d)
        mount -t tmpfs none "$folder"
        printf 'nameserver 127.0.0.1\noptions timeout:3 attempts:1\n' >"$folder/resolv.conf"
        printf 'hosts: files dns\nservices: files\nprotocols: files\n' >"$folder/nsswitch.conf"
        printf '%s' "$SANDSOCK_TESTS_HOSTS" >"$folder/hosts"
        for file in resolv.conf nsswitch.conf hosts; do mount --bind "$folder/$file" "/etc/$file"; done
        umount -l "$folder" && rmdir "$folder"
        hostname inside
        echo ready
        exec "$0" "$@"
    "#;
    let test_program = std::env::current_exe().expect("a path");
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--uts", "--propagation", "private", "bash", "-c", script])
        .arg(test_program)
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .env("SANDSOCK_TESTS_HOSTS", HOSTS)
        .output();
    let output = match output {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("ready") => output,
        Ok(output) => {
            return skip(
                test,
                &format!("no namespaces here: {}", String::from_utf8_lossy(&output.stderr).trim()),
            );
        }
        Err(error) => return skip(test, &format!("no unshare here: {error}")),
    };
    let text = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    assert!(output.status.success() && text.contains("1 passed"), "in the namespace:\n{text}");
}

/// `/etc/hosts` in there.
pub const HOSTS: &str = "\
127.0.0.1 localhost
::1 localhost ip6-localhost
192.0.2.80 files.example files www.files.example
";

/// dnsmasq, as the name server of these namespaces. It knows what it is given and that there is
/// nothing else below `example` and `arpa`.
#[derive(Debug)]
pub struct NameServer {
    child: Child,
    folder: tempfile::TempDir,
}

impl NameServer {
    /// Starts it with records in the form of a hosts file, and aliases. If it is not installed,
    /// prints that and returns None.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn start(test: &str, records: &str, aliases: &[(&str, &str)]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("hosts"), Self::file(records)).expect("is written");
        let mut command = Command::new("dnsmasq");
        command
            .args([
                "--keep-in-foreground",
                "--conf-file=",
                "--user=root",
                "--pid-file",
                "--no-resolv",
                "--no-hosts",
            ])
            .args([
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--cache-size=0",
                "--local-ttl=0",
                "--log-queries",
            ])
            .args(["--local=/example/", "--local=/arpa/"])
            .arg(format!("--addn-hosts={}", path("hosts").display()))
            .arg(format!("--log-facility={}", path("log").display()))
            .args(aliases.iter().map(|(alias, name)| format!("--cname={alias},{name}")));
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                skip(test, &format!("no dnsmasq: {error}"));
                return None;
            }
        };
        let server = Self { child, folder };
        server.until("it answers", || ("ready.example", 0).to_socket_addrs().is_ok());
        Some(server)
    }

    /// Every file has one name that is there for ever.
    fn file(records: &str) -> String {
        format!("192.0.2.250 ready.example\n{records}")
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "dnsmasq: not yet so: {what}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Changes the records, and returns once they are what it answers with.
    ///
    /// # Panics
    /// If they do not become that.
    pub fn change(&self, records: &str) {
        let reads = || self.log().matches("hosts - ").count();
        let before = reads();
        std::fs::write(self.path("hosts"), Self::file(records)).expect("is written");
        self.signal(Signal::HUP);
        self.until("it has read its file again", || reads() > before);
    }

    /// Stops it: it still receives, and answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on, with what it has heard meanwhile.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("no 0");
        kill_process(pid, signal).expect("it runs");
    }

    /// Returns the names that it was asked for so far, sorted, each once, without those of the
    /// harness.
    pub fn asked(&self) -> Vec<String> {
        let log = self.log();
        let name = |line: &str| {
            Some(line.split_once("query[")?.1.split_once("] ")?.1.split(' ').next()?.to_owned())
        };
        let mut names: Vec<String> =
            log.lines().filter_map(name).filter(|name| name != "ready.example").collect();
        names.sort();
        names.dedup();
        names
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
