//! Compares the tables with the machine's own python3, the reference for names, numbers, texts and
//! classes.

#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::process::Command;

use sandsock_abi::constants::{CONSTANTS, SOCKET_MODULE, constant};
use sandsock_abi::{errno, python_class};

/// Runs the script, and returns the lines that it prints, each split at tabs. Without python3 it
/// prints why, and returns None.
fn python(script: &str) -> Option<Vec<Vec<String>>> {
    let output = match Command::new("python3").args(["-c", script]).env("LC_ALL", "C").output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: python3 does not run here: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| line.split('\t').map(String::from).collect()).collect())
}

#[test]
fn errnos_and_classes() {
    let script = "
import errno, os
for n in range(-2, 200):
    print(n, errno.errorcode.get(n, ''), os.strerror(n), type(OSError(n, '')).__name__, sep='\\t')
print(*(f'{k}={getattr(errno, k)}' for k in dir(errno) if k[0] == 'E'), sep='\\t')
";
    let Some(mut rows) = python(script) else {
        return;
    };
    let names: HashMap<String, i32> = rows
        .pop()
        .unwrap()
        .iter()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, number)| (name.to_string(), number.parse().unwrap()))
        .collect();
    for row in rows {
        let [number, code, text, class] = row.try_into().unwrap();
        let number: i32 = number.parse().unwrap();
        assert_eq!(python_class(number), class, "class of {number}");
        match errno::find(number) {
            Some(ours) => {
                assert_eq!(ours.text, text);
                // Python 3.11 has no name for EHWPOISON. If Python has two names for a number, ours
                // is one of them.
                if !code.is_empty() {
                    assert_eq!(names.get(ours.name), Some(&number), "{}", ours.name);
                }
            }
            None => {
                assert!(code.is_empty(), "{code} is missing");
                assert!(text == "Success" || text.starts_with("Unknown error"), "{number}: {text}");
            }
        }
    }
    for (name, number) in [
        ("EWOULDBLOCK", errno::EWOULDBLOCK),
        ("EDEADLOCK", errno::EDEADLOCK),
        ("ENOTSUP", errno::ENOTSUP),
    ] {
        assert_eq!(names.get(name), Some(&number));
    }
}

#[test]
fn constants() {
    let script = "
import socket, select
for module in socket, select:
    for name in dir(module):
        value = getattr(module, name)
        if name[0] != '_' and isinstance(value, int) and not isinstance(value, bool):
            print(module.__name__, name, int(value), sep='\\t')
for name in 'BDADDR_ANY', 'BDADDR_LOCAL':
    print('text', name, getattr(socket, name, ''), sep='\\t')
print('text', 'has_ipv6', socket.has_ipv6, sep='\\t')
";
    let Some(rows) = python(script) else { return };
    let mut compared = 0;
    for row in rows {
        let [module, name, value] = row.try_into().unwrap();
        match (module.as_str(), name.as_str()) {
            ("text", "BDADDR_ANY") => {
                assert!(value.is_empty() || value == sandsock_abi::constants::BDADDR_ANY)
            }
            ("text", "BDADDR_LOCAL") => {
                assert!(value.is_empty() || value == sandsock_abi::constants::BDADDR_LOCAL)
            }
            ("text", _) => assert_eq!(value, "True"),
            // The socket module takes these from errno.
            ("socket", "EBADF" | "EAGAIN" | "EWOULDBLOCK") => {}
            // This is no event of poll or epoll.
            ("select", "PIPE_BUF") => {}
            (module, name) => {
                assert_eq!(constant(name), Some(value.parse().unwrap()), "{module}.{name}");
                if module == "socket" {
                    assert!(
                        SOCKET_MODULE.iter().any(|(ours, _)| *ours == name),
                        "{name} is not in SOCKET_MODULE"
                    );
                }
                compared += 1;
            }
        }
    }
    println!("{compared} of {} numbers compared with python3", CONSTANTS.len());
    assert!(compared > 300);
}
