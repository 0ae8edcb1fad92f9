//! The names of numbers, as in the kernel's headers.

use sandsock_abi::constants::CONSTANTS;
use sandsock_abi::option;

/// Returns the name with this prefix and value, if there is one.
pub(super) fn name(prefix: &str, value: i128) -> Option<&'static str> {
    CONSTANTS
        .iter()
        .find(|(name, number)| i128::from(*number) == value && name.starts_with(prefix))
        .map(|(name, _)| *name)
}

/// Returns the name of an AF_*, or the number.
pub(super) fn family(value: i128) -> String {
    // These numbers have two names. These are the ones in use.
    let known = match value {
        1 => Some("AF_UNIX"),
        16 => Some("AF_NETLINK"),
        _ => name("AF_", value),
    };
    known.map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the name of a SOCK_*, with SOCK_NONBLOCK and SOCK_CLOEXEC.
pub(super) fn socket_type(value: i128) -> String {
    let flags = value & i128::from(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
    let kind = value & !flags;
    let mut text = name("SOCK_", kind).map_or_else(|| kind.to_string(), str::to_owned);
    if flags != 0 {
        text.push('|');
        text.push_str(&bits(&["SOCK_NONBLOCK", "SOCK_CLOEXEC"], flags));
    }
    text
}

/// Returns the name of a protocol in this family. Only the IP families have names, IPPROTO_*.
pub(super) fn protocol(family: Option<i128>, value: i128) -> String {
    let ip = matches!(family, Some(2 | 10));
    let known = if !ip {
        None
    } else if value == 0 {
        Some("IPPROTO_IP")
    } else {
        name("IPPROTO_", value)
    };
    known.map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the names of the flags in a value. They begin with the prefix.
pub(super) fn flags(prefix: &str, value: i128) -> String {
    let names: Vec<&str> = CONSTANTS
        .iter()
        .filter(|(name, number)| {
            name.starts_with(prefix) && number.count_ones() == 1 && !LENGTHS.contains(name)
        })
        .map(|(name, _)| *name)
        .collect();
    bits(&names, value)
}

/// Names with the prefix of flags that are no flags.
const LENGTHS: &[&str] = &["NI_MAXHOST", "NI_MAXSERV"];

fn bits(names: &[&str], value: i128) -> String {
    if value == 0 {
        return "0".to_owned();
    }
    let mut left = value;
    let mut text = String::new();
    for name in names {
        let Some(bit) = sandsock_abi::constants::constant(name).map(i128::from) else { continue };
        if left & bit != 0 {
            left &= !bit;
            text.push_str(if text.is_empty() { "" } else { "|" });
            text.push_str(name);
        }
    }
    if left != 0 {
        text.push_str(if text.is_empty() { "" } else { "|" });
        text.push_str(&format!("{:#x}", left as u32));
    }
    text
}

/// Returns the names of an option's level and number, or of a control message's level and type.
pub(super) fn option(level: i128, number: i128, control: bool) -> (String, String) {
    let row = i32::try_from(level)
        .ok()
        .zip(i32::try_from(number).ok())
        .and_then(|(level, number)| option::find(0, level, number));
    // man 7 unix: options have the same numbers.
    let scm = match number {
        1 if control && level == 1 => Some("SCM_RIGHTS"),
        2 if control && level == 1 => Some("SCM_CREDENTIALS"),
        3 if control && level == 1 => Some("SCM_SECURITY"),
        4 if control && level == 1 => Some("SCM_PIDFD"),
        _ => None,
    };
    let level = match row {
        Some(row) => row.level_name.to_owned(),
        None if level == 0 => "IPPROTO_IP".to_owned(),
        None => name("SOL_", level)
            .or_else(|| name("IPPROTO_", level))
            .map_or_else(|| level.to_string(), str::to_owned),
    };
    let number = match (scm, row) {
        (Some(name), _) => name.to_owned(),
        (None, Some(row)) => row.name.to_owned(),
        (None, None) => number.to_string(),
    };
    (level, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_names() {
        assert_eq!(family(2), "AF_INET");
        assert_eq!(family(1), "AF_UNIX");
        assert_eq!(family(16), "AF_NETLINK");
        assert_eq!(family(250), "250");
        assert_eq!(socket_type(1), "SOCK_STREAM");
        assert_eq!(socket_type(2 | 0o4000 | 0o2_000_000), "SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC");
        assert_eq!(protocol(Some(2), 6), "IPPROTO_TCP");
        assert_eq!(protocol(Some(2), 0), "IPPROTO_IP");
        assert_eq!(protocol(Some(1), 0), "0");
        assert_eq!(flags("MSG_", 0), "0");
        assert_eq!(flags("MSG_", 0x42), "MSG_DONTWAIT|MSG_PEEK");
        assert_eq!(flags("MSG_", 2 | 1 << 31), "MSG_PEEK|0x80000000");
        assert_eq!(flags("NI_", 3), "NI_NUMERICHOST|NI_NUMERICSERV");
        assert_eq!(flags("POLL", 5), "POLLIN|POLLOUT");
        assert_eq!(option(1, 2, false), ("SOL_SOCKET".into(), "SO_REUSEADDR".into()));
        assert_eq!(option(1, 1, true), ("SOL_SOCKET".into(), "SCM_RIGHTS".into()));
        assert_eq!(option(6, 1, false), ("IPPROTO_TCP".into(), "TCP_NODELAY".into()));
        assert_eq!(option(1, 9999, false), ("SOL_SOCKET".into(), "9999".into()));
    }
}
