//! Requests by ioctl: the ordinary ones, and those of interfaces by their grants.

use sandsock::constants::*;
use sandsock::raw::connections::{accept, connect};
use sandsock::raw::syscalls::{bind, ioctl, listen, local_address, socket};
use sandsock::raw::transfers::{receive, send};
use sandsock::raw::types::{Address, Error, InetAddress, Wait};

const SIOCOUTQ: u32 = 0x5411;
const FIONREAD: u32 = 0x541b;
const SIOCATMARK: u32 = 0x8905;

fn number(bytes: &[u8]) -> i32 {
    i32::from_ne_bytes(bytes[..4].try_into().expect("four bytes"))
}

fn main() -> Result<(), Error> {
    let here = Address::Inet(InetAddress { address: (127, 0, 0, 1), port: 0 });
    let listener = socket(AF_INET, SOCK_STREAM, 0)?;
    bind(&listener, &here)?;
    listen(&listener, 1)?;
    let client = socket(AF_INET, SOCK_STREAM, 0)?;
    connect(&client, &local_address(&listener)?.expect("an address"), Wait::Forever)?;
    let server = accept(&listener, Wait::Forever)?.descriptor;
    assert_eq!(number(&ioctl(&server, FIONREAD, &[0; 4])?.argument), 0);
    send(&client, b"hello", 0, Wait::Forever)?;
    send(&client, b"!", MSG_OOB, Wait::Forever)?;
    send(&client, b"after", 0, Wait::Forever)?;
    // The kernel counts up to the urgent byte.
    for _ in 0..1000 {
        if number(&ioctl(&server, FIONREAD, &[0; 4])?.argument) >= 5 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(number(&ioctl(&server, SIOCATMARK, &[0; 4])?.argument), 0);
    assert_eq!(receive(&server, 100, 0, Wait::Forever)?, b"hello");
    assert_eq!(
        number(&ioctl(&server, SIOCATMARK, &[0; 4])?.argument),
        1,
        "the next byte is the urgent one"
    );
    assert_eq!(number(&ioctl(&client, SIOCOUTQ, &[0; 4])?.argument), 0, "all has arrived");

    let udp = socket(AF_INET, SOCK_DGRAM, 0)?;
    let lo = |request| {
        let mut argument = [0; 40];
        argument[..2].copy_from_slice(b"lo");
        ioctl(&udp, request, &argument).map(|result| result.argument[16..].to_vec())
    };
    // Address, netmask, flags, MTU, index, hardware.
    assert_eq!(lo(0x8915)?[4..8], [127, 0, 0, 1]);
    assert_eq!(lo(0x891b)?[4..8], [255, 0, 0, 0]);
    assert_eq!(lo(0x8913)?[0] & 9, 9, "IFF_UP, IFF_LOOPBACK");
    assert!(number(&lo(0x8921)?) >= 1500);
    let index = number(&lo(0x8933)?);
    assert_eq!(lo(0x8927)?[..2], 772u16.to_ne_bytes(), "ARPHRD_LOOPBACK");
    let mut argument = [0; 40];
    argument[16..20].copy_from_slice(&index.to_ne_bytes());
    assert!(ioctl(&udp, 0x8910, &argument)?.argument.starts_with(b"lo\0"));
    // The list: as many as there is room for.
    let list = ioctl(&udp, 0x8912, &[0; 400])?.argument;
    assert!(!list.is_empty() && list.len() % 40 == 0);
    assert!(list.chunks(40).any(|one| one.starts_with(b"lo\0") && one[20..24] == [127, 0, 0, 1]));
    Ok(())
}
