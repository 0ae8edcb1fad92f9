//! Any text as a policy file, a rule, a limit, a fixed address, a published address. What is taken
//! must be printed as a text that means the same.

#![no_main]

use std::path::Path;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use sandsock_policy::{Pins, Policy, PolicyBuilder, Request, Restriction};

fn build(builder: PolicyBuilder) -> Policy {
    builder.build_with(&|path| Ok(path.to_owned()))
}

fuzz_target!(|text: &str| {
    let mut file = Policy::builder();
    file.base_directory("/base").expect("a directory");
    if let Err(error) = file.file_text(Path::new("fuzz.toml"), text) {
        assert!(!error.to_string().is_empty());
    }
    for line in text.lines() {
        let mut builder = Policy::builder();
        builder.base_directory("/base").expect("a directory");
        for deny in [false, true] {
            let result = if deny { builder.deny(line) } else { builder.allow(line) };
            if let Err(error) = result {
                assert!(error.offset() <= line.len() && !error.reason().is_empty());
                assert!(error.character() >= 1);
            }
        }
        let _ = builder.limit(line);
        let _ = builder.resolve(line);
        let _ = builder.publish(line);
        let policy = build(builder);
        for rule in policy.allowed() {
            // A rule is printed as a rule, and its print is stable.
            let printed = rule.to_string();
            let mut again = Policy::builder();
            again.base_directory("/base").expect("a directory");
            again.allow(&printed).unwrap_or_else(|error| panic!("{line:?} -> {printed:?}: {error}"));
            assert_eq!(build(again).allowed()[0].to_string(), printed);
            let _ = Restriction::new(&policy, &[&printed]);
        }
        let now = Instant::now();
        let pins = Pins::new(now);
        let _ = policy.decide(&Request::Resolve(line), &pins, now);
    }
    let policy = build(file);
    let now = Instant::now();
    let pins = Pins::new(now);
    for port in [0, 1, 443, 65535] {
        for address in [[127, 0, 0, 1], [203, 0, 113, 1]] {
            let to = (address, port).into();
            let _ = policy.decide(&Request::TcpConnect(to), &pins, now);
            let _ = policy.decide(&Request::UdpReceive(to), &pins, now);
        }
    }
});
