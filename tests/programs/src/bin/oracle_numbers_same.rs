//! Parses and formats the numeric addresses of its arguments. `numbers.py` does the same.

use sandsock::{Error, Service, getaddrinfo, inet_aton, inet_ntoa, inet_ntop, inet_pton};
use sandsock_test_programs::oracle::{decode, hex, shown, unhex};

fn main() {
    for argument in std::env::args().skip(1) {
        let parts: Vec<_> = argument.split('|').collect();
        println!("{argument} {}", shown(call(&parts)));
    }
}

fn call(parts: &[&str]) -> Result<String, Error> {
    let number = |place: usize| -> i32 { parts[place].parse().expect("a number") };
    let text = |place: usize| String::from_utf8(decode(parts[place])).expect("UTF-8");
    Ok(match parts[0] {
        "pton" => format!("'{}'", hex(&inet_pton(number(1), &text(2))?)),
        "ntop" => format!("'{}'", inet_ntop(number(1), &unhex(parts[2]))?),
        "aton" => format!("'{}'", hex(&inet_aton(&text(1))?)),
        "ntoa" => format!("'{}'", inet_ntoa(&unhex(parts[1]))?),
        _ => {
            let host = (parts[1] != "-").then(|| text(1));
            let service = match parts[2] {
                "-" => Service::None,
                name if name.starts_with('s') => Service::Name(&name[1..]),
                port => Service::Number(port.parse().expect("a number")),
            };
            let answers =
                getaddrinfo(host.as_deref(), service, number(3), number(4), number(5), number(6))?;
            let each: Vec<_> = answers
                .iter()
                .map(|i| {
                    format!(
                        "({}, {}, {}, '{}', {})",
                        i.family.0, i.kind.0, i.protocol, i.canonical_name, i.address
                    )
                })
                .collect();
            format!("[{}]", each.join(", "))
        }
    })
}
