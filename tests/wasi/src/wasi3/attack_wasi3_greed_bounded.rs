//! `attack_wasi3_greed_bounded WHAT PORT`: takes as much as `wasi:sockets` 0.3 gives, says what it
//! got, and waits for the end of standard input with all of it.

use std::future::Future;
use std::mem::forget;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use wasip3::sockets::ip_name_lookup::resolve_addresses;
use wasip3::sockets::types::{IpAddressFamily, TcpSocket};

use super::support::*;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Polls all of them at once for this time, and then drops those that have not ended. Returns the
/// results.
async fn together<T>(time: Duration, mut all: Vec<Boxed<'_, T>>) -> Vec<T> {
    let mut results = Vec::new();
    let every = std::future::poll_fn(|cx| {
        all.retain_mut(|one| match one.as_mut().poll(cx) {
            Poll::Ready(result) => {
                results.push(result);
                false
            }
            Poll::Pending => true,
        });
        if all.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    });
    within(time, every).await;
    results
}

/// Connections with all of their streams and futures, which are never dropped.
async fn connections(port: u16) -> usize {
    let mut count = 0;
    while count < 2000 {
        let Ok(socket) = TcpSocket::create(IpAddressFamily::Ipv4) else { break };
        if socket.connect(loopback(port)).await.is_err() {
            break;
        }
        let (output, data) = wasip3::wit_stream::new();
        forget((socket.send(data), socket.receive(), output, socket));
        count += 1;
    }
    count
}

/// Connects that never end, at the same time.
async fn pending(port: u16) -> usize {
    let sockets: Vec<_> = (0..1000).map(|_| tcp()).collect();
    let connect = |socket| Box::pin(TcpSocket::connect(socket, loopback(port))) as Boxed<'_, _>;
    let connects = sockets.iter().map(connect).collect();
    let ended = together(Duration::from_millis(100), connects).await;
    1000 - ended.len()
}

/// Bytes that nobody reads.
async fn writes(port: u16) -> usize {
    let mut total = 0;
    while let Ok(socket) = TcpSocket::create(IpAddressFamily::Ipv4) {
        if socket.connect(loopback(port)).await.is_err() {
            break;
        }
        let (mut output, data) = wasip3::wit_stream::new();
        let sent = socket.send(data);
        for _ in 0..1000 {
            let write = output.write(vec![7; 65_536]);
            let Some((_, rest)) = within(Duration::from_millis(5), write).await else { break };
            total += 65_536 - rest.remaining();
        }
        forget((output, sent, socket));
        if total > 1 << 30 {
            break;
        }
    }
    total
}

/// A listener whose queue is never taken, then a flood of accepts.
async fn accepts() -> usize {
    let socket = tcp();
    if socket.bind(loopback(0)).is_err() {
        return 0;
    }
    socket.set_listen_backlog_size(u64::MAX).expect("is set");
    let mut clients = socket.listen().expect("listens");
    let own = socket.get_local_address().expect("an address");
    for _ in 0..300 {
        let client = tcp();
        if !matches!(within(Duration::from_millis(50), client.connect(own)).await, Some(Ok(()))) {
            break;
        }
        forget(client);
    }
    let mut accepted = 0;
    while let Some(Some(client)) = within(Duration::from_millis(20), clients.next()).await {
        forget(client);
        accepted += 1;
    }
    accepted
}

/// Look-ups at the same time, and again.
async fn lookups() -> usize {
    let mut answers = 0;
    for round in 0..10 {
        let lookup = |at| resolve_addresses(format!("name{round}-{at}.invalid"));
        let all = (0..1000).map(|at| Box::pin(lookup(at)) as Boxed<'_, _>).collect();
        let ended: Vec<Result<_, _>> = together(Duration::from_millis(20), all).await;
        answers += ended.iter().filter(|result| result.is_ok()).count();
    }
    answers
}

/// Sends and receives of one socket that wait at the same time.
async fn datagrams() -> usize {
    let socket = udp();
    if socket.bind(loopback(0)).is_err() {
        return 0;
    }
    let own = socket.get_local_address().expect("an address");
    let receives = (0..2000).map(|_| Box::pin(socket.receive()) as Boxed<'_, _>).collect();
    assert!(together(Duration::from_millis(50), receives).await.is_empty());
    let mut received = 0;
    for _ in 0..20 {
        let send = || socket.send(vec![7; 60_000], Some(own));
        let sends = (0..100).map(|_| Box::pin(send()) as Boxed<'_, _>).collect();
        together(Duration::from_millis(20), sends).await;
        while within(Duration::from_millis(5), socket.receive()).await.is_some() {
            received += 1;
        }
    }
    received
}

/// Reads of as much as the stream takes, which are cancelled.
async fn reads(port: u16) -> usize {
    let socket = tcp();
    if socket.connect(loopback(port)).await.is_err() {
        return 0;
    }
    let (mut input, _received) = socket.receive();
    let mut cancelled = 0;
    for _ in 0..2000 {
        let mut read = std::pin::pin!(input.read(Vec::with_capacity(1 << 20)));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        if read.as_mut().poll(&mut cx).is_pending() {
            read.cancel();
            cancelled += 1;
        }
    }
    cancelled
}

pub(super) async fn run(args: &[String]) {
    let port = port(&args[1..]);
    let got = match args[0].as_str() {
        "nothing" => 0,
        "handles" => {
            say("takes handles");
            loop {
                forget(wasip3::wit_stream::new::<u8>());
            }
        }
        "connections" => connections(port).await,
        "pending" => pending(port).await,
        "writes" => writes(port).await,
        "accepts" => accepts().await,
        "lookups" => lookups().await,
        "datagrams" => datagrams().await,
        "reads" => reads(port).await,
        other => panic!("{other}"),
    };
    say(format_args!("got {got}"));
    let _ = std::io::stdin().read_line(&mut String::new());
}
