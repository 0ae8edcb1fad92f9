//! Programs on `wasi:sockets` 0.2: Rust's standard library, and the package's own states and errors.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use sandsock_tests::bench::wasi::{By, Program, Version};
use sandsock_tests::{Guest, both_ways, programs, skip};

use crate::policy::{Tcp, Udp};

pub(crate) mod acts;

pub(crate) use acts::{wasi_acts_ok, wasi3_acts_ok};

/// A server on the loopback that sends back what each connection sent, after its end.
pub(crate) fn echo_server(connections: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut data = Vec::new();
            stream.read_to_end(&mut data).expect("reads");
            stream.write_all(&data).expect("writes");
        }
    });
    port
}

/// A server on the loopback of this family that resets each connection after its first byte.
pub(crate) fn resetting_server(family: &u32) -> u16 {
    let host = if *family == 6 { "::1" } else { "127.0.0.1" };
    let listener = TcpListener::bind((host, 0)).expect("listens");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read_exact(&mut [0]);
            // man 7 socket: a close of a socket that lingers for no time resets the connection.
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("is set");
        }
    });
    port
}

/// A UDP socket on the loopback that sends each datagram back.
pub(crate) fn udp_echo() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let port = socket.local_addr().expect("an address").port();
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("is set");
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..count], from);
        }
    });
    port
}

fn port(line: &str) -> u16 {
    line.parse().expect("a port")
}

#[test]
pub(crate) fn wasi_tcp_ok() {
    if !programs::wasi_tcp_ok.is_built("wasi_tcp_ok") {
        return;
    }
    both_ways(|way| {
        let server = echo_server(1);
        let guest = Guest::new(programs::wasi_tcp_ok, way)
            .allow(format!("tcp-connect=127.0.0.1:{server}"))
            .allow("tcp-listen=127.0.0.1:0")
            .arg(server);
        let missing = guest.missing_grants();
        let running = guest.start();
        let mut client =
            TcpStream::connect(("127.0.0.1", port(&running.lines(1)[0]))).expect("connects");
        client.write_all(b"back").expect("writes");
        client.shutdown(Shutdown::Write).expect("is shut");
        let mut back = String::new();
        client.read_to_string(&mut back).expect("reads");
        assert_eq!(back, "back");
        running.join().success();
        assert!(missing.lock().expect("a list").is_empty());
    });
}

#[test]
pub(crate) fn wasi_tcp_denied() {
    if !programs::wasi_tcp_denied.is_built("wasi_tcp_denied") {
        return;
    }
    both_ways(|way| {
        let peer = Tcp::new();
        let guest = Guest::new(programs::wasi_tcp_denied, way).arg(peer.port());
        let missing = guest.missing_grants();
        guest.run().success();
        peer.untouched();
        // Each grant once.
        let grants =
            [format!("tcp-connect=127.0.0.1:{}", peer.port()), "tcp-listen=127.0.0.1:0".to_owned()];
        assert_eq!(*missing.lock().expect("a list"), grants);
    });
}

#[test]
pub(crate) fn wasi_udp_ok() {
    if !programs::wasi_udp_ok.is_built("wasi_udp_ok") {
        return;
    }
    both_ways(|way| {
        let peer = udp_echo();
        Guest::new(programs::wasi_udp_ok, way)
            .allow(format!("udp-send=127.0.0.1:{peer}"))
            .arg(peer)
            .run()
            .success();
    });
}

#[test]
pub(crate) fn wasi_udp_denied() {
    if !programs::wasi_udp_denied.is_built("wasi_udp_denied") {
        return;
    }
    both_ways(|way| {
        let peer = Udp::new();
        let guest = Guest::new(programs::wasi_udp_denied, way).arg(peer.port());
        let missing = guest.missing_grants();
        guest.run().success();
        assert_eq!(*missing.lock().expect("a list"), ["udp-bind=0.0.0.0:0"]);
        let guest = Guest::new(programs::wasi_udp_denied, way)
            .allow("udp-send=192.0.2.1:53")
            .arg(peer.port())
            .arg("other");
        let missing = guest.missing_grants();
        guest.run().success();
        let grants = [
            format!("udp-send=127.0.0.1:{}", peer.port()),
            "udp-bind=127.0.0.1:0".to_owned(),
            "udp-bind=[::]:0".to_owned(),
        ];
        assert_eq!(*missing.lock().expect("a list"), grants);
        peer.untouched();
    });
}

