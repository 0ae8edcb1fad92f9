//! The parts that all benchmarks share: one CPU, rounds that are interleaved in a rotating order,
//! medians, a table for people and a file for programs.

pub mod native;
pub mod tls;
pub mod wasi;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

pub use native::{Work, native, serve};

/// The measured times: for each row one time a column, in nanoseconds. None if a column does not do
/// the row's work.
#[derive(Debug)]
pub struct Table {
    /// The benchmark's name.
    pub name: &'static str,
    /// The subject and the method of the measurement, in one sentence.
    pub about: String,
    /// The columns' names.
    pub columns: Vec<&'static str>,
    /// Whether the others are the first's work, done otherwise.
    pub compared: bool,
    /// The rows' names and times.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Table {
    /// A table without rows.
    pub fn new(name: &'static str, about: impl Into<String>, columns: &[&'static str]) -> Self {
        Self {
            name,
            about: about.into(),
            columns: columns.to_vec(),
            compared: true,
            rows: Vec::new(),
        }
    }

    /// Measures a row: each column once a round, in an order that rotates. The result is the median
    /// of each column's times.
    pub fn measure(
        &mut self,
        row: &str,
        rounds: usize,
        mut column: impl FnMut(usize) -> Option<f64>,
    ) {
        let count = self.columns.len();
        let mut times = vec![Vec::new(); count];
        for round in 0..rounds {
            for turn in 0..count {
                let which = (round + turn) % count;
                let _watch = Watchdog::start(format!("{row}, {}", self.columns[which]));
                times[which].extend(column(which));
            }
            eprint!("\r{row}: round {}/{rounds}   ", round + 1);
            let _ = std::io::stderr().flush();
        }
        eprint!("\r{:60}\r", "");
        self.push(
            row,
            times.into_iter().map(|times| (!times.is_empty()).then(|| median(times))).collect(),
        );
    }

    /// Adds a row whose times are known, and prints it.
    pub fn push(&mut self, row: &str, times: Vec<Option<f64>>) {
        if self.rows.is_empty() {
            println!("{}", self.about);
            print!("{:<24}", "");
            self.columns.iter().for_each(|column| print!(" {column:>17}"));
            println!();
        }
        print!("{row:<24}");
        for (at, time) in times.iter().enumerate() {
            match (time, times[0]) {
                (None, _) => print!(" {:>17}", "-"),
                (Some(time), Some(first)) if at > 0 && self.compared => {
                    print!(" {:>8} {:>5.2} x", nanoseconds(*time), time / first)
                }
                (Some(time), _) => print!(" {:>17}", nanoseconds(*time)),
            }
        }
        println!();
        self.rows.push((row.to_owned(), times));
    }

    /// Writes the rows to `target/bench/NAME.json`, for `scripts/bench-report.py`.
    ///
    /// # Panics
    /// The file can't be written.
    pub fn save(&self) {
        let mut text = format!("{{\"bench\": {:?}, \"about\": {:?}", self.name, self.about);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let (cpu, cpus) = cpu();
        write!(text, ", \"time\": {now}, \"cpu\": {cpu:?}, \"cpus\": {cpus}")
            .expect("a string takes it");
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        write!(
            text,
            ", \"kernel\": {:?}, \"columns\": {:?}, \"compared\": {}, \"rows\": [",
            kernel.trim(),
            self.columns,
            self.compared
        )
        .expect("a string takes it");
        for (at, (row, times)) in self.rows.iter().enumerate() {
            let times: Vec<String> = times
                .iter()
                .map(|time| time.map_or_else(|| "null".to_owned(), |time| format!("{time:.1}")))
                .collect();
            let comma = if at > 0 { "," } else { "" };
            write!(text, "{comma}\n  {{\"row\": {row:?}, \"times\": [{}]}}", times.join(", "))
                .expect("a string takes it");
        }
        text.push_str("\n]}\n");
        let folder = crate::target().join("bench");
        std::fs::create_dir_all(&folder).expect("target/bench can be made");
        std::fs::write(folder.join(self.name).with_extension("json"), text)
            .expect("target/bench can be written");
    }
}

/// Ends the benchmark when one measurement hangs.
struct Watchdog(#[expect(dead_code, reason = "dropping it tells the thread")] Sender<()>);

impl Watchdog {
    fn start(what: String) -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            if receiver.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("\n{what}: it has not ended after a minute");
                std::process::exit(1);
            }
        });
        Self(sender)
    }
}

fn nanoseconds(time: f64) -> String {
    if time < 10_000.0 { format!("{time:.0} ns") } else { format!("{:.1} us", time / 1000.0) }
}

/// The middle one of the times.
pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The processor's own name, and how many the machine has.
fn cpu() -> (String, usize) {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut names =
        info.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = names.next().map_or("unknown", |(_, name)| name.trim()).to_owned();
    (name, names.count() + 1)
}

/// Runs this process, and those it starts, on one CPU: a wake-up across CPUs would decide
/// everything else. It is the last one, which the kernel's own work prefers least.
///
/// # Panics
/// The kernel does not let it.
pub fn pin() {
    let allowed = sched_getaffinity(None).expect("the kernel tells the CPUs");
    let last = (0..CpuSet::MAX_CPU).rev().find(|&cpu| allowed.is_set(cpu)).expect("there is one");
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one).expect("the kernel takes it");
}

/// This process's resident memory in KiB.
///
/// # Panics
/// The kernel does not tell it.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The other end of a benchmark: this program once more, with arguments that make it the peer, in a
/// process of its own.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    /// The first line that it printed.
    pub line: String,
}

impl Peer {
    /// Starts it, and waits for its first line.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stdin(Stdio::piped())
            .spawn()
            .expect("the peer starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("the peer speaks");
        Self { child, line: line.trim().to_owned() }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
