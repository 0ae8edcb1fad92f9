//! TIPC: messages to a service and back to a socket, and a connection.

use sandsock::constants::*;
use sandsock::raw::types::{self, TipcAddress};
use sandsock::{Address, Error, Socket};
use sandsock_test_programs::{fails_with, pattern};
use std::time::Duration;

fn address(address_type: i32, v1: u32, v2: u32, v3: u32) -> Address {
    let scope = TIPC_CLUSTER_SCOPE as i8;
    Address::Other(types::Address::Tipc(TipcAddress {
        address_type: address_type as u8,
        scope,
        v1,
        v2,
        v3,
    }))
}

fn main() -> Result<(), Error> {
    let socket = |kind| -> Result<Socket, Error> {
        let socket = Socket::new(AF_TIPC, kind, 0)?;
        socket.settimeout(Some(Duration::from_secs(5)))?;
        Ok(socket)
    };
    let (server, client) = (socket(SOCK_RDM)?, socket(SOCK_RDM)?);
    server.bind(address(TIPC_ADDR_NAMESEQ, 18888, 10, 19))?;
    for length in [1, 1000, 60_000] {
        client.sendto(&pattern(length), 0, address(TIPC_ADDR_NAME, 18888, 12, 0))?;
        let (data, from) = server.recvfrom(100_000, 0)?;
        assert_eq!(data, pattern(length));
        assert!(
            matches!(
                from,
                Address::Other(types::Address::Tipc(TipcAddress { address_type: 3, .. }))
            ),
            "{from}"
        );
        server.sendto(b"back", 0, &from)?;
        assert_eq!(client.recv(100, 0)?, b"back");
    }

    let listener = socket(SOCK_SEQPACKET)?;
    listener.bind(address(TIPC_ADDR_NAMESEQ, 18889, 1, 1))?;
    listener.listen(None)?;
    let client = Socket::new(AF_TIPC, SOCK_SEQPACKET, 0)?;
    client.setblocking(false)?;
    // The kernel connects when the other side accepts.
    fails_with(
        client.connect(address(TIPC_ADDR_NAME, 18889, 1, 0)),
        "BlockingIOError",
        sandsock::errno::EINPROGRESS,
    );
    let (server, _) = listener.accept()?;
    client.settimeout(Some(Duration::from_secs(5)))?;
    server.settimeout(Some(Duration::from_secs(5)))?;
    server.send(b"welcome", 0)?;
    assert_eq!(client.recv(100, 0)?, b"welcome");
    client.send(&pattern(5000), 0)?;
    assert_eq!(server.recv(10_000, 0)?, pattern(5000));
    Ok(())
}