#[test]
pub(crate) fn wasi_udp_strangers_unseen() {
    both_ways(|way| {
        let peer = udp_echo();
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("binds");
        let running = Guest::new(programs::wasi_udp_strangers_unseen, way)
            .allow(format!("udp-send=127.0.0.1:{peer}"))
            .arg(peer)
            .start();
        let guest = port(&running.lines(1)[0]);
        for _ in 0..10 {
            stranger.send_to(b"strange", ("127.0.0.1", guest)).expect("sends");
        }
        let ended = running.join();
        assert_eq!(ended.dropped, 10);
        ended.success();
    });
}

#[test]
pub(crate) fn wasi_names_ok() {
    if !programs::wasi_names_ok.is_built("wasi_names_ok") {
        return;
    }
    both_ways(|way| {
        let server = echo_server(1);
        Guest::new(programs::wasi_names_ok, way)
            .allow(format!("tcp-connect=one.example:{server}"))
            .allow("resolve=two.example")
            .resolve("one.example=127.0.0.1")
            .resolve("two.example=127.0.0.1")
            .resolve("two.example=::1")
            .arg(server)
            .run()
            .success();
    });
}

#[test]
pub(crate) fn wasi_names_denied() {
    let localhost = crate::names::knows_localhost("wasi_names_denied, private space");
    both_ways(|way| {
        let mut guest = Guest::new(programs::wasi_names_denied, way)
            .allow("tcp-connect=localhost:80")
            .allow("resolve=name.invalid");
        if localhost {
            guest = guest.arg("localhost");
        }
        let missing = guest.missing_grants();
        guest.run().success();
        assert_eq!(missing.lock().expect("a list")[0], "resolve=denied.example");
    });
}

