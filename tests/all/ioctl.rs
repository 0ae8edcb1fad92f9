//! Requests by ioctl.

use sandsock_abi::ioctl::IOCTLS;
use sandsock_abi::option::Access;
use sandsock_tests::{Guest, both_ways, programs};

#[test]
pub(crate) fn ioctl_requests_ok() {
    both_ways(|way| {
        let names = ["ADDR", "NETMASK", "FLAGS", "MTU", "INDEX", "HWADDR", "NAME", "CONF"];
        let guest = Guest::new(programs::ioctl_requests_ok, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .allow("udp-bind=127.0.0.1:0");
        names
            .iter()
            .fold(guest, |guest, name| guest.allow(format!("ioctl=SIOCGIF{name}")))
            .run()
            .success();
    });
}

#[test]
pub(crate) fn ioctl_requests_denied() {
    both_ways(|way| {
        let guest = Guest::new(programs::ioctl_requests_denied, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("udp-bind=127.0.0.1:0")
            .allow("unix-bind=@*");
        let with = IOCTLS.iter().fold(guest, |guest, row| {
            let access = match row.access {
                Access::Granted => "granted",
                Access::Refused(_) => "refused",
                _ => "ordinary",
            };
            guest.arg(format!("{}:{}:{access}:{}", row.number, row.shape.size(), row.name))
        });
        with.run().success();
    });
}
