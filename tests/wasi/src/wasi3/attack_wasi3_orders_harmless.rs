//! `attack_wasi3_orders_harmless PORT`: drops the parts of a connection in every order, in the
//! middle of transfers and before them. The server there takes any number of connections.

use std::future::IntoFuture as _;
use std::time::Duration;

use futures_lite::future::zip;

use super::support::*;

/// The parts of a connection: the socket, two streams and two futures.
const PARTS: usize = 5;

const MOMENT: Duration = Duration::from_millis(1);

pub(super) async fn run(args: &[String]) {
    let port = port(args);
    let mut orders = Vec::new();
    permute(&mut Vec::new(), &mut orders);
    for (at, order) in orders.iter().enumerate() {
        let socket = tcp();
        if socket.connect(loopback(port)).await.is_err() {
            return say("denied");
        }
        let (mut output, data) = wasip3::wit_stream::new();
        let sent = socket.send(data);
        let (mut input, received) = socket.receive();
        match at % 4 {
            // A write that is cancelled, and a read.
            1 => {
                within(MOMENT, output.write(vec![7; 1 << 20])).await;
                within(MOMENT, input.read(Vec::with_capacity(10))).await;
            }
            // A read in the middle of what comes.
            2 => {
                assert!(output.write_all(vec![7; 10]).await.is_empty());
                within(MOMENT, input.read(Vec::with_capacity(3))).await;
            }
            // The futures are asked too early.
            3 => {
                let futures = zip(sent.into_future(), received.into_future());
                assert!(within(MOMENT, futures).await.is_none());
                drop((output, input, socket));
                continue;
            }
            _ => {}
        }
        let mut parts = (Some(socket), Some(output), Some(sent), Some(input), Some(received));
        for part in order {
            match part {
                0 => drop(parts.0.take()),
                1 => drop(parts.1.take()),
                2 => drop(parts.2.take()),
                3 => drop(parts.3.take()),
                _ => drop(parts.4.take()),
            }
        }
    }
    say(format_args!("{} orders", orders.len()));
}

/// All orders of the parts.
fn permute(order: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
    if order.len() == PARTS {
        return all.push(order.clone());
    }
    for part in 0..PARTS {
        if !order.contains(&part) {
            order.push(part);
            permute(order, all);
            order.pop();
        }
    }
}
