//! Promise: a capture has the datagrams that the kernel made, and what it has of a call follows the
//! bytes that the call moved.

use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

use sandsock_tests::{command, programs};

/// The packets of a pcapng file: of UDP the payload's length, of TCP none. And how much the file
/// has of each.
fn packets(file: &[u8]) -> Vec<(Option<usize>, usize)> {
    let word =
        |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes")) as usize;
    let (mut at, mut packets) = (0, Vec::new());
    while at < file.len() {
        let length = word(at + 4);
        // draft-ietf-opsawg-pcapng: an enhanced packet block; interface 0 has IP.
        if word(at) == 6 && word(at + 8) == 0 {
            let (captured, packet) = (word(at + 20), &file[at + 28..]);
            let udp = packet[0] >> 4 == 4 && packet[9] == 17;
            packets.push((
                udp.then(|| usize::from(u16::from_be_bytes([packet[24], packet[25]])) - 8),
                captured,
            ));
        }
        at += length;
    }
    packets
}

/// The lengths of a socket's datagrams, until nothing more comes.
fn received(socket: &UdpSocket) -> Vec<usize> {
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("is set");
    let mut buffer = vec![0; 1 << 16];
    std::iter::from_fn(|| socket.recv(&mut buffer).ok()).collect()
}

#[test]
pub(crate) fn attack_capture_segments_bounded() {
    let program = programs::attack_capture_segments_bounded;
    for twin in [false, true] {
        let peer = UdpSocket::bind("127.0.0.1:0").expect("binds");
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&peer, 8 << 20)
            .or_else(|_| rustix::net::sockopt::set_socket_recv_buffer_size(&peer, 8 << 20))
            .expect("is set");
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let (udp, tcp) = (
            peer.local_addr().expect("is bound").port(),
            listener.local_addr().expect("is bound").port(),
        );
        let datagrams = std::thread::spawn(move || received(&peer));
        if !twin {
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("accepts");
                stream.write_all(&[9; 100_000]).expect("writes");
            });
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (capture, stats) = (folder.path().join("pcap"), folder.path().join("stats"));
        let mut command = Command::new(command());
        command
            .arg("run")
            .arg("--pcap")
            .arg(&capture)
            .arg(format!("--stats=json:{}", stats.display()));
        command.args([
            "--allow",
            &format!("udp-send=127.0.0.1:{udp}"),
            "--allow",
            &format!("tcp-connect=127.0.0.1:{tcp}"),
        ]);
        command
            .arg(program.path())
            .args(twin.then_some("twin"))
            .args([udp.to_string(), tcp.to_string()]);
        let output = command.output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let arrived = datagrams.join().expect("no panic");
        let file = std::fs::read(&capture).expect("was written");
        let packets = packets(&file);
        let mut captured: Vec<usize> = packets.iter().filter_map(|(udp, _)| *udp).collect();
        println!("{} bytes of capture, {} datagrams", file.len(), captured.len());
        if !twin {
            // If there are more control messages than the capture reads, it does not know the last
            // one. Then it writes one datagram.
            if let Some(cut) = captured.iter().position(|length| *length == 2801) {
                captured.splice(cut..=cut, [1400, 1400, 1]);
            }
        }
        assert_eq!(captured, arrived);
        let moved: usize = arrived.iter().sum();
        assert!(
            file.len() < 2 * moved + 100 * packets.len() + 10_000,
            "{} bytes for {moved}",
            file.len()
        );
        let stats: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&stats).expect("was written")).expect("JSON");
        assert_eq!(stats["total"]["sent_bytes"], moved as u64);
        if !twin {
            // The host did not see the stream's bytes, so the capture has none of them.
            let segments =
                packets.iter().filter(|(udp, captured)| udp.is_none() && *captured > 60).count();
            assert_eq!(segments, 0);
            assert_eq!(stats["total"]["received_bytes"], 100_000);
        }
    }
}
