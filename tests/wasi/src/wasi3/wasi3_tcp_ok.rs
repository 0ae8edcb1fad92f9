//! `wasi3_tcp_ok PORT`: a client of the echo server there, and then a server of two clients.

use wasip3::sockets::types::IpAddressFamily;

use super::support::*;

pub(super) async fn run(args: &[String]) {
    let server = port(args);
    let client = tcp();
    client.connect(loopback(server)).await.expect("connects");
    assert_eq!(port_of(client.get_remote_address().expect("a peer")), server);
    assert_ne!(port_of(client.get_local_address().expect("an address")), 0);
    assert!(!client.get_is_listening());
    assert!(matches!(client.get_address_family(), IpAddressFamily::Ipv4));
    let (input, received) = client.receive();
    // More than the kernel's buffers take at once.
    let data: Vec<u8> = (0..8 << 20).map(|at: u32| (at / 7) as u8).collect();
    send(&client, data.clone()).await.expect("sends");
    // Each can be called once.
    let (again, ended) = client.receive();
    assert!(again.collect().await.is_empty());
    fails!(ended.await, InvalidState);
    fails!(send(&client, vec![1]).await, InvalidState);
    // The streams go on without the socket.
    drop(client);
    assert!(input.collect().await == data);
    received.await.expect("ends well");

    let (socket, mut clients, port) = listener();
    assert!(socket.get_is_listening());
    fails!(socket.listen(), InvalidState);
    socket.set_keep_alive_enabled(true).expect("is set");
    socket.set_hop_limit(7).expect("is set");
    // The stream goes on without the socket.
    drop(socket);
    say(port);
    for _ in 0..2 {
        let client = clients.next().await.expect("a client");
        assert_eq!(port_of(client.get_local_address().expect("an address")), port);
        assert!(client.get_remote_address().is_ok() && !client.get_is_listening());
        assert!(client.get_keep_alive_enabled().expect("is known"));
        assert_eq!(client.get_hop_limit().expect("is known"), 7);
        echo(client).await;
    }
}
