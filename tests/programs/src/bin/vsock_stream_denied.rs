//! Tries other addresses than the granted ones: `vsock:listen:local:1234` and
//! `vsock:connect:local:1234`. `vsock:connect:host:1235` is denied by a rule.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Address, Error, Socket};
use sandsock_test_programs::needs;

fn main() -> Result<(), Error> {
    let socket = || Socket::new(AF_VSOCK, SOCK_STREAM, 0);
    let listener = socket()?;
    listener.settimeout(Some(Duration::from_secs(20)))?;
    for (cid, port, grant) in [
        (VMADDR_CID_ANY, 1234, "vsock:listen:any:1234"),
        (VMADDR_CID_LOCAL, 1235, "vsock:listen:local:1235"),
        (VMADDR_CID_LOCAL, VMADDR_PORT_ANY, "vsock:listen:local:any"),
        (VMADDR_CID_HOST, 1234, "vsock:listen:host:1234"),
    ] {
        needs(listener.bind(Address::Vsock(cid, port)), &*format!("family={grant}"));
    }
    listener.bind(Address::Vsock(VMADDR_CID_LOCAL, 1234))?;
    listener.listen(None)?;
    for (cid, port, grant) in [
        (VMADDR_CID_LOCAL, 1236, "vsock:connect:local:1236"),
        (VMADDR_CID_HOST, 1234, "vsock:connect:host:1234"),
        (0, 1234, "vsock:connect:hypervisor:1234"),
        (77, 1234, "vsock:connect:77:1234"),
    ] {
        needs(socket()?.connect(Address::Vsock(cid, port)), &*format!("family={grant}"));
        needs(socket()?.sendto(b"x", 0, Address::Vsock(cid, port)), &*format!("family={grant}"));
    }
    // This machine is no virtual machine's guest: its host is itself, and the rule that denies the
    // one denies the other.
    needs(socket()?.connect(Address::Vsock(VMADDR_CID_LOCAL, 1235)), None);
    for name in [SO_VM_SOCKETS_BUFFER_MAX_SIZE, SO_VM_SOCKETS_BUFFER_MIN_SIZE] {
        let text = if name == SO_VM_SOCKETS_BUFFER_MAX_SIZE { "MAX" } else { "MIN" };
        let grant = format!("option=AF_VSOCK/SO_VM_SOCKETS_BUFFER_{text}_SIZE");
        needs(socket()?.setsockopt(AF_VSOCK, name, 1 << 30), &*grant);
    }
    // Nothing of all that came through; what is granted does.
    let client = socket()?;
    client.settimeout(Some(Duration::from_secs(20)))?;
    client.connect(Address::Vsock(VMADDR_CID_LOCAL, 1234))?;
    let (server, _) = listener.accept()?;
    server.send(b"granted", 0)?;
    assert_eq!(client.recv(100, 0)?, b"granted");
    Ok(())
}
