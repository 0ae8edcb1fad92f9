//! Any text as a host name. Its form is stable, and look-ups, pins and rules agree on it.

#![no_main]

use std::net::IpAddr;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use sandsock_policy::{Pins, Policy, Request, normalise_name};

fuzz_target!(|text: &str| {
    let now = Instant::now();
    let mut pins = Pins::new(now);
    let address = IpAddr::from([203, 0, 113, 1]);
    pins.pin(text, &[address], now);
    let Ok(name) = normalise_name(text) else {
        assert!(pins.is_empty());
        return;
    };
    assert!(!name.is_empty() && name.len() <= 253 && name.is_ascii());
    assert_eq!(normalise_name(&name).expect("it is a name"), name, "{text:?}");
    assert_eq!(pins.addresses(&name, now), [address]);
    let mut builder = Policy::builder();
    if builder.allow(&format!("tcp-connect={text}:443")).is_err() {
        // It has a character with a meaning in rules, or looks like an address.
        return;
    }
    let policy = builder.build_with(&|path| Ok(path.to_owned()));
    let connect = |port: u16| {
        policy.decide(&Request::TcpConnect((address, port).into()), &pins, now).is_ok()
    };
    if policy.decide(&Request::Resolve(text), &pins, now).is_ok() && text.parse::<IpAddr>().is_err() {
        assert!(policy.decide(&Request::Resolve(&name), &pins, now).is_ok(), "{text:?}");
        assert!(connect(443), "{text:?} is {name}");
    }
    assert!(!connect(444));
});
