//! Random scripts of what a program does to a file over a socket: native Python and a guest must
//! print the same, and make the same system calls with as many bytes.

use std::sync::{Arc, Mutex};

use sandsock_host::observe::{Call, Interest, Observer, Value};
use sandsock_tests::{Guest, both_ways, programs, skip};

use super::{difference, python_version, run_python};

/// How many scripts there are, unless SANDSOCK_SCRIPTS says another number.
const COUNT: usize = 400;

/// Numbers that only look random (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("64 bits") % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn is(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

const STREAM: &str = "1";
const DATAGRAM: &str = "2";
const PACKETS: &str = "5";

/// A size that a read asks for: small, around the buffer's, or large.
fn size(random: &mut Random, buffer: usize) -> usize {
    match random.below(10) {
        0 => 0,
        1 => buffer,
        2 => buffer + 1,
        3 => buffer.saturating_sub(1),
        4 => 2 * buffer + random.below(3),
        5 => random.one(&[9_000, 20_000, 100_000, 200_000]),
        _ => 1 + random.below(12),
    }
}

/// Something that the peer sends, or does.
fn peer(random: &mut Random, words: &mut Vec<String>, is_text: bool) {
    const PIECES: &[&str] = &[
        "%0a",
        "%0d",
        "%0d%0a",
        "a",
        "bc",
        "def%0aghi",
        "%c3%a9",
        "%c3",
        "%a9",
        "%f0%9f%98%80",
        "%ff",
        "x%0d",
        "%0ay",
    ];
    words.push(match random.below(6) {
        0 => format!("S{}", random.one(&[100, 5_000, 8_192, 8_193, 20_000])),
        1 => format!("S{}", 1 + random.below(30)),
        _ if is_text => {
            let count = 1 + random.below(5);
            format!("b{}", (0..count).map(|_| random.one(PIECES)).collect::<String>())
        }
        2 => "babc%0ad".to_owned(),
        3 => "b%0a%0a".to_owned(),
        4 => "b%00%ff%0ae".to_owned(),
        _ => "babcdefgh".to_owned(),
    });
}

/// Returns a call that reads.
fn read(
    random: &mut Random,
    words: &mut Vec<String>,
    (is_text, is_raw): (bool, bool),
    buffer: usize,
    newest: bool,
) {
    // CPython before 3.13 has another end of the text after `read()`, which `readline(0)` shows.
    let size = size(random, buffer).max(usize::from(!newest && is_text));
    let verb = match (is_text, is_raw) {
        (true, _) => random.one(&["r", "r", "l", "l", "l"]),
        (_, true) => random.one(&["r", "i", "i", "l"]),
        _ => random.one(&["r", "r", "1", "1", "i", "j", "l", "l"]),
    };
    words.push(match random.below(12) {
        0 => "r".to_owned(),
        1 => "l".to_owned(),
        2 => format!("L{}", random.below(10)),
        3 if !is_text && !is_raw => random.one(&["p", "1"]).to_owned(),
        _ => format!("{verb}{size}"),
    });
}

/// Returns a call that writes. The peer's buffer is full after some 200,000 bytes.
fn write(
    random: &mut Random,
    words: &mut Vec<String>,
    is_text: bool,
    buffer: usize,
    timeout: &str,
) {
    let count = match random.below(8) {
        0 => buffer,
        1 => buffer + 1,
        2 => 2 * buffer,
        3 => random.one(&[8_190, 8_192, 9_000, 70_000, 300_000]),
        _ => random.below(9),
    };
    let count = match timeout {
        "0" => count,
        "-" => count.min(9_000),
        // CPython waits before it sends, until less than a quarter of the buffer is in use, and a
        // guest sends at once. So it is little, or the buffer is full.
        _ if count < 100_000 => count.min(2_000),
        _ => count,
    };
    words.push(match random.below(5) {
        0 if is_text => "w%c3%a9%0a%e2%82%ac".to_owned(),
        0 if timeout == "0" => "w".to_owned(),
        0 | 1 => "wab%0ac".to_owned(),
        _ => format!("N{}", if timeout == "0" { count } else { count.max(1) }),
    });
}

/// Returns a call that has little to do with bytes.
fn other(random: &mut Random, words: &mut Vec<String>) {
    words.push(
        random
            .one(&["f", "f", "f", "?", "t", "k", "k1", "z", "c", "d", "X", "D", "E", "C"])
            .to_owned(),
    );
}

