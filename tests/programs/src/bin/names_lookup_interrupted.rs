//! Asks a server that does not answer. The host interrupts it again and again. The argument is the
//! function.

use sandsock::constants::*;
use sandsock::{Error, Family, getaddrinfo, getfqdn, gethostbyaddr, gethostbyname, getnameinfo};

fn main() {
    let function: String = sandsock_test_programs::argument(0);
    let ask = || -> Result<(), Error> {
        match function.as_str() {
            "getaddrinfo" => {
                getaddrinfo("silent.example", 80, Family::INET, SOCK_STREAM, 0, 0).map(|_| ())
            }
            "gethostbyname" => gethostbyname("silent.example").map(|_| ()),
            "gethostbyaddr" => gethostbyaddr("192.0.2.1").map(|_| ()),
            "getnameinfo" => getnameinfo(("192.0.2.1", 80), 0).map(|_| ()),
            _ => getfqdn("192.0.2.1").map(|_| ()),
        }
    };
    for _ in 0..2 {
        println!("asking");
        let error = ask().expect_err("an interrupt");
        assert_eq!(error.class(), "InterruptedError", "{error:?}");
    }
    // The guest no longer waits for those two, but the resolver still works on them. So a third one
    // is refused.
    match ask() {
        // Which it hides, as Python does.
        Ok(()) => assert_eq!(function, "getfqdn"),
        Err(error) => {
            assert_eq!(
                (error.class(), error.errno()),
                ("BlockingIOError", Some(sandsock::errno::EAGAIN)),
                "{error:?}"
            );
        }
    }
    println!("refused");
}
