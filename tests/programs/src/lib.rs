//! Code that the guests of the tests share: arguments, expectations, connected sockets.

use std::fmt::Debug;
use std::str::FromStr;
use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::{ErrorKind, Family, Result, Socket};

pub mod alg;
pub mod budget;
pub mod can;

/// The program's argument of this place, from 0 on.
///
/// # Panics
/// If it is not there, or not what it should be.
#[track_caller]
pub fn argument<T: FromStr>(place: usize) -> T {
    let text =
        std::env::args().nth(place + 1).unwrap_or_else(|| panic!("argument {place} is missing"));
    text.parse().unwrap_or_else(|_| panic!("argument {place} is {text:?}"))
}

/// Checks for an error of this class and this text, as Python's `str` shows it.
#[track_caller]
pub fn fails<T: Debug>(result: Result<T>, class: &str, text: &str) {
    let error = result.expect_err("it must fail");
    assert_eq!((error.class(), error.to_string().as_str()), (class, text));
}

/// Checks for the `OSError` of this errno, by its class and its number.
#[track_caller]
pub fn fails_with<T: Debug>(result: Result<T>, class: &str, errno: i32) {
    let error = result.expect_err("it must fail");
    assert_eq!((error.class(), error.errno()), (class, Some(errno)), "{error}");
}

/// Checks that the policy denied the call, and that the denial names this grant. None if no grant
/// can help.
#[track_caller]
pub fn needs<'a, T: Debug>(result: Result<T>, grant: impl Into<Option<&'a str>>) {
    let error = result.expect_err("it must be denied");
    assert_eq!(
        (error.kind(), error.errno()),
        (ErrorKind::Denied, Some(sandsock::errno::EACCES)),
        "{error}"
    );
    assert_eq!(error.grant(), grant.into(), "{error}");
}

/// Checks for `BlockingIOError`: EAGAIN.
#[track_caller]
pub fn would_block<T: Debug>(result: Result<T>) {
    fails(result, "BlockingIOError", "[Errno 11] Resource temporarily unavailable");
}

/// Checks for the `TimeoutError` of a socket's timeout, which has no errno.
#[track_caller]
pub fn times_out<T: Debug>(result: Result<T>) {
    let error = result.expect_err("it must time out");
    assert_eq!(
        (error.class(), error.errno(), error.to_string().as_str()),
        ("TimeoutError", None, "timed out")
    );
}

/// Checks that something takes this long: not less, and not much more even on a busy machine.
#[track_caller]
pub fn lasts<T>(time: Duration, what: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = what();
    let elapsed = start.elapsed();
    assert!(elapsed >= time, "{elapsed:?} is less than {time:?}");
    assert!(elapsed < time + PATIENCE, "{elapsed:?} is much more than {time:?}");
    result
}

/// The delay that a busy machine may add.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A TCP connection of the guest with itself: the end that connected and the one that was accepted.
/// It takes `tcp-listen` and `tcp-connect` on loopback.
///
/// # Errors
/// What the steps say.
pub fn connected(family: i32) -> Result<(Socket, Socket)> {
    let listener = listening(family)?;
    let client = Socket::new(family, SOCK_STREAM, 0)?;
    client.connect(listener.getsockname()?)?;
    let (server, _) = listener.accept()?;
    Ok((client, server))
}

/// A listening TCP socket on loopback.
///
/// # Errors
/// What the steps say.
pub fn listening(family: i32) -> Result<Socket> {
    let listener = Socket::new(family, SOCK_STREAM, 0)?;
    listener.bind((loopback(family), 0))?;
    listener.listen(None)?;
    Ok(listener)
}

/// A UDP socket that is bound on loopback. It takes `udp-bind`.
///
/// # Errors
/// What the steps say.
pub fn datagrams(family: i32) -> Result<Socket> {
    let socket = Socket::new(family, SOCK_DGRAM, 0)?;
    socket.bind((loopback(family), 0))?;
    Ok(socket)
}

/// The loopback address of a family.
pub fn loopback(family: impl Into<Family>) -> &'static str {
    if family.into() == Family::INET6 { "::1" } else { "127.0.0.1" }
}

/// The port that a socket is bound to.
///
/// # Panics
/// If it has none.
#[track_caller]
pub fn port(socket: &Socket) -> u16 {
    socket.getsockname().expect("a local address").port().expect("a port")
}

/// Bytes of which no two neighbours' neighbourhoods are alike, to see that nothing is lost or
/// moved.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Receives until this many bytes are there, or the stream ends.
///
/// # Errors
/// What `recv` says.
pub fn receive_all(socket: &Socket, length: usize) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < length {
        let data = socket.recv(length - all.len(), 0)?;
        if data.is_empty() {
            break;
        }
        all.extend(data);
    }
    Ok(all)
}

/// How many pages of 64 KiB the guest's memory has.
#[cfg(target_arch = "wasm32")]
pub fn memory_pages() -> usize {
    core::arch::wasm32::memory_size(0)
}

/// Natively there is no guest.
#[cfg(not(target_arch = "wasm32"))]
pub fn memory_pages() -> usize {
    unreachable!("the programs run as components")
}

/// Code of the guests whose output is compared with that of Python.
pub mod oracle {
    use sandsock::{Error, Result};

    /// Prints the result of a call: a value as Python's `repr` shows it, or the class, errno and
    /// text of the error.
    pub fn shown(result: Result<String>) -> String {
        match result {
            Ok(value) => format!("= {value}"),
            Err(error) => failed(&error),
        }
    }

    fn failed(error: &Error) -> String {
        let errno = error.errno().map_or_else(|| "None".to_owned(), |errno| errno.to_string());
        format!("! {} {errno} {error}", error.class())
    }

    /// A text as Python's `repr` shows it where all of it can be printed.
    pub fn quoted(text: &str) -> String {
        let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
        let escaped = text.replace('\\', "\\\\").replace(quote, &format!("\\{quote}"));
        format!("{quote}{escaped}{quote}")
    }

    /// Bytes as two hexadecimal digits each.
    pub fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The bytes of pairs of hexadecimal digits.
    ///
    /// # Panics
    /// If they are none.
    pub fn unhex(text: &str) -> Vec<u8> {
        let pair = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits");
        (0..text.len()).step_by(2).map(pair).collect()
    }

    /// The bytes of a text in which `%` and two hexadecimal digits stand for a byte.
    pub fn decode(text: &str) -> Vec<u8> {
        let mut parts = text.split('%');
        let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            bytes.extend(unhex(&part[..2]));
            bytes.extend(&part.as_bytes()[2..]);
        }
        bytes
    }

    /// Bytes as Python's `repr` shows those that are letters.
    pub fn repr(bytes: &[u8]) -> String {
        let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
        let shown = |&byte: &u8| match char::from(byte) {
            c if c == quote => format!("\\{c}"),
            c @ ('\'' | '"') => c.to_string(),
            _ => byte.escape_ascii().to_string(),
        };
        format!("b{quote}{}{quote}", bytes.iter().map(shown).collect::<String>())
    }
}