/// A script. `newest` is whether this Python writes as CPython 3.13 does.
fn script(random: &mut Random, newest: bool) -> String {
    let kind = random.one(&[STREAM, STREAM, STREAM, STREAM, DATAGRAM, PACKETS]);
    let is_text = random.is(2);
    let mut mode = if is_text {
        random.one(&["r", "r", "w", "rw"])
    } else {
        random.one(&["rb", "rb", "wb", "rwb"])
    };
    if !newest && mode.contains('w') {
        mode = if is_text { "r" } else { "rb" };
    }
    let buffering = if is_text {
        random.one(&["", "1", "7", "100"])
    } else {
        random.one(&["", "", "0", "1", "2", "7", "100"])
    };
    let buffer = buffering.parse().unwrap_or(8192);
    let (reads, writes) = (mode.contains('r'), mode.contains('w'));
    let mut timeout = random.one(&["0", "0", "0.003", "-"]);
    if kind != STREAM && timeout == "-" {
        timeout = "0";
    }
    let (encoding, errors, newline) = match is_text {
        true => (
            random.one(&["", "", "", "ascii", "latin-1", "utf-16-le"]),
            random.one(&["", "replace", "ignore", "backslashreplace"]),
            random.one(&["-", "-", "", "%0a", "%0d", "%0d%0a"]),
        ),
        false => ("", "", "-"),
    };
    let mut words = vec!["?".to_owned()];
    for _ in 0..random.below(4) {
        peer(random, &mut words, is_text);
    }
    // Nothing may wait for ever.
    if timeout == "-" {
        words.push("E".to_owned());
    }
    let is_raw = buffering == "0";
    let mut is_whole = true;
    for _ in 0..3 + random.below(12) {
        match random.below(10) {
            0 | 1 if timeout != "-" => peer(random, &mut words, is_text),
            2 if writes && timeout == "0" => {
                words.push(random.one(&["g", "G1", "G5000", "G100000"]).to_owned())
            }
            2 if writes => words.push("g".to_owned()),
            3 if random.is(2) => other(random, &mut words),
            4..=6 if writes => write(random, &mut words, is_text, buffer, timeout),
            _ if reads => read(random, &mut words, (is_text || !is_whole, is_raw), buffer, newest),
            // Calls that such a file lacks are tried as well.
            _ if random.is(4) => words.push(random.one(&["r3", "l", "L", "wx"]).to_owned()),
            _ => {}
        }
        // A file without its upper layers has fewer calls: only those that all have come then.
        is_whole &= words.last().is_some_and(|word| word != "d");
    }
    format!(
        "script|{kind}|{timeout}|{mode}|{buffering}|{encoding}|{errors}|{newline}|{}",
        words.join("|")
    )
}

/// The calls that gave or took bytes, for each pair of sockets that the guest made.
#[derive(Default)]
struct Calls(Mutex<Vec<Vec<String>>>);

impl Observer for Calls {
    fn interest(&self) -> Interest {
        Interest { calls: true, ..Interest::default() }
    }

    fn called(&self, call: &Call<'_>) {
        let mut scripts = self.0.lock().expect("no test panics in it");
        if call.function == "socketpair" {
            scripts.push(Vec::new());
        }
        let length = |value: Option<&Value>| match value {
            Some(Value::Bytes(bytes)) => Some(bytes.length),
            Some(number) => number.number(),
            None => None,
        };
        let (letter, asked) = match call.function {
            "receive" => ('r', length(call.argument("length"))),
            "send" => ('w', length(call.argument("data"))),
            _ => return,
        };
        let moved =
            length(call.result()).map_or("!".to_owned(), |moved: usize| format!("={moved}"));
        let entry = format!("{letter}{}{moved}", asked.unwrap_or_default());
        scripts.last_mut().expect("a pair comes first").push(entry);
    }
}

#[test]
fn files_in_random_scripts() {
    const TEST: &str = "oracle::scripts::files_in_random_scripts";
    let number =
        |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<usize>().ok());
    let count = number("SANDSOCK_SCRIPTS").unwrap_or(COUNT);
    let seed = number("SANDSOCK_SEED").unwrap_or(20_261_130);
    let Some(version) = python_version() else { return skip(TEST, "no python3") };
    let newest = version >= (3, 13);
    if !newest {
        skip(TEST, "files that are written: no CPython of 3.13 or newer");
    }
    println!("{count} scripts of seed {seed}, CPython {version:?}");
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ u64::try_from(seed).expect("64 bits"));
    for _ in 0..20 {
        random.below(2);
    }
    let scripts: Vec<String> = (0..count).map(|_| script(&mut random, newest)).collect();
    // The most that the arguments and the output have room for.
    for some in scripts.chunks(200) {
        let arguments: Vec<String> =
            std::iter::once("-".to_owned()).chain(some.iter().cloned()).collect();
        let expected = run_python("files.py", &arguments);
        both_ways(|way| {
            let calls = Arc::new(Calls::default());
            let mut guest =
                Guest::new(programs::oracle_files_same, way).allow_all().observe(calls.clone());
            for argument in &arguments {
                guest = guest.arg(argument);
            }
            let output = guest.run().success();
            let calls = calls.0.lock().expect("no test panics in it");
            let got: Vec<String> = output
                .lines()
                .zip(&*calls)
                .map(|(line, calls)| format!("{line} # {}", calls.join(" ")))
                .collect();
            assert_eq!(
                (expected.lines().count(), got.len(), some.len()),
                (some.len(), some.len(), calls.len())
            );
            let differences: Vec<String> = expected
                .lines()
                .zip(&got)
                .filter(|(python, guest)| python != guest)
                .map(|(python, guest)| difference(python, guest))
                .collect();
            assert!(
                differences.is_empty(),
                "{} scripts differ:\n{}",
                differences.len(),
                differences.join("\n")
            );
        });
    }
}
