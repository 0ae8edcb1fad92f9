//! Makes sockets that are granted. Each returns the kernel's result, which is EAFNOSUPPORT if the
//! kernel lacks the family.

use sandsock::{Error, ErrorKind, Socket};

fn main() -> Result<(), Error> {
    for argument in std::env::args().skip(1) {
        let numbers: Vec<i32> =
            argument.split(':').map(|number| number.parse().expect("a number")).collect();
        let [family, kind, protocol, errno] = numbers[..] else {
            panic!("{argument}: four numbers")
        };
        match Socket::new(family, kind, protocol) {
            Ok(_) => assert_eq!(errno, 0, "{argument}"),
            Err(error) => assert_eq!(
                (error.kind(), error.errno()),
                (ErrorKind::Os, Some(errno)),
                "{argument}: {error}"
            ),
        }
    }
    Ok(())
}
