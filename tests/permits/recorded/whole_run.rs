//! The same for the whole run of the tests: all guests that run in the tests' own process.
//!
//! A guest has a thread of its own, with a name. A system call there needs a permit that was issued
//! there before. Some calls are made on the host's own threads, for any guest. They need a permit
//! that was issued before on any thread. The tests' own peers have other threads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use sandsock_tests::built;
use sandsock_tests::recording::{GUEST_THREAD, RECORD};
use sandsock_tests::skip;

use super::{CALLS, Event, events};

/// The host's threads that act for guests. Those of look-ups have the C library's sockets.
const HOST_THREADS: [&str; 4] =
    ["sandsock-bind", "sandsock-block", "sandsock-close", "sandsock-closer"];

/// A line of strace's: the thread, its name, and the rest.
struct Line<'a> {
    thread: u32,
    name: &'a str,
    call: &'a str,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (thread, rest) = line.split_once('<')?;
        let (name, call) = rest.split_once("> ")?;
        Some(Self { thread: thread.trim().parse().ok()?, name, call: call.trim_start() })
    }

    /// Returns the thread that this call has made.
    fn made(&self) -> Option<u32> {
        let call = self.call.strip_prefix("<... ").unwrap_or(self.call);
        let is_clone = ["clone", "vfork", "fork"].iter().any(|name| call.starts_with(name));
        self.call.rsplit_once(" = ").filter(|_| is_clone)?.1.split(['<', ' ']).next()?.parse().ok()
    }
}

/// The life of a thread. Numbers are used again.
type Life = (u32, usize);

/// Finds the threads of the tests' own processes.
struct Processes<'a> {
    /// How the tests' program is called.
    program: &'a str,
    parents: BTreeMap<Life, Life>,
    /// Whether the thread's process runs the tests' program.
    programs: BTreeMap<Life, bool>,
}

impl<'a> Processes<'a> {
    fn new<'l>(program: &'a str, lines: impl Iterator<Item = Line<'l>>) -> Self {
        let mut found = Self { program, parents: BTreeMap::new(), programs: BTreeMap::new() };
        let (mut ends, mut born) = (BTreeMap::<u32, usize>::new(), BTreeMap::<u32, usize>::new());
        for line in lines {
            let life = (line.thread, ends.get(&line.thread).copied().unwrap_or(0));
            if let Some(child) = line.made() {
                // Its first calls may come before this line.
                let number = born.entry(child).or_default();
                found.parents.insert((child, *number), life);
                *number += 1;
            } else if line.call.starts_with("execve(") {
                found.programs.insert(life, line.call.contains(found.program));
            } else if line.call.starts_with("+++ ") {
                *ends.entry(line.thread).or_default() += 1;
            }
        }
        found
    }

    fn are_tests(&self, life: Life) -> bool {
        match (self.programs.get(&life), self.parents.get(&life)) {
            (Some(&are_tests), _) => are_tests,
            (None, Some(&parent)) => self.are_tests(parent),
            (None, None) => false,
        }
    }
}

/// What the comparison has found.
#[derive(Debug, Default, PartialEq)]
struct Compared {
    guests: usize,
    permits: usize,
    /// How often each kind of call had a permit.
    found: BTreeMap<String, usize>,
    missing: Vec<String>,
}

/// Compares the calls of a trace with the permits in it.
fn compare(trace: &str, program: &str) -> Compared {
    let lines = || trace.lines().filter_map(Line::read);
    let processes = Processes::new(program, lines());
    let mut compared = Compared::default();
    let (mut ends, mut all) = (BTreeMap::<u32, usize>::new(), BTreeSet::new());
    let mut issued = BTreeMap::<Life, BTreeSet<String>>::new();
    for (text, line) in trace.lines().filter_map(|text| Some((text, Line::read(text)?))) {
        let life = (line.thread, ends.get(&line.thread).copied().unwrap_or(0));
        if line.call.starts_with("+++ ") {
            *ends.entry(line.thread).or_default() += 1;
            issued.remove(&life);
            continue;
        }
        let is_guest = line.name == GUEST_THREAD;
        if !is_guest && !HOST_THREADS.contains(&line.name) || !processes.are_tests(life) {
            continue;
        }
        for event in events(text) {
            match event {
                Event::Permit(permit) => {
                    compared.permits += 1;
                    let own = issued.entry(life).or_insert_with(|| {
                        compared.guests += usize::from(is_guest);
                        BTreeSet::new()
                    });
                    own.insert(permit.clone());
                    all.insert(permit);
                }
                Event::Call(call) => {
                    let has_permit = match is_guest {
                        true => issued.get(&life).is_some_and(|own| own.contains(&call)),
                        false => all.contains(&call),
                    };
                    if has_permit {
                        let kind = call.split(' ').next().unwrap_or_default();
                        *compared.found.entry(kind.to_owned()).or_default() += 1;
                    } else {
                        compared.missing.push(format!("{call}: {text}"));
                    }
                }
            }
        }
    }
    compared
}

