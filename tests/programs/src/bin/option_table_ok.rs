//! Sets and gets the same options with the grants. Any error is then the kernel's. The arguments
//! are those of `option_table_denied`.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::{Ancillary, ErrorKind, OptionValue, Result, Socket};

fn not_denied<T>(what: &str, result: Result<T>) {
    if let Err(error) = result {
        assert_ne!(error.kind(), ErrorKind::Denied, "{what}: {error}");
    }
}

fn main() -> Result<()> {
    for argument in std::env::args().skip(1) {
        let [level, number, what, name] = argument.split(':').collect::<Vec<_>>()[..] else {
            panic!("{argument}")
        };
        let (level, number): (i32, i32) =
            (level.parse().expect("a level"), number.parse().expect("a number"));
        for family in [AF_INET, AF_INET6] {
            let socket = Socket::new(family, SOCK_DGRAM, 0)?;
            match what {
                "set" => {
                    for value in [
                        OptionValue::Integer(1),
                        OptionValue::Bytes(&[0; 16]),
                        OptionValue::Null(4),
                    ] {
                        not_denied(name, socket.setsockopt(level, number, value));
                    }
                }
                "get" => {
                    not_denied(name, socket.getsockopt(level, number));
                    not_denied(name, socket.getsockopt_bytes(level, number, 512));
                }
                _ => {
                    let item = Ancillary { level, kind: number, data: vec![0; 8] };
                    not_denied(name, socket.sendmsg(&[IoSlice::new(b"x")], &[item], 0, None));
                }
            }
        }
    }
    Ok(())
}
