//! Promise: the host's memory follows the bytes that a guest has, not the number of lists that
//! share them, with observers and without.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use sandsock_tests::{Guest, both_ways, command, programs};

/// Much less than what the lists would have together, and more than the guest and the command have:
/// in MiB.
const MOST: u64 = 320;

/// The most memory that a process had: in MiB.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

#[test]
pub(crate) fn attack_lists_shared_bounded() {
    let program = programs::attack_lists_shared_bounded;
    both_ways(|way| {
        Guest::new(program, way).arg("twin").run().success();
        Guest::new(program, way).run().success();
    });
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let observers = [
        vec![],
        vec![
            format!("--trace={}", at("trace")),
            "--pcap".to_owned(),
            at("pcap"),
            "--audit".to_owned(),
            at("audit"),
        ],
        vec![format!("--stats=json:{}", at("stats")), format!("--trace={}", at("trace"))],
    ];
    for options in observers {
        let mut command = Command::new(command());
        command.arg("run").args(&options).arg(program.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("reads");
        let peak = peak(child.id());
        child.stdin.take().expect("piped").write_all(b"\n").expect("writes");
        assert!(child.wait().expect("ends").success() && line == "done\n", "{options:?}: {line}");
        println!("{options:?}: {peak} MiB");
        assert!(peak < MOST, "{options:?}: {peak} MiB");
    }
    // Lists are shown cut, with their lengths as they are.
    let trace = std::fs::read_to_string(folder.path().join("trace")).expect("was written");
    assert!(
        trace.lines().any(|line| line.starts_with("sendmmsg(") && line.contains(", ...], 2024, 0")),
        "{trace}"
    );
    assert!(trace.len() < 4 << 20, "{}", trace.len());
}
