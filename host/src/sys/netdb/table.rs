//! The resolver's files, as far as the host reads them before it asks. It reads which look-ups the
//! hosts file answers, and the search list (man 5 hosts, nsswitch.conf, resolv.conf).
//!
//! glibc gives the answers. The host reads these files to choose the thread on which it asks, and
//! to check what it may ask for.

use std::fs::read_to_string;
use std::net::IpAddr;

/// Services that answer from the hosts file, or without a network. They may stand before `files`.
const LOCAL: &[&str] = &["files", "mymachines", "myhostname", "resolve"];

/// Returns whether the hosts file answers a look-up of this name. The name is in the form in which
/// the policy checks names. `family` is an AF_*, or 0 for both.
pub(super) fn hosts_file_has_name(name: &str, family: i32) -> bool {
    comes_first()
        && lines(&file("/etc/hosts"))
            .any(|(address, names)| is_of(address, family) && has(names, name))
}

/// Returns whether the hosts file answers a look-up of this address.
pub(super) fn hosts_file_has_address(address: IpAddr) -> bool {
    comes_first()
        && lines(&file("/etc/hosts"))
            .any(|(other, names)| other == address && names.split_whitespace().next().is_some())
}

/// Returns the domains of the resolver's search list.
pub(super) fn search_list() -> Vec<String> {
    let given = std::env::var("LOCALDOMAIN").ok();
    let own = read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    domains(given.as_deref(), &file("/etc/resolv.conf"), own.trim())
}

/// Reads a file. A file that does not exist is empty.
fn file(path: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// Returns whether the hosts file is read before any server is asked.
fn comes_first() -> bool {
    is_first(&file("/etc/nsswitch.conf"))
}

fn is_first(switch: &str) -> bool {
    // man 5 nsswitch.conf. Without the line, glibc asks the name server first.
    let Some(services) = switch.lines().find_map(|line| line.trim_start().strip_prefix("hosts:"))
    else {
        return false;
    };
    let services = services.split('#').next().unwrap_or_default();
    let mut known = services
        .split_whitespace()
        .take_while(|word| LOCAL.contains(word) || word.starts_with('[') || word.ends_with(']'));
    known.any(|word| word == "files")
}

/// Returns the lines of a hosts file, each as its address and its names.
fn lines(file: &str) -> impl Iterator<Item = (IpAddr, &str)> {
    file.lines().filter_map(|line| {
        let (address, names) =
            line.split('#').next()?.trim_start().split_once(char::is_whitespace)?;
        // glibc accepts a zone in the address.
        Some((address.split('%').next()?.parse().ok()?, names))
    })
}

fn has(names: &str, name: &str) -> bool {
    names.split_whitespace().any(|one| one.eq_ignore_ascii_case(name))
}

/// Returns whether a line's address answers for a family. A line that can't be read answers for
/// none. Then the question takes the longer way.
fn is_of(address: IpAddr, family: i32) -> bool {
    match family {
        libc::AF_INET => address.to_canonical().is_ipv4() || address.is_loopback(),
        libc::AF_INET6 => address.is_ipv6() && address.to_canonical().is_ipv6(),
        _ => true,
    }
}

/// Returns the search list (man 5 resolv.conf): LOCALDOMAIN, or the last `search` or `domain`, or
/// this host's own domain.
fn domains(given: Option<&str>, file: &str, host: &str) -> Vec<String> {
    let listed = |line: &str| {
        let (word, rest) = line.split_once(char::is_whitespace)?;
        match word {
            "search" => Some(rest.to_owned()),
            "domain" => Some(rest.split_whitespace().next()?.to_owned()),
            _ => None,
        }
    };
    let own = || host.split_once('.').map(|(_, domain)| domain.to_owned());
    let list = given
        .map(str::to_owned)
        .or_else(|| file.lines().filter_map(listed).next_back())
        .or_else(own);
    list.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_file_is_first_where_the_switch_says_so() {
        for yes in [
            "hosts: files dns",
            "passwd: x\n hosts:\tmyhostname [!UNAVAIL=return] files\n",
            "hosts: resolve [!UNAVAIL=return] files",
        ] {
            assert!(is_first(yes), "{yes}");
        }
        for no in [
            "",
            "hosts: dns files",
            "hosts: mdns4_minimal [NOTFOUND=return] files",
            "hosts: dns # files",
            "#hosts: files",
        ] {
            assert!(!is_first(no), "{no}");
        }
    }

    #[test]
    fn hosts_lines_are_read_as_glibc_reads_them() {
        let file = "127.0.0.1 localhost # two\n::1\tLocalhost6 six\n192.0.2.1 a.example b\n# 192.0.2.2 c\nnonsense d\nfe80::1%lo e\n";
        let known = |name: &str, family| {
            lines(file).any(|(address, names)| is_of(address, family) && has(names, name))
        };
        assert!(
            known("localhost", libc::AF_INET)
                && !known("localhost", libc::AF_INET6)
                && known("localhost", 0)
        );
        // glibc answers 127.0.0.1 for ::1.
        assert!(
            known("localhost6", libc::AF_INET)
                && known("six", libc::AF_INET6)
                && known("e", libc::AF_INET6)
        );
        assert!(!known("two", 0) && !known("c", 0) && !known("d", 0) && !known("a", 0));
        assert!(known("A.example", libc::AF_INET) && known("b", 0));
    }

    #[test]
    fn search_list_is_that_of_resolv_conf() {
        let file = "domain one.example\nnameserver 192.0.2.1\nsearch two.example  three.example\n";
        assert_eq!(domains(None, file, "host.own.example"), ["two.example", "three.example"]);
        assert_eq!(
            domains(Some("env.example other.example"), file, "host"),
            ["env.example", "other.example"]
        );
        assert_eq!(domains(None, "search a.example\ndomain b.example x\n", "host"), ["b.example"]);
        assert_eq!(domains(None, "nameserver 192.0.2.1\n", "host.own.example"), ["own.example"]);
        assert!(domains(None, "", "host").is_empty());
    }
}