#[test]
pub(crate) fn wasi_states_ok() {
    both_ways(|way| {
        Guest::new(programs::wasi_states_ok, way)
            .allow("tcp-connect=127.0.0.1:*")
            .allow("tcp-listen=127.0.0.1:*")
            .allow("tcp-listen=192.0.2.1:0")
            .allow("udp-bind=127.0.0.1:0")
            .allow("udp-send=127.0.0.1:*")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn wasi_standard_ok() {
    both_ways(|way| {
        for family in families("wasi_standard_ok") {
            // The policy has no part in it.
            let guest = Guest::new(programs::wasi_standard_ok, way).allow_all();
            guest.arg(family).arg(resetting_server(family)).run().success();
        }
    });
}

#[test]
pub(crate) fn wasi_states_denied() {
    both_ways(|way| {
        for family in families("wasi_states_denied") {
            Guest::new(programs::wasi_states_denied, way).arg(family).run().success();
        }
    });
}

/// The programs of the standard's rules hold wasmtime's own implementation to the same rules.
#[test]
fn wasi_standard_is_wasmtimes_too() {
    for family in families("wasi_standard_is_wasmtimes_too") {
        let server = resetting_server(family).to_string();
        let family = family.to_string();
        let run = |version, name, args: &[&str]| {
            let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
            let program = Program::new(name, version, By::Wasmtime).expect("it is built");
            program.run_alone(&args).expect("it passes");
        };
        run(Version::P2, "wasi_standard_ok", &[&family, &server]);
        run(Version::P3, "bench_wasi3", &["wasi3_standard_ok", &family, &server]);
    }
}

/// The families of addresses that this host has.
pub(crate) fn families(test: &str) -> &'static [u32] {
    if TcpListener::bind("[::1]:0").is_ok() {
        return &[4, 6];
    }
    skip(test, "IPv6: this host has none");
    &[4]
}

#[test]
pub(crate) fn wasi_order_traps() {
    both_ways(|way| {
        for what in ["socket", "write", "send", "streams"] {
            let server = echo_server(1);
            let ended = Guest::new(programs::wasi_order_traps, way)
                .allow(format!("tcp-connect=127.0.0.1:{server}"))
                .allow("udp-bind=127.0.0.1:0")
                .allow("udp-send=127.0.0.1:*")
                .arg(what)
                .arg(server)
                .run();
            assert!(ended.result.is_err() && ended.stdout.is_empty(), "{what}: {ended:?}");
        }
    });
}

#[test]
pub(crate) fn wasi_limits_bounded() {
    both_ways(|way| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let server = listener.local_addr().expect("an address").port();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut buffer = [0; 4096];
            stream.read_exact(&mut buffer).expect("reads");
            for _ in 0..2 {
                stream.write_all(&buffer).expect("writes");
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let ended = Guest::new(programs::wasi_limits_bounded, way)
            .allow(format!("tcp-connect=127.0.0.1:{server}"))
            .allow("resolve=*")
            .limit("descriptors=10")
            .limit("transfer-bytes=4096")
            .limit("lookups-pending=2")
            .limit("lookups-per-second=1000")
            .arg(server)
            .run();
        let refused: u32 = ended.success().trim().parse().expect("a number");
        assert!(refused > 500, "{refused}");
        thread.join().expect("the server is well");
    });
}

/// The command, bounded in time.
fn sandsock() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(sandsock_tests::command());
    command.timeout(Duration::from_secs(60));
    command
}

#[test]
fn wasi_command_prints_each_missing_grant_once() {
    if !programs::wasi_tcp_denied.is_built("wasi_command_prints_each_missing_grant_once") {
        return;
    }
    let peer = Tcp::new();
    let port = peer.port().to_string();
    let guest = programs::wasi_tcp_denied.path();
    let output = sandsock().arg("run").arg(&guest).arg(&port).output().expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    let lines = [
        format!(
            "sandsock: tcp-connect to 127.0.0.1:{port} is not granted; allow it with --allow tcp-connect=127.0.0.1:{port}"
        ),
        "sandsock: tcp-listen on 127.0.0.1:0 is not granted; allow it with --allow tcp-listen=127.0.0.1:0".to_owned(),
    ];
    assert_eq!(stderr.lines().collect::<Vec<_>>(), lines);
    peer.untouched();
}

#[test]
fn wasi_inspect_names_the_grants() {
    if !programs::wasi_tcp_ok.is_built("wasi_inspect_names_the_grants") {
        return;
    }
    let guest = programs::wasi_tcp_ok.path();
    let output = sandsock().arg("inspect").arg(guest).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |name: &str| {
        let name = format!("  wasi:sockets/{name}@");
        let line = text.lines().find(|line| line.starts_with(&name));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).to_owned()
    };
    assert!(line("tcp").ends_with("(may need tcp-connect=HOST:PORT, tcp-listen=ADDRESS:PORT)"));
    assert!(line("network").ends_with("(needs no grant)"));
    assert!(text.contains("this command can run it"), "{text}");
}

