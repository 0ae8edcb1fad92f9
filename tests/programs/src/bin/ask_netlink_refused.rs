//! Lists the interfaces, for which the host asks by netlink. It is refused, or granted if the argument
//! says so.

use sandsock::{ErrorKind, if_nameindex};

fn main() {
    let opened = if_nameindex();
    if std::env::args().nth(1).is_some_and(|word| word == "granted") {
        opened.expect("it is granted");
    } else {
        assert_eq!(opened.expect_err("it is not granted").kind(), ErrorKind::Denied);
    }
}
