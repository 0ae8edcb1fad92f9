//! Listens on a socket that others hold too. Argument: `twin` or `attack`.
//!
//! Number 3 is a UDP socket that was bound by others, 4 a UNIX socket by which it hands over one of
//! its own. 127.0.0.1 is heard, 127.0.0.2 is not. Each line says what is expected to be sent; the
//! guest goes on after a moment.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::descriptors::inherit;
use sandsock::raw::syscalls::{self, set_option};
use sandsock::raw::transfers::{ControlOut, send_message};
use sandsock::raw::types::{OptionValue, Wait};

use sandsock_attacks::filter::{Listener, done, host, port};

fn told(line: &str) {
    println!("{line}");
    std::thread::sleep(Duration::from_millis(300));
}

fn main() {
    let twin = sandsock_attacks::is_twin();
    let handed = Listener::new(done("inherit", inherit(3)));
    let own = Listener::bound(AF_INET, 0, &host(AF_INET, 1, 0));
    // BPF_RET: everything is kept.
    let mut everything = vec![6, 0, 0, 0];
    everything.extend(u32::MAX.to_ne_bytes());
    done(
        "a filter",
        set_option(&own.d, SOL_SOCKET, SO_ATTACH_FILTER, OptionValue::Bytes(&everything)),
    );
    let through = done("inherit", inherit(4));
    let rights = ControlOut::Rights(&[&own.d]);
    done("sendmsg", send_message(&through, &[b"x"], &[rights], 0, None, Wait::Forever));
    for listener in [&handed, &own] {
        let port = port(&listener.d);
        told(&format!("one {port}"));
        listener.hears_if(twin, "one of the stranger's", b"unlisted");
        if !twin {
            told(&format!("many {port}"));
            listener.hears("behind many of the stranger's", b"listed");
            listener.is_silent("after it");
        }
        // Another holder is to find it as it was.
        told(&format!("yours {port}"));
        listener.is_silent("the other holder has taken it");
    }
    drop(syscalls::socket(AF_INET, SOCK_DGRAM, 0));
    println!("end");
}
