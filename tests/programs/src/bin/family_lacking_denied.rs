//! Makes sockets that are not granted: the policy says so, whether the kernel has the family or
//! not.

use sandsock::{Error, Socket};
use sandsock_test_programs::needs;

fn main() -> Result<(), Error> {
    let mut count = 0;
    for argument in std::env::args().skip(1).filter(|argument| argument.contains(':')) {
        let numbers: Vec<i32> =
            argument.split(':').map(|number| number.parse().expect("a number")).collect();
        let [family, kind, protocol] = numbers[..] else { panic!("{argument}: three numbers") };
        needs(Socket::new(family, kind, protocol), None);
        count += 1;
    }
    assert!(count > 3, "only {count} were tried");
    Ok(())
}
