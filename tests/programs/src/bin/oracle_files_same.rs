//! Sockets as files, and files that are sent. Makes the calls that its arguments name. `files.py`
//! does the same.

use std::io::{Cursor, IoSlice, Seek, SeekFrom};

use sandsock::constants::*;
use sandsock::{Error, File, FileOptions, Result, Socket, SocketFile, socketpair};
use sandsock_test_programs::oracle::{decode, repr, shown};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder");
    for argument in arguments {
        let parts: Vec<_> = argument.split('|').collect();
        let result = match parts[0] {
            "make" => made(&parts[1..]),
            "script" => script(&parts[1..]),
            _ => sent(&folder, &parts[1..]),
        };
        println!("{argument} {}", shown(result));
    }
}

fn attempt(result: Result<String>) -> String {
    if let Err(error) = &result
        && let Some(count) = error.characters_written()
    {
        return format!("{} {count}", shown(result));
    }
    let text = shown(result);
    text.strip_prefix("= ").map_or(text.clone(), str::to_owned)
}

fn none((): ()) -> String {
    "None".to_owned()
}

fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

fn text(text: String) -> String {
    format!("t{}", digest(text.as_bytes()))
}

fn bytes(data: Vec<u8>) -> String {
    digest(&data)
}

fn or_none(value: Option<String>) -> String {
    value.unwrap_or_else(|| "None".to_owned())
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

fn made(parts: &[&str]) -> Result<String> {
    let [mode, buffering, encoding, errors, newline, payload, words @ ..] = parts else {
        panic!("too few parts")
    };
    let (socket, peer) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    socket.settimeout_f64(Some(0.01))?;
    if !payload.is_empty() {
        peer.sendall(&decode(payload), 0)?;
    }
    let mut file = make(&socket, mode, buffering, encoding, errors, newline)?;
    let results: Vec<_> =
        words.iter().map(|word| attempt(operate(word, &socket, &peer, &mut file))).collect();
    let _ = file.close();
    Ok(results.join("; "))
}

fn make(
    socket: &Socket,
    mode: &str,
    buffering: &str,
    encoding: &str,
    errors: &str,
    newline: &str,
) -> Result<SocketFile> {
    let newline = String::from_utf8(decode(newline)).expect("UTF-8");
    let options = FileOptions {
        buffering: buffering.parse().ok(),
        encoding: (!encoding.is_empty()).then_some(encoding),
        errors: (!errors.is_empty()).then_some(errors),
        newline: (newline != "-").then_some(&newline),
    };
    socket.makefile(mode, options)
}

/// A file on a socket of any type, with any timeout. The peer uses other calls than the file does,
/// and never waits.
fn script(parts: &[&str]) -> Result<String> {
    let [kind, timeout, mode, buffering, encoding, errors, newline, words @ ..] = parts else {
        panic!("too few parts")
    };
    let (socket, peer) = socketpair(AF_UNIX, kind.parse::<i32>().expect("a type"), 0)?;
    socket.settimeout_f64(timeout.parse().ok())?;
    peer.setblocking(false)?;
    let mut file = make(&socket, mode, buffering, encoding, errors, newline)?;
    let mut results = Vec::new();
    for word in words {
        results.push(attempt(if *word == "d" {
            file.detach().map(|beneath| {
                file = beneath;
                text(file.mode().to_owned())
            })
        } else {
            operate(word, &socket, &peer, &mut file)
        }));
    }
    results.push(attempt(file.close().map(none)));
    Ok(results.join("; "))
}

/// Bytes that both sides make alike.
fn noise(count: usize) -> Vec<u8> {
    let mut state = count as u32;
    let next = || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
        b"abcdefghijklmnopqrstuvwxyz  \n\n\r"[(state >> 16) as usize % 31]
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Bytes, or the length and the sum of many.
fn digest(data: &[u8]) -> String {
    if data.len() <= 60 {
        return repr(data);
    }
    let sum = data.iter().fold(0_u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("<{} {sum:08x}>", data.len())
}

fn operate(word: &str, socket: &Socket, peer: &Socket, file: &mut SocketFile) -> Result<String> {
    let (verb, rest) = word.split_at(1);
    let size = rest.parse().ok();
    let is_text = !file.mode().contains('b');
    let count = |count: usize| count.to_string();
    Ok(match verb {
        "r" if is_text => text(file.read_text(size)?),
        "r" => or_none(file.read(size)?.map(bytes)),
        "l" if is_text => text(file.readline_text(size)?),
        "l" => bytes(file.readline(size)?),
        "L" if is_text => list(file.readlines_text(size)?.into_iter().map(text)),
        "L" => list(file.readlines(size)?.into_iter().map(bytes)),
        "1" => bytes(file.read1(size)?),
        "i" => {
            let mut buffer = vec![b'.'; size.unwrap_or(0)];
            let got = or_none(file.readinto(&mut buffer)?.map(count));
            list([got, digest(&buffer)])
        }
        "j" => {
            let mut buffer = vec![b'.'; size.unwrap_or(0)];
            let got = or_none(file.readinto1(&mut buffer)?.map(count));
            list([got, digest(&buffer)])
        }
        "p" => digest(file.peek()?),
        "w" if is_text => {
            file.write_text(&String::from_utf8(decode(rest)).expect("UTF-8"))?.to_string()
        }
        "w" => or_none(file.write(&decode(rest))?.map(count)),
        "W" if is_text => file.write_text(&"x".repeat(size.unwrap_or(0)))?.to_string(),
        "W" => or_none(file.write(&vec![b'x'; size.unwrap_or(0)])?.map(count)),
        "N" if is_text => file
            .write_text(&String::from_utf8(noise(size.unwrap_or(0))).expect("ASCII"))?
            .to_string(),
        "N" => or_none(file.write(&noise(size.unwrap_or(0)))?.map(count)),
        "f" => none(file.flush()?),
        "k" => file.seek(0, size.map_or(0, |size| size as i32))?.to_string(),
        "t" => file.tell()?.to_string(),
        "z" => file.truncate()?.to_string(),
        "c" => none(file.close()?),
        "?" => list(
            [file.readable()?, file.writable()?, file.seekable()?].map(|is| truth(is).to_owned()),
        ),
        "m" => text(file.mode().to_owned()),
        "o" => list([file.is_closed(), socket.fileno() == -1].map(|is| truth(is).to_owned())),
        "n" => truth(file.fileno()? == socket.fileno()).to_owned(),
        "T" => none(socket.settimeout_f64(rest.parse().ok())?),
        "X" => none(socket.close()?),
        "D" => truth(socket.detach() > 0).to_owned(),
        "E" => none(peer.shutdown(SHUT_WR)?),
        "C" => none(peer.close()?),
        "s" => peer.send(&decode(rest), 0)?.to_string(),
        "S" => peer.sendmsg(&[IoSlice::new(&noise(size.unwrap_or(0)))], &[], 0, None)?.to_string(),
        "b" => peer.sendmsg(&[IoSlice::new(&decode(rest))], &[], 0, None)?.to_string(),
        "G" => bytes(peer.recvmsg(size.unwrap_or(0), 0, 0)?.data),
        "g" => {
            peer.setblocking(false)?;
            match peer.recvmsg(1 << 20, 0, 0).map(|received| received.data) {
                Ok(data) => bytes(data),
                Err(error) if error.class() == "BlockingIOError" => "None".to_owned(),
                Err(error) => return Err(error),
            }
        }
        _ => panic!("no such word: {word}"),
    })
}

fn sent(folder: &str, parts: &[&str]) -> Result<String> {
    let [kind, source, timeout, offset, count] = parts else { panic!("not five parts") };
    let (left, right) = socketpair(AF_UNIX, kind.parse::<i32>().expect("a type"), 0)?;
    left.settimeout_f64(timeout.parse().ok())?;
    right.settimeout_f64(Some(0.01))?;
    let (offset, count) = (offset.parse().expect("an offset"), count.parse().ok());
    let (result, position) = if *source == "memory" {
        let mut file = Cursor::new(b"0123456789".repeat(3000));
        file.seek(SeekFrom::Start(2)).expect("seeks");
        let result = left.sendfile_from(&mut file, offset, count);
        (result, file.position())
    } else {
        let file = File::open(&format!("{folder}/{source}"))?;
        file.seek(2)?;
        let result = left.sendfile(&file, offset, count);
        (result, file.tell()?)
    };
    let mut got = Vec::new();
    while got.len() < 30_000 {
        match right.recv(30_000, 0) {
            Ok(data) => got.extend(data),
            Err(error) if error.class() == "TimeoutError" => break,
            Err(error) => return Err::<_, Error>(error),
        }
    }
    let head = repr(&got[..got.len().min(12)]);
    let tail = repr(&got[got.len().saturating_sub(3)..]);
    let result = attempt(result.map(|sent| sent.to_string()));
    Ok(format!("{result}; {position}; {} {head} {tail}", got.len()))
}
