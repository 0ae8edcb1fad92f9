//! AF_CAN, in the booted kernel: vcan0 and vcan1 are up there, and carry CAN FD.

use std::io::{BufRead as _, BufReader};
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sandsock_tests::kernel::{RUNNER, SITE, booted, booted_once};
use sandsock_tests::{Guest, Program, command, programs, root, skip};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

/// An interface's index.
fn index(name: &str) -> u32 {
    let text = std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex"))
        .expect("the interface is there");
    text.trim().parse().expect("a number")
}

/// A native CAN_RAW socket.
#[allow(unsafe_code)]
fn native(interface: &str) -> Socket {
    let socket = Socket::new(
        Domain::from(libc::AF_CAN),
        Type::from(libc::SOCK_RAW),
        Some(Protocol::from(1)),
    )
    .expect("a socket");
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_can is plain numbers, and shorter than the storage, which is aligned for
    // every address.
    let address = unsafe { storage.view_as::<libc::sockaddr_can>() };
    address.can_family = libc::AF_CAN as _;
    address.can_ifindex = index(interface) as _;
    // SAFETY: the storage holds a sockaddr_can of this length.
    let address = unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_can>() as _) };
    socket.bind(&address).expect("binds");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("it can be set");
    socket
}

#[test]
pub(crate) fn can_raw_ok() {
    booted(|way| {
        let guest = Guest::new(programs::can_raw_ok, way).allow("can=*:raw");
        guest.arg(index("vcan0")).arg(index("vcan1")).run().success();
    });
}

#[test]
pub(crate) fn can_raw_native_ok() {
    booted(|way| {
        let peer = native("vcan0");
        let guest = Guest::new(programs::can_raw_native_ok, way)
            .allow("can=vcan0:raw")
            .arg(index("vcan0"))
            .start();
        guest.lines(1);
        for id in [0x100u32, 0x200, 0x300] {
            let frame = |id: u32, data: &[u8; 3]| {
                [&id.to_ne_bytes()[..], &[3, 0, 0, 0], data, &[0; 5]].concat()
            };
            assert_eq!(peer.send(&frame(id, b"abc")).expect("sends"), 16);
            let mut buffer = [MaybeUninit::uninit(); 16];
            assert_eq!(peer.recv(&mut buffer).expect("receives"), 16);
            #[allow(unsafe_code)]
            // SAFETY: all 16 bytes were received.
            let got = buffer.map(|byte| unsafe { byte.assume_init() });
            assert_eq!(got[..], frame(id + 1, b"cba"));
        }
        guest.join().success();
    });
}

#[test]
pub(crate) fn can_filter_ok() {
    booted(|way| {
        Guest::new(programs::can_filter_ok, way)
            .allow("can=vcan0:raw")
            .arg(index("vcan0"))
            .run()
            .success();
    });
}

#[test]
pub(crate) fn can_raw_denied() {
    booted(|way| {
        let peer = native("vcan1");
        let guest = Guest::new(programs::can_raw_denied, way).allow("can=vcan0:raw");
        guest.arg(index("vcan0")).arg(index("vcan1")).run().success();
        peer.set_nonblocking(true).expect("it can be set");
        assert!(peer.recv(&mut [MaybeUninit::uninit(); 16]).is_err(), "a frame came through");
    });
}

#[test]
pub(crate) fn can_bcm_ok() {
    booted(|way| {
        let guest =
            Guest::new(programs::can_bcm_ok, way).allow("can=vcan0:bcm").allow("can=vcan0:raw");
        guest.arg(index("vcan0")).run().success();
    });
}

#[test]
pub(crate) fn can_bcm_denied() {
    booted(|way| {
        let guest = Guest::new(programs::can_bcm_denied, way).allow("can=vcan0:bcm");
        guest.arg(index("vcan0")).arg(index("vcan1")).run().success();
    });
}

#[test]
pub(crate) fn can_isotp_ok() {
    booted(|way| {
        Guest::new(programs::can_isotp_ok, way)
            .allow("can=vcan0:isotp")
            .arg(index("vcan0"))
            .run()
            .success();
    });
}

#[test]
pub(crate) fn can_isotp_denied() {
    booted(|way| {
        let guest = Guest::new(programs::can_isotp_denied, way).allow("can=vcan0:isotp");
        guest.arg(index("vcan0")).arg(index("vcan1")).run().success();
    });
}

#[test]
pub(crate) fn can_j1939_ok() {
    booted(|way| {
        Guest::new(programs::can_j1939_ok, way)
            .allow("can=vcan0:j1939")
            .arg(index("vcan0"))
            .run()
            .success();
    });
}

#[test]
pub(crate) fn can_j1939_denied() {
    booted(|way| {
        let guest = Guest::new(programs::can_j1939_denied, way).allow("can=vcan0:j1939");
        guest.arg(index("vcan0")).arg(index("vcan1")).run().success();
    });
}

