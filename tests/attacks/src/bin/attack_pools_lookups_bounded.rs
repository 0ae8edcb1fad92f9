//! Serves its one connection by lines. `abandon NAME` begins 8 look-ups of that name, and waits for
//! none of them longer than 20 milliseconds. `tables` asks for entries of this host's own files.
//! `name NAME` looks that name up.

use sandsock::constants::*;
use sandsock::raw::netdb;
use sandsock::raw::types::{Address, AddressHints, InetAddress, Wait};
use sandsock::{
    Family, Flags, Result, Socket, getaddrinfo, gethostbyaddr, gethostbyname, getnameinfo,
};
use sandsock::{getprotobyname, getservbyname, getservbyport};

fn main() -> Result<()> {
    let connection = Socket::with_fileno(0, None, None, None)?;
    let mut line = Vec::new();
    loop {
        let bytes = connection.recv(4096, Flags::NONE)?;
        if bytes.is_empty() {
            return Ok(());
        }
        line.extend(bytes);
        if line.ends_with(b"\n") {
            let answer = answer(String::from_utf8_lossy(&line).trim_end());
            connection.sendall(format!("{answer}\n").as_bytes(), Flags::NONE)?;
            line.clear();
        }
    }
}

fn answer(line: &str) -> String {
    let (what, name) = line.split_once(' ').unwrap_or((line, ""));
    let result = match what {
        "abandon" => {
            abandon(name);
            Ok("abandoned".to_owned())
        }
        "tables" => tables(),
        "name" => gethostbyname(name),
        other => panic!("{other}"),
    };
    result.unwrap_or_else(|error| error.to_string())
}

fn abandon(name: &str) {
    let hints = AddressHints { family: AF_INET, type_: SOCK_STREAM, protocol: 0, flags: 0 };
    let address = Address::Inet(InetAddress { address: (192, 0, 2, 7), port: 80 });
    let wait = Wait::Within(20_000_000);
    for round in 0..8 {
        // That they are given up, or refused, is the point.
        match round % 4 {
            0 | 1 => drop(netdb::get_address_info(Some(name), None, hints, wait)),
            2 => drop(netdb::get_host_by_name(name, AF_INET, wait)),
            _ => drop(netdb::get_host_by_address(&address, wait)),
        }
    }
}

fn tables() -> Result<String> {
    assert_eq!(getprotobyname("tcp")?, 6);
    let service = getservbyname("http", None).and_then(|port| getservbyport(port, None));
    let by_service =
        getaddrinfo("192.0.2.1", "http", Family::INET, SOCK_STREAM, 0, 0).map(|list| list.len());
    let shown = getnameinfo(("192.0.2.1", 80), NI_NUMERICHOST)?.0;
    // Both are in the hosts file.
    let address = gethostbyname("files.example")?;
    let name = gethostbyaddr("192.0.2.80")?.name;
    let _ = (service, by_service);
    Ok(format!("{shown} {address} {name}"))
}
