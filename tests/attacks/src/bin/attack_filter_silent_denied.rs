//! Listens for a sender that no grant names, by everything that reveals a queue. Arguments: `twin`
//! or `attack`; `lite` to try UDP-Lite too; `coarse` if there are too many rules for an exact
//! filter.
//!
//! 127.0.0.1 and fd00::1 may be sent to and are heard, 127.0.0.2 and fd00::2 are not.

use sandsock::constants::*;
use sandsock::raw::syscalls;
use sandsock::raw::types::{Address, Inet6Address, OptionValue};

use sandsock_attacks::filter::{Listener, Sender, done, host, port};

fn main() {
    let twin = sandsock_attacks::is_twin();
    let coarse = std::env::args().any(|argument| argument == "coarse");
    let lite = std::env::args().any(|argument| argument == "lite");
    for protocol in [0, IPPROTO_UDPLITE] {
        if protocol != 0 && !lite {
            continue;
        }
        for (family, listening, from) in [
            ("IPv4", AF_INET, AF_INET),
            ("IPv6", AF_INET6, AF_INET6),
            ("IPv4 at IPv6", AF_INET6, AF_INET),
        ] {
            let what = |act: &str| format!("{family}, protocol {protocol}: {act}");
            let wildcard = Address::Inet6(Inet6Address {
                address: (0, 0, 0, 0, 0, 0, 0, 0),
                port: 0,
                flow_info: 0,
                scope_id: 0,
            });
            let at = if listening == from { host(listening, 1, 0) } else { wildcard };
            let listener = Listener::bound(listening, protocol, &at);
            let to = || host(from, 1, port(&listener.d));
            let listed = Sender::new(from, protocol, &host(from, 1, 0), to());
            let stranger = Sender::new(from, protocol, &host(from, 2, 0), to());
            done(
                "SO_RXQ_OVFL",
                syscalls::set_option(&listener.d, SOL_SOCKET, SO_RXQ_OVFL, OptionValue::Integer(1)),
            );
            assert_eq!(syscalls::get_option(&listener.d, SOL_SOCKET, SO_RXQ_OVFL), Ok(1));

            listener.is_silent(&what("nothing was sent"));
            stranger.send(b"unlisted");
            listener.hears_if(twin, &what("one datagram"), b"unlisted");
            stranger.send(b"");
            if twin {
                listener.hears(&what("an empty one"), b"");
            }
            stranger.send(&[b'!'; 1400]);
            if twin {
                listener.hears(&what("a long one"), &[b'!'; 1400]);
            } else {
                listener.is_silent(&what("an empty and a long one"));
                // More than any queue of the usual size holds: what comes behind them is there at
                // once.
                for _ in 0..if coarse { 20 } else { 2000 } {
                    stranger.send(&[b'!'; 1400]);
                }
                listed.send(b"listed");
                stranger.send(b"unlisted");
                listener.hears(&what("behind a flood"), b"listed");
                listener.is_silent(&what("after it"));
            }
            listed.send(b"listed");
            listener.hears(&what("the listed one alone"), b"listed");
            listener.is_silent(&what("all was read"));
        }
    }
}
