//! Makes the look-ups that its arguments name, and prints their results. `names.py` does the same.

use sandsock::{
    Error, ErrorKind, HostEntry, Service, Socket, constants::SOCK_DGRAM, getaddrinfo, getfqdn,
    gethostbyaddr, gethostbyname, gethostbyname_ex, gethostname, getnameinfo, getprotobyname,
    getservbyname, getservbyport, if_indextoname, if_nameindex, if_nametoindex, sethostname,
};
use sandsock_test_programs::oracle::{decode, shown};

fn main() {
    for argument in std::env::args().skip(1) {
        let parts: Vec<_> = argument.split('|').collect();
        match call(&parts) {
            // Its text is that of the newest CPython, and not of all.
            Err(error) if error.kind() == ErrorKind::Unicode => {
                println!("{argument} ! UnicodeError")
            }
            result => println!("{argument} {}", shown(result)),
        }
    }
}

fn text(part: &str) -> String {
    String::from_utf8(decode(part)).expect("UTF-8")
}

/// Returns the text as Python's `ascii` shows it.
fn repr(text: &str) -> String {
    let escaped = |c: char| match u32::from(c) {
        0x0a => "\\n".to_owned(),
        0x20..0x7f => c.to_string(),
        code @ ..0x100 => format!("\\x{code:02x}"),
        code @ ..0x1_0000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    format!("'{}'", text.chars().map(escaped).collect::<String>())
}

fn list(items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| repr(item)).collect();
    format!("[{}]", items.join(", "))
}

fn entry(entry: HostEntry) -> String {
    format!("({}, {}, {})", repr(&entry.name), list(&entry.aliases), list(&entry.addresses))
}

fn call(parts: &[&str]) -> Result<String, Error> {
    let number = |place: usize| -> i64 { parts[place].parse().expect("a number") };
    let optional = |place: usize| parts.get(place).map(|part| text(part));
    let name = text(parts.get(1).copied().unwrap_or_default());
    Ok(match parts[0] {
        "gai" => {
            let host = (parts[1] != "-").then_some(name);
            let service;
            let service = match parts[2] {
                "-" => Service::None,
                name if name.starts_with('s') => {
                    service = text(&name[1..]);
                    Service::Name(&service)
                }
                port => Service::Number(port.parse().expect("a number")),
            };
            let small = |place: usize| i32::try_from(number(place)).expect("an int");
            let answers =
                getaddrinfo(host.as_deref(), service, small(3), small(4), small(5), small(6))?;
            let mut each: Vec<_> = answers
                .iter()
                .map(|i| {
                    format!(
                        "({}, {}, {}, '{}', {})",
                        i.family.0, i.kind.0, i.protocol, i.canonical_name, i.address
                    )
                })
                .collect();
            each.sort();
            format!("[{}]", each.join(", "))
        }
        "byname" => repr(&gethostbyname(&name)?),
        "byname_ex" => entry(gethostbyname_ex(&name)?),
        "byaddr" => entry(gethostbyaddr(&name)?),
        "fqdn" => repr(&getfqdn(&name)?),
        "info" => {
            let flags = i32::try_from(number(3)).expect("an int");
            let (host, service) = match parts.len() {
                4 => getnameinfo((name, number(2)), flags)?,
                5 => getnameinfo((name, number(2), number(4)), flags)?,
                _ => getnameinfo((name, number(2), number(4), number(5)), flags)?,
            };
            format!("({}, {})", repr(&host), repr(&service))
        }
        "connect" | "bind" | "sendto" => {
            let socket = Socket::new(i32::try_from(number(1)).expect("an int"), SOCK_DGRAM, 0)?;
            let address = (text(parts[2]), number(3));
            let there = match parts[0] {
                "sendto" => return Ok(socket.sendto(b"x", 0, address)?.to_string()),
                "bind" => {
                    socket.bind(address)?;
                    socket.getsockname()?
                }
                _ => {
                    socket.connect(address)?;
                    socket.getpeername()?
                }
            };
            repr(&there.host().unwrap_or_default())
        }
        "service" => getservbyname(&name, optional(2).as_deref())?.to_string(),
        "port" => repr(&getservbyport(number(1), optional(2).as_deref())?),
        "protocol" => getprotobyname(&name)?.to_string(),
        "interfaces" => {
            let each: Vec<_> = if_nameindex()?
                .iter()
                .map(|(index, name)| format!("({index}, {})", repr(name)))
                .collect();
            format!("[{}]", each.join(", "))
        }
        "index" => if_nametoindex(&name)?.to_string(),
        "interface" => repr(&if_indextoname(number(1))?),
        "sethostname" => sethostname(decode(parts[1])).map(|()| "None".to_owned())?,
        "hostname" => repr(&gethostname()),
        verb => panic!("no such call: {verb}"),
    })
}