#[test]
fn wasi_calls_are_observed() {
    if !programs::wasi_names_ok.is_built("wasi_calls_are_observed") {
        return;
    }
    if !programs::wasi_udp_ok.is_built("wasi_calls_are_observed") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let (trace, audit, pcap, stats) = (file("trace"), file("audit"), file("pcap"), file("stats"));
    let (tcp, udp) = (echo_server(1), udp_echo());
    let run = |program: &std::path::Path, grant: String, port: u16| {
        sandsock()
            .arg("run")
            .arg(format!("--trace={}", trace.display()))
            .arg("--audit")
            .arg(&audit)
            .arg("--pcap")
            .arg(&pcap)
            .arg(format!("--stats=json:{}", stats.display()))
            .args(["--allow", &grant, "--resolve", "one.example=127.0.0.1"])
            .args(["--resolve", "two.example=127.0.0.1", "--resolve", "two.example=::1"])
            .args(["--allow", "resolve=two.example"])
            .arg(program)
            .arg(port.to_string())
            .assert()
            .success();
        let text = |path| std::fs::read_to_string(path).expect("a text");
        crate::schema::check_lines(&crate::schema::read("audit.schema.json"), &text(&audit));
        (text(&trace), text(&audit), std::fs::read(&pcap).expect("a capture"), text(&stats))
    };
    let has = |capture: &[u8], text: &[u8]| capture.windows(text.len()).any(|part| part == text);

    let (calls, decisions, capture, counters) =
        run(&programs::wasi_names_ok.path(), format!("tcp-connect=one.example:{tcp}"), tcp);
    for start in [
        "getaddrinfo(\"one.example\") = 0 <",
        "socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3 <",
        &format!("connect(3, {{AF_INET, 127.0.0.1:{tcp}}}) = 0 <"),
        "finish_connect(3) = 0 <",
        "send(3, \"by name\", 7) = 7 <",
        "shutdown(3, SHUT_WR) = 0 <",
        "recv(3, \"by name\", ",
        "drop(3) = 0 <",
    ] {
        assert!(calls.lines().any(|line| line.starts_with(start)), "{start} is not in\n{calls}");
    }
    let allowed = format!("\"verb\":\"tcp-connect\",\"target\":\"127.0.0.1:{tcp}\"");
    assert!(decisions.contains(&allowed), "{decisions}");
    assert!(has(&capture, b"by name"));
    assert!(
        counters.contains("\"sent_bytes\":7") && counters.contains("\"received_bytes\":7"),
        "{counters}"
    );

    let (calls, decisions, capture, counters) =
        run(&programs::wasi_udp_ok.path(), format!("udp-send=127.0.0.1:{udp}"), udp);
    for start in [
        "socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = 3 <",
        "bind(3, {AF_INET, 0.0.0.0:0}) = 0 <",
        &format!("connect(3, {{AF_INET, 127.0.0.1:{udp}}}) = 0 <"),
        &format!(
            "sendmmsg(3, [{{data=\"one\", remote-address={{AF_INET, 127.0.0.1:{udp}}}}}], 1) = 1 <"
        ),
        &format!("recvmmsg(3, [{{data=\"one\", remote-address={{AF_INET, 127.0.0.1:{udp}}}}}], "),
    ] {
        assert!(calls.lines().any(|line| line.starts_with(start)), "{start} is not in\n{calls}");
    }
    assert!(decisions.contains("\"verb\":\"udp-send\""), "{decisions}");
    assert!(has(&capture, b"one") && has(&capture, b"two"));
    assert!(counters.contains("\"sent_bytes\":6"), "{counters}");
}

#[test]
pub(crate) fn wasi_serve_ok() {
    if !programs::wasi_serve_ok.is_built("wasi_serve_ok") {
        return;
    }
    crate::serve::serves_guests_of_wasi(programs::wasi_serve_ok, &[]);
}

#[test]
pub(crate) fn wasi_budget_bounded() {
    both_ways(|way| {
        crate::budget::of_wasi(|role, port, rule| {
            let guest = Guest::new(programs::wasi_budget_bounded, way).allow(rule);
            let ended = guest.arg(role).arg(port).run();
            let cpu = ended.cpu.expect("its own thread");
            ended.success();
            assert!(cpu < Duration::from_millis(700), "{role} took {cpu:?}");
        });
        let own = crate::budget::free_port();
        let guest = Guest::new(programs::wasi_budget_bounded, way)
            .allow(format!("tcp-listen=127.0.0.1:{own};connections=1"))
            .arg("accept")
            .arg(0)
            .arg(own)
            .start();
        guest.lines(1);
        let connect = || TcpStream::connect(("127.0.0.1", own)).expect("connects");
        let clients = [connect(), connect()];
        guest.join().success();
        drop(clients);
    });
}
