//! The time of a decision of the policy, at 10 to 100,000 rules: medians of seven runs, on requests
//! in a random order.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use sandsock_host::policy::{Pins, Policy, PolicyBuilderExt as _, Request};
use sandsock_tests::bench::Table;

const REQUESTS: usize = 200_000;
const RUNS: usize = 7;

fn main() {
    let about = format!(
        "Time for one decision of the policy, on requests in a random order; medians of {RUNS} runs."
    );
    let mut table =
        Table::new("decisions", about, &["by address", "by network", "by name", "denied"]);
    table.compared = false;
    for rules in [10, 100, 1_000, 10_000, 100_000] {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut policy = Policy::builder();
        let (mut addresses, mut networks, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for rule in 0..rules {
            // Public addresses: names lead nowhere else.
            let [b, c, d] = [random.next() as u8, random.next() as u8, random.next() as u8];
            let text = match rule % 3 {
                0 => {
                    addresses.push(SocketAddr::from(([20, b, c, d], 443)));
                    format!("tcp-connect=20.{b}.{c}.{d}:443")
                }
                1 => {
                    networks.push(SocketAddr::from(([30, b, c, d], 443)));
                    format!("tcp-connect=30.{b}.{c}.0/24:443")
                }
                _ => {
                    names.push(format!("host{rule}.example.com"));
                    format!("tcp-connect=host{rule}.example.com:443")
                }
            };
            policy.allow(&text).expect("a good grant");
        }
        let policy = policy.build();
        let now = Instant::now();
        let mut pins = Pins::new(now);
        let mut pinned = Vec::new();
        // A guest that has looked up 900 names; a table of pins holds 1,024.
        for (at, name) in names.iter().take(900).enumerate() {
            let address = Ipv4Addr::from(0x2800_0000 + u32::try_from(at).expect("below 900"));
            pins.pin(name, &[IpAddr::V4(address)], now);
            pinned.push(SocketAddr::from((address, 443)));
        }
        let decide = |requests: &[SocketAddr], allowed: bool| {
            median(|at| {
                let request = Request::TcpConnect(black_box(requests[at % requests.len()]));
                assert_eq!(policy.decide(&request, &pins, now).is_ok(), allowed);
            })
        };
        for list in [&mut addresses, &mut networks, &mut pinned] {
            random.shuffle(list);
        }
        let denied = [SocketAddr::from(([50, 1, 2, 3], 443))];
        let times = [
            decide(&addresses, true),
            decide(&networks, true),
            decide(&pinned, true),
            decide(&denied, false),
        ];
        table.push(&format!("{rules} rules"), times.map(Some).to_vec());
    }
    table.save();
}

/// Nanoseconds a request.
fn median(mut request: impl FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            (0..REQUESTS).for_each(&mut request);
            start.elapsed().as_nanos() as f64 / REQUESTS as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

/// xorshift64: the same rules and requests each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, usize::try_from(self.next() % (at as u64 + 1)).unwrap_or(0));
        }
    }
}
