//! `wasi3_names_ok PORT`: look-ups, and a connection to the echo server there by name.

use wasip3::sockets::ip_name_lookup::resolve_addresses;
use wasip3::sockets::types::IpAddress;

use super::support::*;

pub(super) async fn run(args: &[String]) {
    let mut found: Vec<_> = resolve_addresses("two.example".to_owned())
        .await
        .expect("is found")
        .into_iter()
        .map(|address| matches!(address, IpAddress::Ipv6((0, 0, 0, 0, 0, 0, 0, 1))))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [false, true]);
    let found = resolve_addresses("ONE.example".to_owned()).await.expect("is found");
    assert!(matches!(found[..], [IpAddress::Ipv4((127, 0, 0, 1))]));
    let socket = tcp();
    socket.connect(loopback(port(args))).await.expect("connects");
    let (input, received) = socket.receive();
    send(&socket, b"by name".to_vec()).await.expect("sends");
    assert_eq!(input.collect().await, b"by name");
    received.await.expect("ends well");
    // A number is no name.
    let found = resolve_addresses("192.0.2.1".to_owned()).await.expect("is a number");
    assert!(matches!(found[..], [IpAddress::Ipv4((192, 0, 2, 1))]));
    let found = resolve_addresses("::ffff:192.0.2.1".to_owned()).await.expect("is a number");
    assert!(matches!(found[..], [IpAddress::Ipv4((192, 0, 2, 1))]));
}
