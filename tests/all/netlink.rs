//! AF_NETLINK: the kernel's own tables.

use std::net::TcpListener;

use sandsock_tests::netns::Namespace;
use sandsock_tests::{Guest, both_ways, programs, skip};

fn namespace(test: &str) -> Option<Namespace> {
    Namespace::new().inspect_err(|reason| skip(test, reason)).ok()
}

#[test]
pub(crate) fn netlink_route_ok() {
    let Some(namespace) = namespace("netlink_route_ok") else { return };
    both_ways(|way| {
        let guest = namespace.run(|| {
            Guest::new(programs::netlink_route_ok, way)
                .allow("netlink=route:read")
                .arg("coming0")
                .start()
        });
        guest.lines(1);
        namespace.ip("link add coming0 type veth peer name coming1").expect("is added");
        namespace.ip("address add 10.9.8.7/24 dev coming0").expect("is added");
        guest.join().success();
        namespace.ip("link delete coming0").expect("is deleted");
    });
}

#[test]
pub(crate) fn netlink_write_ok() {
    let Some(namespace) = namespace("netlink_write_ok") else { return };
    both_ways(|way| {
        namespace.ip("link set lo down").expect("is set");
        let guest = Guest::new(programs::netlink_write_ok, way)
            .allow("netlink=route:read")
            .allow("netlink=route:write");
        namespace.run(|| guest.run().success());
        assert!(namespace.ip("link show lo").expect("is shown").contains("UP"));
    });
}

#[test]
pub(crate) fn netlink_write_denied() {
    let Some(namespace) = namespace("netlink_write_denied") else { return };
    both_ways(|way| {
        let guest = Guest::new(programs::netlink_write_denied, way)
            .allow("netlink=route:read")
            .allow("netlink=sock-diag:read")
            .allow("netlink=generic:nlctrl")
            .allow("netlink=generic:ethtool");
        namespace.run(|| guest.run().success());
        assert!(
            namespace.ip("link show lo").expect("is shown").contains("UP"),
            "lo was taken down"
        );
    });
}

#[test]
pub(crate) fn netlink_tables_ok() {
    const EVENT: &str = "/sys/class/net/lo/uevent";
    if std::fs::OpenOptions::new().write(true).open(EVENT).is_err() {
        return skip("netlink_tables_ok", &format!("{EVENT} can't be written"));
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    both_ways(|way| {
        let guest = Guest::new(programs::netlink_tables_ok, way)
            .allow("netlink=sock-diag:read")
            .allow("netlink=generic:nlctrl")
            .allow("netlink=uevent")
            .arg(listener.local_addr().expect("an address").port())
            .start();
        guest.lines(1);
        std::fs::write(EVENT, "change").expect("is written");
        guest.join().success();
    });
}
