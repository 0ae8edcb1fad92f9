//! Sets and gets every option that needs a grant, without one. Each argument is
//! `LEVEL:NUMBER:USE:LEVEL_NAME/NAME`. USE is `set`, `get` or `control`.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::{Ancillary, OptionValue, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{args, denied_for};

fn main() -> sandsock::Result<()> {
    let mut count = 0;
    for argument in args() {
        let [level, number, what, name] = argument.split(':').collect::<Vec<_>>()[..] else {
            panic!("{argument}")
        };
        let (level, number): (i32, i32) =
            (level.parse().expect("a level"), number.parse().expect("a number"));
        let grant = format!("option={name}");
        for family in [AF_INET, AF_INET6] {
            let socket = Socket::new(family, SOCK_DGRAM, 0)?;
            match what {
                "set" => {
                    for value in [
                        OptionValue::Integer(1),
                        OptionValue::Bytes(&[0; 16]),
                        OptionValue::Null(4),
                    ] {
                        denied_for(name, socket.setsockopt(level, number, value), &grant);
                    }
                }
                "get" => {
                    denied_for(name, socket.getsockopt(level, number), &grant);
                    denied_for(name, socket.getsockopt_bytes(level, number, 512), &grant);
                }
                _ => {
                    let item = Ancillary { level, kind: number, data: vec![0; 8] };
                    denied_for(
                        name,
                        socket.sendmsg(&[IoSlice::new(b"x")], &[item], 0, None),
                        &grant,
                    );
                }
            }
        }
        count += 1;
    }
    assert!(count > 50, "{count}");
    Ok(())
}
