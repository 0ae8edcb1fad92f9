//! Asks for names that lead to a denied one: through a search list, an alias, a chain of aliases.
//!
//! Arguments, after `twin` or not: `denied:NAME` must be denied by a rule, `none:NAME` must not be
//! found, `found:NAME` must be found, with every function that looks up. `connect:NAME:PORT` is
//! found, and a connect there denied by a rule. The twin finds all, and connects.

#[path = "../../../programs/src/attack.rs"]
#[allow(dead_code)]
mod attack;

use attack::denied_by_rule;
use sandsock::constants::*;
use sandsock::{
    Error, ErrorKind, Family, Result, Socket, getaddrinfo, gethostbyname, gethostbyname_ex,
};
use sandsock_attacks::is_twin;

/// Every way to look a name up, each with a first address.
fn ways(name: &str) -> Vec<(&'static str, Result<String>)> {
    let first = |family: Family, flags: i32| -> Result<String> {
        let list = getaddrinfo(name, 80, family, SOCK_STREAM, 0, flags)?;
        Ok(list.first().map(|info| format!("{:?}", info.address)).unwrap_or_default())
    };
    vec![
        ("getaddrinfo", first(Family::INET, 0)),
        ("getaddrinfo of both families", first(Family::UNSPEC, 0)),
        ("getaddrinfo with AI_CANONNAME", first(Family::INET, AI_CANONNAME)),
        ("gethostbyname", gethostbyname(name)),
        ("gethostbyname_ex", gethostbyname_ex(name).map(|entry| entry.addresses.join(" "))),
        ("connect", connect(name, 9)),
    ]
}

/// By its name, as most do it. Only the look-up is of interest.
fn connect(name: &str, port: u16) -> Result<String> {
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    match socket.connect((name, port)) {
        Err(error) if error.kind() == ErrorKind::Os => Ok("refused".to_owned()),
        result => result.map(|()| "connected".to_owned()),
    }
}

fn not_found(error: &Error) -> bool {
    matches!(error.class(), "gaierror" | "herror")
}

fn main() -> Result<()> {
    let words: Vec<String> = attack::args().into_iter().filter(|word| word != "twin").collect();
    assert!(!words.is_empty());
    for word in &words {
        let (what, name) = word.split_once(':').expect("WHAT:NAME");
        if what == "connect" {
            let (name, port) = name.split_once(':').expect("NAME:PORT");
            let port: u16 = port.parse().expect("a port");
            let address = gethostbyname(name)?;
            let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
            let result = socket.connect((address.as_str(), port));
            if is_twin() {
                result?
            } else {
                denied_by_rule(word, result)
            }
            continue;
        }
        for (way, result) in ways(name) {
            let text = format!("{way} of {name}");
            match (what, result) {
                ("found", result) => drop(result.unwrap_or_else(|error| panic!("{text}: {error}"))),
                (_, Ok(address)) if is_twin() => assert!(!address.is_empty(), "{text}"),
                (_, Err(error)) if is_twin() => panic!("{text}: {error}"),
                ("denied", result) => denied_by_rule(&text, result),
                ("none", Err(error)) if not_found(&error) => {}
                (_, result) => panic!("{text}: {result:?}"),
            }
        }
    }
    Ok(())
}