/// The program of the tests of `tests/all`.
fn program() -> Option<PathBuf> {
    let found = built::programs("all");
    found.into_iter().max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok())
}

/// Runs all tests once more, slowly. A test that depends on time may fail then, which is no failure
/// here: it is one of what the tests' own run shows.
#[test]
#[ignore = "it runs all tests once more: make attacks"]
fn every_system_call_of_the_whole_run_has_a_permit() {
    const TEST: &str = "every_system_call_of_the_whole_run_has_a_permit";
    if Command::new("strace").arg("-V").output().is_err() {
        return skip(TEST, "strace is not installed");
    }
    let Some(program) = program() else {
        return skip(TEST, "the program of tests/all is not built");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-q", "-Y", "-X", "raw", "-s", "4096", "-e"]);
    strace.arg(format!("trace=pwrite64,execve,clone,clone3,fork,vfork,{CALLS}"));
    strace.args(["-e", "signal=none", "-o"]).arg(&trace).arg(&program);
    strace.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).env(RECORD, "1");
    let output = strace.output().expect("starts");
    let report = String::from_utf8_lossy(&output.stdout);
    let result = report.lines().rfind(|line| line.starts_with("test result")).unwrap_or_default();
    let trace =
        String::from_utf8_lossy(&std::fs::read(trace).expect("strace writes it")).into_owned();
    let name = program.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let compared = compare(&trace, name);
    let calls: usize = compared.found.values().sum();
    println!("{result}");
    println!(
        "compared {calls} system calls of {} guests with {} permits: {:?}",
        compared.guests, compared.permits, compared.found
    );
    assert_eq!(compared.missing, [""; 0], "system calls without a permit");
    assert!(compared.guests > 500 && calls > 10_000, "{compared:?}");
}

#[test]
fn a_system_call_of_a_guest_without_a_permit_of_its_own_is_found() {
    let permit = |thread: &str| {
        format!(
            "{thread} pwrite64(3, \"TRACE permit: Create {{ domain: 2, kind: 1, protocol: 0 }}\\n\", 60, 0) = 60\n"
        )
    };
    let call = |thread: &str| format!("{thread} socket(0x2, 0x1|0x80800, 0) = 9\n");
    let begin = "1<all-1> execve(\"/all-1\", [], 0) = 0\n1<all-1> clone3({}, 88) = 2<guest>\n\
                 1<all-1> vfork() = 4<all-1>\n4<all-1> execve(\"/sandsock\", [], 0) = 0\n\
                 4<sandsock> clone3({}, 88) = 5<sandsock-block>\n";
    let born = "1<all-1> <... clone3 resumed>, 88) = 3<guest>\n";
    let trace = [
        begin.to_owned(),
        permit("2<guest>"),
        call("2<guest>"),
        // Its birth is shown later.
        call("3<guest>"),
        born.to_owned(),
        // A peer of a test, and a command.
        call("1<all-1>"),
        call("5<sandsock-block>"),
        // A number that is used again.
        "2<guest> +++ exited with 0 +++\n".to_owned(),
        "1<all-1> clone3({}, 88) = 2<sandsock-block>\n".to_owned(),
        call("2<sandsock-block>"),
    ];
    let compared = compare(&trace.concat(), "all-1");
    assert_eq!((compared.guests, compared.permits), (1, 1));
    assert_eq!(compared.found, BTreeMap::from([("socket".to_owned(), 2)]));
    let [missing] = &compared.missing[..] else { panic!("{compared:?}") };
    assert!(missing.contains("3<guest>"), "{missing}");
}
