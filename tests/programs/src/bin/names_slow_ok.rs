//! Asks a slow server three questions. The argument is the least time of an answer, in
//! milliseconds.

use std::time::{Duration, Instant};

use sandsock::{Result, gethostbyaddr, gethostbyname, getnameinfo};

fn main() -> Result<()> {
    let least = Duration::from_millis(sandsock_test_programs::argument(0));
    let slow = |what: &str, ask: &dyn Fn() -> Result<String>, expected: &str| -> Result<()> {
        println!("{what}");
        // Until the host has stopped the server.
        std::thread::sleep(Duration::from_millis(500));
        let start = Instant::now();
        assert_eq!(ask()?, expected, "{what}");
        let elapsed = start.elapsed();
        assert!(elapsed >= least && elapsed < Duration::from_secs(10), "{what}: {elapsed:?}");
        Ok(())
    };
    slow("gethostbyname", &|| gethostbyname("web.example"), "93.184.216.34")?;
    slow(
        "gethostbyaddr",
        &|| gethostbyaddr("93.184.216.34").map(|entry| entry.name),
        "web.example",
    )?;
    slow(
        "getnameinfo",
        &|| getnameinfo(("93.184.216.34", 80), 0).map(|(host, _)| host),
        "web.example",
    )
}
