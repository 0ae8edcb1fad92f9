//! Prints the IPv4 packets of one protocol that pass an interface: `sniffer INTERFACE PROTOCOL
//! [COUNT]`. PROTOCOL is icmp, tcp, udp or a number.
//!
//! The kernel selects the packets by a filter, which is a program of four instructions.

use sandsock::constants::{AF_PACKET, PACKET_OUTGOING, SO_ATTACH_FILTER, SOCK_DGRAM, SOL_SOCKET};
use sandsock::{Address, Error, Flags, OptionValue, Socket};

/// linux/if_ether.h: ETH_P_IP.
const IP: u16 = 0x0800;

/// Makes a classic BPF program (man 7 socket, SO_ATTACH_FILTER). It passes packets whose tenth
/// byte, the protocol of IP, is `protocol`. An instruction has a code, the lengths of its jumps if
/// true and if false, and an operand.
fn filter(protocol: u8) -> Vec<u8> {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let program: [(u16, u8, u8, u32); 4] = [
        (LOAD_BYTE, 0, 0, 9),
        (JUMP_IF_EQUAL, 0, 1, protocol.into()),
        (RETURN, 0, 0, u32::MAX),
        (RETURN, 0, 0, 0),
    ];
    let instruction = |(code, yes, no, operand): (u16, u8, u8, u32)| {
        [&code.to_ne_bytes()[..], &[yes, no], &operand.to_ne_bytes()].concat()
    };
    program.into_iter().flat_map(instruction).collect()
}

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((interface, protocol, count)) = parse(&args) else {
        eprintln!("usage: sniffer INTERFACE icmp|tcp|udp|NUMBER [COUNT]");
        std::process::exit(1);
    };

    // With SOCK_DGRAM, packets come without the link's header. No packet arrives before the bind,
    // so the filter sees all of them.
    let socket = Socket::new(AF_PACKET, SOCK_DGRAM, 0)?;
    socket.setsockopt(SOL_SOCKET, SO_ATTACH_FILTER, OptionValue::Bytes(&filter(protocol)))?;
    // This needs the grant `packet=INTERFACE:ip`.
    socket.bind((interface, IP))?;
    println!("listening on {interface}");
    let mut seen = 0;
    while seen < count {
        let (packet, from) = socket.recvfrom(64 * 1024, Flags::NONE)?;
        // On the loopback each packet shows twice, when it leaves and when it arrives.
        let leaves =
            matches!(from, Address::Packet(_, _, kind, ..) if i32::from(kind) == PACKET_OUTGOING);
        if leaves && interface == "lo" {
            continue;
        }
        seen += 1;
        println!("{} {}", if leaves { "out" } else { "in " }, describe(&packet));
    }
    Ok(())
}

/// Returns a line with the packet's addresses and its length.
fn describe(packet: &[u8]) -> String {
    let Some(header) = packet.get(..20) else { return format!("{} bytes", packet.len()) };
    let address = |at: usize| {
        format!("{}.{}.{}.{}", header[at], header[at + 1], header[at + 2], header[at + 3])
    };
    let rest = packet.get(usize::from(header[0] & 15) * 4..).unwrap_or_default();
    let port =
        |at: usize| rest.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
    let (from, to) = (address(12), address(16));
    match header[9] {
        1 => format!(
            "icmp {from} > {to}, type {}, {} bytes",
            rest.first().copied().unwrap_or_default(),
            packet.len()
        ),
        6 => format!("tcp {from}:{} > {to}:{}, {} bytes", port(0), port(2), packet.len()),
        17 => format!("udp {from}:{} > {to}:{}, {} bytes", port(0), port(2), packet.len()),
        other => format!("protocol {other} {from} > {to}, {} bytes", packet.len()),
    }
}

fn parse(args: &[String]) -> Option<(&str, u8, u64)> {
    let protocol = |text: &str| match text {
        "icmp" => Some(1),
        "tcp" => Some(6),
        "udp" => Some(17),
        number => number.parse().ok(),
    };
    match args {
        [interface, word] => Some((interface, protocol(word)?, u64::MAX)),
        [interface, word, count] => Some((interface, protocol(word)?, count.parse().ok()?)),
        _ => None,
    }
}
