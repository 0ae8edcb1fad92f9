//! Looks a name up at a server that does not answer; the host interrupts it, again and again.

use sandsock::constants::*;
use sandsock::{Family, getaddrinfo};

fn main() {
    let ask = || getaddrinfo("silent.example", 80, Family::INET, SOCK_STREAM, 0, 0);
    for _ in 0..2 {
        println!("asking");
        let error = ask().expect_err("an interrupt");
        assert_eq!(error.class(), "InterruptedError", "{error:?}");
    }
    // Nobody waits for those two any more, but the resolver is still at work on them: there is no place for a third.
    let error = ask().expect_err("no place");
    assert_eq!((error.class(), error.errno()), ("BlockingIOError", Some(sandsock::errno::EAGAIN)), "{error:?}");
    println!("refused");
}
