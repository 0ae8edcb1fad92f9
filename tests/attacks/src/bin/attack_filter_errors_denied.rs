//! Reads the error queue, to see the datagrams of the other queue and errors that are not its own.
//! Argument: `twin` or `attack`.
//!
//! 127.0.0.1 and fd00::1 may be sent to and are heard. After a line with its port, it is sent an
//! error about a datagram to 127.0.0.9 that it never sent, which only the twin may have sent.

use sandsock::constants::*;
use sandsock::errno::EAGAIN;
use sandsock::raw::syscalls::set_option;
use sandsock::raw::transfers::{
    ControlIn, receive, receive_batch, receive_from, receive_message, send_to,
};
use sandsock::raw::types::{Address, OptionValue, Wait};

use sandsock_attacks::filter::{Listener, Sender, done, fails, host, port};

/// SOF_TIMESTAMPING_TX_SOFTWARE and SOF_TIMESTAMPING_SOFTWARE (linux/net_tstamp.h).
const STAMP_WHAT_IS_SENT: i32 = 1 << 1 | 1 << 4;

fn set(listener: &Listener, level: i32, name: i32, value: i32) {
    done("setsockopt", set_option(&listener.d, level, name, OptionValue::Integer(value)));
}

/// The next entry of the error queue: what it quotes, its address, and the level and kind of its
/// control messages.
fn next_error(listener: &Listener, flags: i32) -> (Vec<u8>, Option<Address>, Vec<(i32, i32)>) {
    // It may take a moment to come.
    for _ in 0..1000 {
        if let Ok(entry) =
            receive_message(&listener.d, 2000, 1000, MSG_ERRQUEUE | flags, Wait::None)
        {
            let kinds = entry.control.iter().map(|item| match item {
                ControlIn::Message(message) => (message.level, message.type_),
                other => panic!("{other:?}"),
            });
            return (entry.data, entry.address, kinds.collect());
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("no entry came")
}

fn main() {
    let twin = sandsock_attacks::is_twin();
    for family in [AF_INET, AF_INET6] {
        let (level, receive_errors) =
            if family == AF_INET { (IPPROTO_IP, IP_RECVERR) } else { (IPPROTO_IPV6, IPV6_RECVERR) };
        let listener = Listener::bound(family, 0, &host(family, 1, 0));
        let listed =
            Sender::new(family, 0, &host(family, 1, 0), host(family, 1, port(&listener.d)));
        listed.send(b"first");
        listed.send(b"second");
        let nothing = |what: &str| {
            for flags in
                [MSG_ERRQUEUE, MSG_ERRQUEUE | MSG_PEEK, MSG_ERRQUEUE | MSG_PEEK | MSG_TRUNC]
            {
                for wait in [Wait::None, Wait::Forever, Wait::Until(1)] {
                    fails(what, receive(&listener.d, 100, flags, wait), EAGAIN);
                    fails(
                        what,
                        receive_from(&listener.d, 1 << 20, flags, wait).map(|_| ()),
                        EAGAIN,
                    );
                    fails(
                        what,
                        receive_message(&listener.d, 100, 100, flags, wait).map(|_| ()),
                        EAGAIN,
                    );
                }
            }
            fails(
                what,
                receive_batch(&listener.d, 4, 100, 100, MSG_ERRQUEUE, Wait::None).map(|_| ()),
                EAGAIN,
            );
        };
        nothing("there is no error");

        // Timestamps of what is sent come without an address.
        set(&listener, SOL_SOCKET, SO_TIMESTAMPING, STAMP_WHAT_IS_SENT);
        let own_peer = Listener::bound(family, 0, &host(family, 1, 0));
        let stamped = host(family, 1, port(&own_peer.d));
        for flags in [0, MSG_PEEK] {
            done("sendto", send_to(&listener.d, b"stamped", 0, &stamped, Wait::Forever));
            let (data, address, kinds) = next_error(&listener, flags);
            assert!(data.ends_with(b"stamped") && address.is_none(), "{data:?} {address:?}");
            assert!(kinds.contains(&(SOL_SOCKET, SCM_TIMESTAMPING)), "{kinds:?}");
        }
        done("sendto", send_to(&listener.d, b"stamped", 0, &stamped, Wait::Forever));
        let batch = done(
            "a batch of errors",
            receive_batch(&listener.d, 4, 2000, 1000, MSG_ERRQUEUE, Wait::None),
        );
        assert_eq!(batch.messages.len(), 1);
        set(&listener, SOL_SOCKET, SO_TIMESTAMPING, 0);

        // An error about its own datagram, whose port has no socket.
        set(&listener, level, receive_errors, 1);
        let nobody = host(family, 1, 9);
        done("sendto", send_to(&listener.d, b"to nobody", 0, &nobody, Wait::Forever));
        let (data, address, kinds) = next_error(&listener, MSG_PEEK);
        assert_eq!(
            (&data[..], format!("{address:?}")),
            (&b"to nobody"[..], format!("{:?}", Some(nobody)))
        );
        assert_eq!(kinds, [(level, receive_errors)]);
        nothing("the error was taken");

        // An error about what it did not send.
        if family == AF_INET {
            println!("{}", port(&listener.d));
            let mut arrived = false;
            for _ in 0..100 {
                std::thread::sleep(std::time::Duration::from_millis(5));
                if let Ok(entry) =
                    receive_message(&listener.d, 2000, 1000, MSG_ERRQUEUE, Wait::None)
                {
                    assert_eq!(
                        format!("{:?}", entry.address),
                        format!("{:?}", Some(host(AF_INET, 9, 99)))
                    );
                    arrived = true;
                    break;
                }
            }
            assert_eq!(arrived, twin, "an error about a datagram to where it may not send");
            nothing("the forged one");
        }
        // All the while, the other queue was left alone.
        assert_eq!(done("the first", receive(&listener.d, 100, 0, Wait::None)), b"first");
        assert_eq!(done("the second", receive(&listener.d, 100, 0, Wait::None)), b"second");
    }
}
