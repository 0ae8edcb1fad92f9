//! A peer sends descriptors of files that hang. `victim` receives them in one of the ways to
//! receive. `other`, on the same thread, must not notice. Each has a connection to the test, on
//! which it reports its progress. The twin may have such a file.

#[path = "../../../programs/src/attack.rs"]
#[allow(dead_code)]
mod attack;

use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::descriptors::{self, Descriptor};
use sandsock::raw::transfers::{self, ControlIn};
use sandsock::raw::types::{Address, DescriptorKind, Error, Trigger, UnixAddress, Wait};
use sandsock::raw::{connections, polling, syscalls};
use sandsock::{Flags, Result, Socket, errno};

const POLLIN_EVENT: u16 = 1;

/// This takes as long as the test allows.
const WAIT: Wait = Wait::Within(60_000_000_000);

fn main() -> Result<()> {
    let args = attack::args();
    let [role, line, path] = &args[..] else { panic!("a role, a line and a path") };
    let control = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    control.settimeout(Some(Duration::from_secs(60)))?;
    control.connect(line)?;
    control.sendall(b"h", Flags::NONE)?;
    match role.as_str() {
        "other" => loop {
            match control.recv(1, Flags::NONE)? {
                end if end.is_empty() => return Ok(()),
                byte => control.sendall(&byte, Flags::NONE)?,
            }
        },
        "twin" => twin(&control, path),
        way => victim(&control, way, path),
    }
}

/// Waits for the test's word.
fn wait(control: &Socket) -> Result<()> {
    assert_eq!(control.recv(1, Flags::NONE)?, b"g");
    Ok(())
}

fn connected(kind: i32, path: &str) -> Result<Descriptor, Error> {
    let socket = syscalls::socket(AF_UNIX, kind, 0)?;
    connections::connect(&socket, &Address::Unix(UnixAddress::Path(path.into())), WAIT)?;
    Ok(socket)
}

fn victim(control: &Socket, way: &str, path: &str) -> Result<()> {
    let kind = if way.starts_with("batch") { SOCK_SEQPACKET } else { SOCK_STREAM };
    let socket = connected(kind, path)?;
    wait(control)?;
    // The messages have one byte and a few descriptors each.
    match way {
        "plain" | "urgent" => assert_eq!(transfers::receive(&socket, 1, 0, WAIT)?, b"x"),
        "whole" => assert_eq!(transfers::receive(&socket, 1, MSG_WAITALL, Wait::Forever)?, b"x"),
        "from" => assert_eq!(transfers::receive_from(&socket, 1, 0, WAIT)?.data, b"x"),
        "peeked" => {
            for _ in 0..3 {
                assert_eq!(transfers::receive(&socket, 1, MSG_PEEK, WAIT)?, b"x");
            }
            assert_eq!(transfers::receive(&socket, 1, 0, WAIT)?, b"x");
        }
        "message" | "short" | "none" => {
            let room = match way {
                "message" => 4096,
                "short" => 20,
                _ => 0,
            };
            for flags in [MSG_PEEK, 0] {
                let received = transfers::receive_message(&socket, 1, room, flags, WAIT)?;
                assert_eq!((received.data.as_slice(), received.control.len()), (&b"x"[..], 0));
                assert_eq!(received.flags & MSG_CTRUNC, MSG_CTRUNC);
            }
        }
        "batch" | "batch-short" => {
            let room = if way == "batch" { 4096 } else { 0 };
            let batch = transfers::receive_batch(&socket, 10, 10, room, 0, WAIT)?;
            assert_eq!((batch.data.as_slice(), batch.messages.len()), (&b"x"[..], 1));
            assert_eq!(batch.messages[0].flags & MSG_CTRUNC, MSG_CTRUNC);
        }
        // It may have what it asks for, but whose file it is does not say what it is.
        "unanswered" => {
            assert_eq!(transfers::receive_message(&socket, 1, 4096, 0, WAIT)?.data, b"x")
        }
        "flood" => {
            let mut count = 0;
            let refused = loop {
                match transfers::receive(&socket, 1, 0, Wait::Within(300_000_000)) {
                    Ok(data) => count += data.len(),
                    Err(error) => break error,
                }
            };
            assert_eq!(refused, Error::Os(errno::EAGAIN), "after {count}");
            assert!((1..100).contains(&count), "{count} were taken in while none could be closed");
            control.sendall(b"d", Flags::NONE)?;
            wait(control)?;
            while count < 100 {
                count += transfers::receive(&socket, 1, 0, WAIT)?.len();
            }
        }
        "unread" => connections::close(socket)?,
        "dropped" => drop(socket),
        "left" => {
            control.sendall(b"d", Flags::NONE)?;
            // The instance's end closes the socket.
            return Ok(());
        }
        other => panic!("no way {other}"),
    }
    control.sendall(b"d", Flags::NONE)?;
    wait(control)
}

/// Holds up itself alone, by its close.
fn twin(control: &Socket, path: &str) -> Result<()> {
    let socket = connected(SOCK_STREAM, path)?;
    wait(control)?;
    let mut received = transfers::receive_message(&socket, 1, 4096, 0, WAIT)?;
    let Some(ControlIn::Rights(mut fds)) = received.control.pop() else { panic!("no descriptors") };
    let Some(file) = fds.pop() else { panic!("no descriptor") };
    assert!(fds.is_empty());
    assert_eq!(descriptors::kind(&file)?, DescriptorKind::File);
    // Its owner is not asked whether it is ready: files always are.
    let entry = polling::PollEntry { descriptor: &file, events: POLLIN_EVENT };
    assert_eq!(polling::poll(&[entry], WAIT)?, [POLLIN_EVENT]);
    let poller = polling::create_poller()?;
    assert_eq!(poller.add(&file, 1, POLLIN_EVENT, Trigger::Level), Err(Error::Os(errno::EPERM)));
    control.sendall(b"d", Flags::NONE)?;
    wait(control)?;
    connections::close(file)?;
    control.sendall(b"c", Flags::NONE)?;
    wait(control)
}