#[test]
pub(crate) fn can_j1939_options_ok() {
    booted(|way| {
        let guest = Guest::new(programs::can_j1939_options_ok, way)
            .allow("can=vcan0:j1939")
            .allow("option=SOL_CAN_J1939/SO_J1939_PROMISC")
            .allow("option=SOL_CAN_J1939/SO_J1939_SEND_PRIO");
        guest.arg(index("vcan0")).run().success();
    });
}

#[test]
fn can_node_example_answers_and_beats() {
    booted(|way| {
        let peer = native("vcan0");
        let guest = Guest::new(Program::example("can_node"), way)
            .example_policy()
            .arg("vcan0")
            .arg(2)
            .start();
        guest.lines(1);
        let frame = |id: u32, data: &[u8; 3]| {
            [&id.to_ne_bytes()[..], &[3, 0, 0, 0], data, &[0; 5]].concat()
        };
        // One beat comes at once, the next after 100 ms: each is answered by a frame to turn
        // around.
        let (mut answers, mut beats) = (0, 0);
        while answers < 2 {
            let mut buffer = [MaybeUninit::uninit(); 16];
            assert_eq!(peer.recv(&mut buffer).expect("receives"), 16);
            #[allow(unsafe_code)]
            // SAFETY: all 16 bytes were received.
            let got = buffer.map(|byte| unsafe { byte.assume_init() });
            match u32::from_ne_bytes([got[0], got[1], got[2], got[3]]) {
                0x124 => {
                    assert_eq!(got[..], frame(0x124, b"cba"));
                    answers += 1;
                }
                0x100 => {
                    assert_eq!(&got[8..13], b"alive");
                    beats += 1;
                    peer.send(&frame(0x123, b"abc")).expect("sends");
                }
                other => panic!("{other:#x}"),
            }
        }
        guest.join().success();
        assert!(beats >= 2, "{beats} heartbeats came");
    });
}

#[test]
fn can_rule_that_denies_wins() {
    // The guest that works must then fail.
    booted(|way| {
        for deny in ["can=*", "can=vcan0", "can=vcan1:raw"] {
            let guest = Guest::new(programs::can_raw_ok, way).allow_all().deny(deny);
            let ended = guest.arg(index("vcan0")).arg(index("vcan1")).run();
            assert!(matches!(ended.result, Ok(Err(()))), "{deny}: {ended:?}");
            assert!(ended.stderr.contains("is denied by the rule"), "{deny}: {}", ended.stderr);
        }
    });
}

/// Returns `sandsock python` for a script of `tests/python`. None if no runner came along.
#[track_caller]
fn python(test: &str, script: &str, options: &[&str]) -> Option<Command> {
    if !Path::new(RUNNER).exists() {
        skip(test, "no target/python/runner.wasm; `make python` builds it, with python3 and pip");
        return None;
    }
    let script = root().join("tests/python").join(script).canonicalize().expect("it came along");
    let mut python = Command::new(command());
    python.args(["python", "--runner", RUNNER]).args(options).arg(script);
    Some(python)
}

#[test]
fn can_python_program_needs_its_grant() {
    booted_once(|| {
        let test = "can::can_python_program_needs_its_grant";
        let Some(mut denied) = python(test, "can_node.py", &["--allow", "can=vcan1:raw"]) else {
            return;
        };
        let output = denied.args(["vcan0", "1"]).output().expect("starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains("PermissionError")
                && text.contains("allow it with --allow can=vcan0:raw"),
            "{text}"
        );

        let peer = native("vcan0");
        let allowed = python(test, "can_node.py", &["--allow", "can=vcan0:raw"]);
        let mut child = allowed
            .expect("a runner")
            .args(["vcan0", "2"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut line = || lines.next().expect("a line").expect("reads");
        assert_eq!(line(), "bound to ('vcan0',)");
        for (id, data, back) in [(0x123u32, *b"abc", *b"cba"), (0x200, *b"xyz", *b"zyx")] {
            let frame = |id: u32, data: [u8; 3]| {
                [&id.to_ne_bytes()[..], &[3, 0, 0, 0], &data, &[0; 5]].concat()
            };
            peer.send(&frame(id, data)).expect("sends");
            let [one, two, three] = data;
            assert_eq!(line(), format!("{id:x} {one:02x}{two:02x}{three:02x} from vcan0"));
            let mut buffer = [MaybeUninit::uninit(); 16];
            assert_eq!(peer.recv(&mut buffer).expect("receives"), 16);
            #[allow(unsafe_code)]
            // SAFETY: all 16 bytes were received.
            let got = buffer.map(|byte| unsafe { byte.assume_init() });
            assert_eq!(got[..], frame(id + 1, back));
        }
        assert!(child.wait().expect("ends").success());
    });
}

#[test]
fn can_python_package_runs() {
    booted_once(|| {
        let test = "can::can_python_package_runs";
        if !Path::new(SITE).exists() {
            return skip(test, "pip can't install the packages; tests/python/packages.py says why");
        }
        let options = ["--site", SITE, "--allow", "can=vcan0"];
        let Some(mut run) = python(test, "programs/package_can.py", &options) else { return };
        let output = run.arg("vcan0").output().expect("starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n", "{text}");
    });
}
