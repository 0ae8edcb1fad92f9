//! Sends datagrams of which a capture could write more, or others, than the kernel sends:
//! `attack_capture_segments_bounded [twin] UDP TCP`. The arguments are the ports of a peer's
//! datagram socket and of a socket that sends 100,000 bytes. Every datagram ends with a byte of its
//! own, and its length identifies it.

use sandsock::constants::*;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::syscalls::{set_option, socket};
use sandsock::raw::transfers::{BatchEntry, ControlOut, send_batch, send_message, send_to};
use sandsock::raw::types::{Address, ControlMessage, Error, InetAddress, OptionValue, Wait};
use sandsock::{Flags, Socket};
use sandsock_attacks::is_twin;

fn segment(size: u16) -> ControlMessage {
    ControlMessage { level: SOL_UDP, type_: UDP_SEGMENT, data: size.to_ne_bytes().to_vec() }
}

fn main() {
    let ports: Vec<u16> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let [udp, tcp] = ports[..] else { panic!("UDP TCP") };
    let to = Address::Inet(InetAddress { address: (127, 0, 0, 1), port: udp });
    let d: Descriptor = socket(AF_INET, SOCK_DGRAM, 0).expect("a socket");
    let send = |data: &[u8], control: &[ControlMessage], flags: i32| {
        let control: Vec<ControlOut> = control.iter().map(ControlOut::Message).collect();
        // The peer takes one datagram after the other.
        std::thread::sleep(std::time::Duration::from_millis(5));
        send_message(&d, &[data], &control, flags, Some(&to), Wait::Forever)
    };
    if is_twin() {
        // The same number of bytes without segments.
        for _ in 0..4 {
            assert_eq!(send(&[7; 14_000], &[segment(1400)], 0), Ok(14_000));
        }
        return;
    }
    // The kernel takes the last of several.
    for _ in 0..4 {
        assert_eq!(send(&[1; 60_000], &[segment(1), segment(1400)], 0), Ok(60_000));
        let sizes = [segment(1), segment(20_000)];
        let control: Vec<&ControlMessage> = sizes.iter().collect();
        let entries = [20_001, 20_002].map(|length| BatchEntry {
            length,
            address: Some(&to),
            control: &control,
        });
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(send_batch(&d, &[2; 40_003], &entries, 0, Wait::Forever), Ok(2));
    }
    // More control messages than an observer gets, if the kernel takes that many
    // (net.core.optmem_max).
    let many: Vec<ControlMessage> = (0..5000).map(|_| segment(1)).chain([segment(1400)]).collect();
    assert!(matches!(
        send(&[3; 2801], &many, 0),
        Ok(2801) | Err(Error::Os(sandsock::errno::ENOBUFS))
    ));
    // A segment size of 0 at the end means none. A send that the kernel refuses is no datagram.
    assert_eq!(send(&[4; 3001], &[segment(1), segment(0)], 0), Ok(3001));
    for refused in [&[segment(1)][..], &[ControlMessage { data: vec![1], ..segment(1) }]] {
        assert!(matches!(send(&[5; 60_000], refused, 0), Err(Error::Os(_) | Error::Denied(_))));
    }
    // Several sends that are one datagram.
    assert_eq!(send(&[6; 1000], &[], MSG_MORE), Ok(1000));
    assert_eq!(send(&[6; 1000], &[], MSG_MORE), Ok(1000));
    assert_eq!(send(&[6; 501], &[], 0), Ok(501));
    set_option(&d, SOL_UDP, UDP_CORK, OptionValue::Integer(1)).expect("is set");
    assert_eq!(send(&[6; 2000], &[], 0), Ok(2000));
    assert_eq!(send_to(&d, &[6; 601], 0, &to, Wait::Forever), Ok(601));
    set_option(&d, SOL_UDP, UDP_CORK, OptionValue::Integer(0)).expect("is set");
    // Bytes of a stream that are discarded, so the host does not see them.
    let stream = Socket::new(AF_INET, SOCK_STREAM, 0).expect("a socket");
    stream.connect(("127.0.0.1", tcp)).expect("connects");
    let mut left = 100_000;
    while left > 0 {
        let count = stream.recv(left, MSG_TRUNC).expect("receives").len();
        assert!(count > 0);
        left -= count;
    }
    assert_eq!(stream.recv(1, Flags::NONE).expect("ends"), b"");
}
