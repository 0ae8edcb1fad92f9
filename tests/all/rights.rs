//! What a guest may do changes while it runs: the embedder replaces its policy, or the guest gives up
//! rights.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sandsock_host::OpenActs;
use sandsock_host::policy::{Policy, PolicyBuilderExt as _};
use sandsock_tests::{Guest, Running, both_ways, programs};

/// Makes a policy of these grants.
fn policy(grants: &[String]) -> Policy {
    let mut builder = Policy::builder();
    for grant in grants {
        builder.allow(grant).expect("a good grant");
    }
    builder.build()
}

/// A prefix of abstract names that nobody else has.
fn tag() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("sandsock-rights-{}-{number}-", std::process::id())
}

/// Replaces the policy at each line of the guest, with the first and the second one in turn.
fn replace_at_each_line(guest: Running, narrow: &Policy, wide: &Policy, count: usize) {
    let handle = guest.policy();
    for line in 1..=count {
        let last = guest.lines(line).pop().expect("a line");
        if last == "again" {
            assert!(handle.replace(wide, OpenActs::Keep).is_empty());
        } else {
            // The guest begins to wait after it has printed the line.
            std::thread::sleep(Duration::from_millis(50));
            let closed = handle.replace(narrow, OpenActs::Close);
            assert!(!closed.is_empty(), "{last}: nothing was closed; {:?}", guest.lines_so_far());
        }
    }
    guest.join().success();
}

#[test]
pub(crate) fn rights_replaced_closed() {
    both_ways(|way| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let silent = std::thread::spawn(move || {
            let mut all = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                // Four in each of the guest's two rounds. The next one is the test's own.
                if all.len() == 8 {
                    return;
                }
                all.push(stream);
            }
        });
        let tag = tag();
        let grants = [
            "tcp-connect=127.0.0.1:*".to_owned(),
            "tcp-listen=127.0.0.1:0".to_owned(),
            "udp-bind=127.0.0.1:0".to_owned(),
            "udp-send=127.0.0.1:*".to_owned(),
            format!("unix-bind=@{tag}*"),
        ];
        let mut guest = Guest::new(programs::rights_replaced_closed, way).arg(port).arg(&tag);
        for grant in &grants {
            guest = guest.allow(grant);
        }
        let guest = guest.start();
        replace_at_each_line(guest, &policy(&[]), &policy(&grants), 2 * 2 * 8 + 1);
        // The server has one connection for each act of the guest, and ends with one more.
        let _ = TcpStream::connect(("127.0.0.1", port));
        silent.join().expect("the server ends");
    });
}

#[test]
pub(crate) fn rights_replaced_kept() {
    both_ways(|way| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let udp = UdpSocket::bind("127.0.0.1:0").expect("binds");
        let datagrams = udp.local_addr().expect("an address").port();
        let tag = tag();
        let grants = [
            format!("tcp-connect=127.0.0.1:{port}"),
            "tcp-listen=127.0.0.1:0".to_owned(),
            "udp-bind=127.0.0.1:0".to_owned(),
            format!("udp-send=127.0.0.1:{datagrams}"),
            format!("unix-bind=@{tag}*"),
            format!("unix-connect=@{tag}*"),
        ];
        let mut guest = Guest::new(programs::rights_replaced_kept, way);
        for grant in &grants {
            guest = guest.allow(grant);
        }
        let guest = guest.arg(port).arg(datagrams).arg(&tag).start();
        let answer = |expected: &[u8]| {
            let mut buffer = [0; 99];
            let (length, from) = udp.recv_from(&mut buffer).expect("receives");
            assert_eq!(&buffer[..length], expected);
            udp.send_to(b"answer", from).expect("sends");
        };
        let (mut stream, _) = listener.accept().expect("accepts");
        answer(b"before");
        let ports = guest.lines(1).remove(0);
        let ports: Vec<u16> = ports.split(' ').map(|port| port.parse().expect("a port")).collect();
        std::thread::sleep(Duration::from_millis(50));
        let handle = guest.policy();
        assert!(handle.replace(&policy(&[]), OpenActs::Keep).is_empty());
        guest.lines(2);
        udp.send_to(b"not granted", ("127.0.0.1", ports[1])).expect("sends");
        stream.write_all(b"later").expect("sends");
        let mut client = TcpStream::connect(("127.0.0.1", ports[0])).expect("connects");
        client.write_all(b"client").expect("sends");
        let mut end = [0; 3];
        stream.read_exact(&mut end).expect("receives");
        assert_eq!(&end, b"end");
        guest.lines(3);
        let mut wide = Policy::builder();
        for grant in &grants {
            wide.allow(grant).expect("a good grant");
        }
        wide.limit("descriptors=3").expect("a good limit");
        handle.replace(&wide.build(), OpenActs::Close);
        answer(b"after");
        guest.join().success();
        assert_eq!(handle.policy().limits().descriptors, 3);
    });
}

/// Answers each connection with what it sends, until a connection that sends nothing.
fn echo() -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let thread = std::thread::spawn(move || {
        loop {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut bytes = [0; 64];
            let mut any = false;
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                any = true;
                stream.write_all(&bytes[..count]).expect("sends");
            }
            if !any {
                return;
            }
        }
    });
    (port, thread)
}

#[test]
pub(crate) fn rights_restrict_narrows() {
    both_ways(|way| {
        let (first, second) = (echo(), echo());
        let udp: Vec<_> = ["peer", "stranger"]
            .map(|text| {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
                let port = socket.local_addr().expect("an address").port();
                let thread = std::thread::spawn(move || {
                    let (_, from) = socket.recv_from(&mut [0; 9]).expect("receives");
                    socket.send_to(text.as_bytes(), from).expect("sends");
                });
                (port, thread)
            })
            .into();
        let guest = Guest::new(programs::rights_restrict_narrows, way)
            .allow("tcp-connect=127.0.0.1:*")
            .allow("tcp-listen=127.0.0.1:0")
            .allow("udp-bind=127.0.0.1:0")
            .allow("udp-send=127.0.0.1:*")
            .allow("resolve=*")
            .resolve("fixed.example=192.0.2.1")
            .arg(first.0)
            .arg(second.0)
            .arg(udp[0].0)
            .arg(udp[1].0)
            .start();
        let handle = guest.policy();
        guest.join().success();
        // A later policy of the embedder gives nothing back.
        let everything = policy(&["tcp-connect=*:*".to_owned()]);
        handle.replace(&everything, OpenActs::Keep);
        assert_eq!(handle.policy().restrictions(), 16);
        for (port, thread) in [first, second] {
            drop(TcpStream::connect(("127.0.0.1", port)).expect("connects"));
            thread.join().expect("it ends well");
        }
        for (_, thread) in udp {
            thread.join().expect("it ends well");
        }
    });
}
