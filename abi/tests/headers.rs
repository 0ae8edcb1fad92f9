//! Compares the tables with the machine's C headers, by a C program that prints the numbers.

#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, process};

use sandsock_abi::constants::{CONSTANTS, EAI_OVERFLOW, address_info_text, host_text};
use sandsock_abi::errno;
use sandsock_abi::ioctl::IOCTLS;

/// There are two sets, because glibc's headers and the kernel's define some of the same structures.
const HEADERS: [&[&str]; 2] = [
    &[
        "errno.h",
        "sys/socket.h",
        "sys/epoll.h",
        "poll.h",
        "netdb.h",
        "netinet/in.h",
        "netinet/tcp.h",
        "netinet/udp.h",
        "netinet/icmp6.h",
        "net/ethernet.h",
        "bluetooth/bluetooth.h",
        "bluetooth/hci.h",
        "bluetooth/l2cap.h",
        "bluetooth/rfcomm.h",
        "bluetooth/sco.h",
    ],
    &[
        "sys/socket.h",
        "sys/ioctl.h",
        "asm/socket.h",
        "linux/errno.h",
        "linux/filter.h",
        "linux/sockios.h",
        "linux/in.h",
        "linux/in6.h",
        "linux/tcp.h",
        "linux/udp.h",
        "linux/icmp.h",
        "linux/icmpv6.h",
        "linux/netlink.h",
        "linux/if_packet.h",
        "linux/if_ether.h",
        "linux/if_alg.h",
        "linux/vm_sockets.h",
        "linux/tipc.h",
        "linux/rds.h",
        "linux/tls.h",
        "linux/can.h",
        "linux/can/raw.h",
        "linux/can/bcm.h",
        "linux/can/isotp.h",
        "linux/can/j1939.h",
    ],
];

/// Compiles and runs the program, and returns its output. Without a C compiler it prints why, and
/// returns None.
fn run_c(name: &str, source: &str) -> Option<String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let stem = format!("{name}-{}", process::id());
    let (code, program) = (folder.join(format!("{stem}.c")), folder.join(&stem));
    fs::write(&code, source).unwrap();
    let compiled = match Command::new("cc").arg("-w").arg(&code).arg("-o").arg(&program).output() {
        Ok(compiled) => compiled,
        Err(error) => {
            eprintln!("skipped: cc does not run here: {error}");
            return None;
        }
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let output = Command::new(&program).output().unwrap();
    assert!(output.status.success());
    for file in [code, program] {
        fs::remove_file(file).unwrap();
    }
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn numbers() {
    let mut ours: Vec<(&str, i64)> = CONSTANTS.to_vec();
    ours.extend(IOCTLS.iter().map(|row| (row.name, i64::from(row.number))));
    ours.extend(errno::ERRNOS.iter().map(|e| (e.name, i64::from(e.number))));
    let mut found: HashMap<String, i64> = HashMap::new();
    for (index, headers) in HEADERS.iter().enumerate() {
        let mut source = String::from("#define _GNU_SOURCE\n");
        for header in *headers {
            writeln!(source, "#if __has_include(<{header}>)\n#include <{header}>\n#endif").unwrap();
        }
        source.push_str("#include <stdio.h>\nint main(void) {\n");
        for (name, _) in &ours {
            writeln!(
                source,
                "#ifdef {name}\nprintf(\"{name} %lld\\n\", (long long)({name}));\n#endif"
            )
            .unwrap();
        }
        source.push_str("return 0; }\n");
        let Some(output) = run_c(&format!("numbers{index}"), &source) else {
            return;
        };
        for line in output.lines() {
            let (name, number) = line.split_once(' ').unwrap();
            found.insert(name.to_string(), number.parse().unwrap());
        }
    }
    let mut missing = Vec::new();
    for (name, number) in &ours {
        // C's types may differ (-1U for a negative int), but the 32 bits may not.
        match found.get(*name) {
            Some(theirs) => assert_eq!(*theirs as u32, *number as u32, "{name}"),
            None => missing.push(*name),
        }
    }
    println!(
        "{} numbers compared with the headers; {} not there as macros: {missing:?}",
        found.len(),
        missing.len()
    );
    assert!(found.len() > 400);
}

#[test]
fn texts_of_look_ups() {
    let source = r#"
#define _GNU_SOURCE
#include <netdb.h>
#include <stdio.h>
#ifdef __GLIBC__
int main(void) {
    for (int code = -110; code < 5; code++) printf("a\t%d\t%s\n", code, gai_strerror(code));
    for (int code = -1; code < 6; code++) printf("h\t%d\t%s\n", code, hstrerror(code));
    return 0;
}
#else
int main(void) { return 0; }
#endif
"#;
    let Some(output) = run_c("texts", source) else {
        return;
    };
    for line in output.lines() {
        let [kind, code, text]: [&str; 3] =
            line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let code: i32 = code.parse().unwrap();
        // A later glibc may have a text for it.
        if (kind, code) == ("a", EAI_OVERFLOW) {
            continue;
        }
        let ours = match kind {
            "a" => address_info_text(code).unwrap_or("Unknown error"),
            _ => host_text(code).unwrap_or("Unknown resolver error"),
        };
        assert_eq!(ours, text, "{kind} {code}");
    }
}
