//! Uses names whose server is hostile. The arguments are granted names' first addresses.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{ConnectTimeout, Error, ErrorKind, Family, Socket, create_connection, getaddrinfo};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied, denied_for};

const PORT: u16 = 8080;

fn ask(name: &str) -> Result<Vec<String>, Error> {
    let answers = getaddrinfo(name, PORT, Family::INET, SOCK_STREAM, 0, 0)?;
    Ok(answers.iter().filter_map(|answer| answer.address.host()).collect())
}

fn connect(host: &str) -> Result<(), Error> {
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.settimeout(Some(Duration::from_secs(5)))?;
    socket.connect((host, PORT))
}

fn main() {
    // The first answer is public, and used; from the second on it is the metadata service.
    assert_eq!(ask("rebind.example").expect("an answer"), ["93.184.216.34"]);
    let error = denied("connect by name", connect("rebind.example"));
    assert!(
        error.to_string().contains("169.254.169.254") && error.to_string().contains("private"),
        "{error}"
    );
    denied_for("the number", connect("169.254.169.254"), "tcp-connect=169.254.169.254:8080");
    // The pinned address is still that name's.
    connect("93.184.216.34").expect("the pinned address");
    let timeout = ConnectTimeout::After(Duration::from_secs(5));
    denied("create_connection", create_connection(("rebind.example", PORT), timeout, None, false));

    // An answer that is in part private: that part is left out.
    assert_eq!(ask("mixed.example").expect("an answer"), ["93.184.216.34"]);
    denied("the part that was left out", connect("10.0.0.1"));
    denied("metadata", ask("metadata.example"));
    // Public, but denied by its address.
    let error = denied("a denied address", ask("denied.example"));
    assert!(error.grant().is_none() && error.to_string().contains("denied by the rule"), "{error}");
    // Another name that leads to an address that is another's.
    connect("rebind.example").expect_err("still the metadata service");
    // The name that was asked for counts, not the one that it is an alias of.
    assert_eq!(ask("alias.example").expect("an answer"), ["93.184.216.35"]);
    connect("93.184.216.35").expect("the alias's address");
    let error = denied("the alias's own name", ask("canonical.other"));
    assert_eq!(error.grant(), Some("resolve=canonical.other"));
    assert_eq!(ask("canonical.example").map_err(|error| error.kind()), Err(ErrorKind::Denied));
    // No server hears of a name that was not granted: else the name is the message.
    for secret in ["secret.attacker.example", "hunter2.rebind.example", "xrebind.example"] {
        denied(secret, ask(secret));
        denied(secret, connect(secret));
    }
}
