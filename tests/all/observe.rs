//! Looking on: traces, captures, statistics, the decision log.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use sandsock_tests::{command, programs, skip};
use serde_json::Value;

/// The files that one run of `observe_traffic_ok` left.
struct Seen {
    folder: tempfile::TempDir,
    ports: Ports,
    stderr: String,
}

#[derive(Clone, Copy)]
struct Ports {
    tcp: u16,
    udp: u16,
    forbidden: u16,
}

impl Seen {
    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("was written")
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

/// A port that is free for both families, with a listener and a datagram socket of each on ports of
/// the same number.
fn listeners() -> (Vec<TcpListener>, Vec<UdpSocket>, Ports) {
    for _ in 0..100 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
        let ports = Ports {
            tcp: tcp.local_addr().expect("has an address").port(),
            udp: udp.local_addr().expect("has an address").port(),
            forbidden: free.local_addr().expect("has an address").port(),
        };
        let tcp6 = TcpListener::bind((Ipv6Addr::LOCALHOST, ports.tcp));
        let udp6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, ports.udp));
        if let (Ok(tcp6), Ok(udp6)) = (tcp6, udp6) {
            return (vec![tcp, tcp6], vec![udp, udp6], ports);
        }
    }
    panic!("no port is free for both families");
}

/// The peers: a stream that answers once, and datagrams that come back.
fn peers(streams: Vec<TcpListener>, datagrams: Vec<UdpSocket>) -> Vec<JoinHandle<()>> {
    let mut threads = Vec::new();
    for listener in streams {
        threads.push(std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut hello = [0; 13];
            stream.read_exact(&mut hello).expect("reads");
            assert_eq!(&hello, b"connect-hello");
            stream.write_all(b"connect-reply").expect("writes");
            stream.read_to_end(&mut Vec::new()).expect("reads");
        }));
    }
    for socket in datagrams {
        threads.push(std::thread::spawn(move || {
            let mut buffer = [0; 100];
            // Two one by one, two of a batch, three that the kernel cut.
            for _ in 0..7 {
                let (length, from) = socket.recv_from(&mut buffer).expect("receives");
                socket.send_to(&buffer[..length], from).expect("sends");
            }
        }));
    }
    threads
}

/// Runs the guest with every observer.
#[track_caller]
fn look_on(more: &[&str]) -> Seen {
    let folder = tempfile::tempdir().expect("a folder");
    let (streams, datagrams, ports) = listeners();
    let peers = peers(streams, datagrams);
    let at = |name: &str| folder.path().join(name).display().to_string();
    // This file exists already, and everybody can read it.
    std::fs::write(at("pcap"), "old").expect("writes");
    let mut command = Command::new(command());
    command.args([
        "run",
        &format!("--trace={}", at("trace")),
        "--pcap",
        &at("pcap"),
        "--audit",
        &at("audit"),
    ]);
    command.arg(format!("--stats=json:{}", at("stats"))).args(more);
    for host in ["127.0.0.1", "[::1]"] {
        command.args(["--allow", &format!("tcp-connect={host}:{}", ports.tcp)]);
        command.args(["--allow", &format!("udp-send={host}:{}", ports.udp)]);
        command.args([
            "--allow",
            &format!("tcp-listen={host}:0"),
            "--allow",
            &format!("udp-bind={host}:0"),
        ]);
    }
    command.arg(programs::observe_traffic_ok.path());
    command.args([ports.tcp, ports.udp, ports.forbidden].map(|port| port.to_string()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("runs");
    let mut input = child.stdin.take().expect("piped");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next_port = || -> Option<u16> { lines.next()?.ok()?.parse().ok() };
    for host in [std::net::IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let Some(port) = next_port() else { break };
        // The guest's accept is to wait.
        std::thread::sleep(std::time::Duration::from_millis(100));
        let mut stream = TcpStream::connect(SocketAddr::new(host, port)).expect("connects");
        stream.write_all(b"accept-hello").expect("writes");
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).expect("reads");
        assert_eq!(reply, b"accept-reply");
        let Some(port) = next_port() else { break };
        let stranger = UdpSocket::bind((host, 0)).expect("binds");
        stranger.send_to(b"unseen", (host, port)).expect("sends");
        input.write_all(b"\n").expect("writes");
    }
    drop(input);
    let output = child.wait_with_output().expect("ends");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    for peer in peers {
        peer.join().expect("the peer is content");
    }
    Seen { folder, ports, stderr }
}

/// Returns tshark's output. None if there is no tshark.
fn tshark(test: &str, capture: &Path, args: &[&str]) -> Option<String> {
    let Ok(output) = Command::new("tshark").arg("-r").arg(capture).args(args).output() else {
        skip(test, "tshark is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Under `serve` the records name the instance, waits are those of fibers, and an instance that
/// traps loses no record.
#[test]
fn observe_served_instances() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut child = Command::new(command())
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "2",
            &format!("--trace={}", at("trace")),
            "--pcap",
            &at("pcap"),
        ])
        .args(["--audit", &at("audit"), &format!("--stats=json:{}", at("stats"))])
        .arg(programs::serve_connection_ok.path())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("reads");
    let address = line.trim_end().rsplit(' ').next().expect("an address").to_owned();
    for (words, answer) in [("echo one\n", "one\n"), ("echo two\ntrap\n", "two\n")] {
        let mut stream = TcpStream::connect(&*address).expect("connects");
        // Each waits before its first bytes.
        std::thread::sleep(std::time::Duration::from_millis(100));
        stream.write_all(words.as_bytes()).expect("writes");
        stream.shutdown(std::net::Shutdown::Write).expect("shuts");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("reads");
        assert_eq!(text, answer);
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .expect("is there");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("reads");
    assert!(child.wait().expect("ends").success() && rest.contains("the guest trapped"), "{rest}");

    let file = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("was written");
    let trace = file("trace");
    // A line that waited is in two parts where another instance's came between.
    for (instance, words) in [
        ("[1] ", "inherit(0) = 3 <"),
        ("[1] ", "\"echo one\\n\", 4096, 0, forever) = 9 <"),
        ("[1] ", "recv(3, \"\", 4096, 0, forever) = 0 <"),
        ("[1] ", "close(3) = 0 <"),
        ("[2] ", "\"echo two\\ntrap\\n\", 4096, 0, forever) = 14 <"),
        ("[2] ", "send(3, \"two\\n\", 4, 0, forever) = 4 <"),
    ] {
        let found =
            trace.lines().filter(|line| line.starts_with(instance) && line.contains(words)).count();
        assert_eq!(found, 1, "{instance}{words}\n{trace}");
    }
    let stats: Value = serde_json::from_str(&file("stats")).expect("is JSON");
    assert_eq!(stats["instances"], 2);
    let bytes = |row: &Value| (row["received_bytes"].as_u64(), row["sent_bytes"].as_u64());
    assert_eq!(bytes(&stats["total"]), (Some(9 + 14), Some(4 + 4)));
    let rows: Vec<_> = stats["descriptors"].as_array().expect("a list").iter().map(bytes).collect();
    assert_eq!(rows, [(Some(9), Some(4)), (Some(14), Some(4))]);
    assert!(stats["total"]["waits"].as_u64() >= Some(2), "{stats}");
    crate::schema::check_lines(&crate::schema::read("audit.schema.json"), &file("audit"));
    let audit: Vec<Value> =
        file("audit").lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    let inherits: Vec<_> = audit
        .iter()
        .filter(|line| line["call"] == "inherit")
        .map(|line| line["instance"].as_u64())
        .collect();
    assert_eq!(inherits, [Some(1), Some(2)]);

    let capture = folder.path().join("pcap");
    let shown = |args: &[&str]| tshark("observe_served_instances", &capture, args);
    let Some(complaints) = shown(&["-Y", "_ws.expert.severity >= 6291456 || _ws.malformed"]) else {
        return;
    };
    assert_eq!(complaints, "");
    for (stream, words) in [(0, ["echo one", "one"]), (1, ["echo two", "two"])] {
        let follow =
            shown(&["-q", "-z", &format!("follow,tcp,ascii,{stream}")]).unwrap_or_default();
        assert!(words.iter().all(|word| follow.contains(word)), "{follow}");
    }
    // Both ends are closed, that of the instance that trapped too.
    let ends = shown(&["-Y", "tcp.flags.fin == 1", "-T", "fields", "-e", "tcp.stream"])
        .unwrap_or_default();
    assert!(["0", "1"].iter().all(|stream| ends.lines().any(|line| line == *stream)), "{ends}");
}

#[test]
pub(crate) fn observe_traffic_ok() {
    let seen = look_on(&[]);
    for name in ["trace", "pcap", "audit", "stats"] {
        let mode =
            std::fs::metadata(seen.path(name)).expect("was written").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    trace_is_straces(&seen);
    statistics_add_up(&seen);
    decisions_are_logged(&seen);
    capture_is_read_by_tshark(&seen);
    assert_eq!(seen.stderr, "");
}

fn trace_is_straces(seen: &Seen) {
    let trace = seen.file("trace");
    let Ports { tcp, udp, forbidden } = seen.ports;
    let line = |start: &str| {
        trace
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("{start} is not in\n{trace}"))
            .to_owned()
    };
    for start in [
        "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3 <",
        &format!("connect(3, {{AF_INET, 127.0.0.1:{tcp}}}, forever) = 0 <"),
        &format!("connect(3, {{AF_INET6, [::1]:{tcp}}}, forever) = 0 <"),
        "send(3, \"connect-hello\", 13, 0, forever) = 13 <",
        "recv(3, \"connect\", 7, MSG_PEEK, forever) = 7 <",
        "recv(3, \"connect-reply\", 13, MSG_WAITALL, forever) = 13 <",
        "shutdown(3, SHUT_WR) = 0 <",
        "recv(3, \"\", 100, 0, forever) = 0 <",
        "close(3) = 0 <",
        "bind(3, {AF_INET, 127.0.0.1:0}) = 0 <",
        "listen(3, 5) = 0 <",
        "accept(3, {AF_INET, 127.0.0.1:",
        "dup(4) = 5 <",
        "sendmsg(5, {msg_name=NULL, msg_iov=[\"accept-\", \"reply\"], msg_control=[]}, 0, forever) = 12 <",
        "drop(5) = 0 <",
        &format!("sendto(4, \"sendto-one\", 10, 0, {{AF_INET, 127.0.0.1:{udp}}}, forever) = 10 <"),
        &format!(
            "recvfrom(4, \"sendto-one\", 100, MSG_PEEK, {{AF_INET, 127.0.0.1:{udp}}}, forever) = 10 <"
        ),
        "recvmsg(4, {data=\"sendmsg-two\", length=11, control=[], flags=0, address={AF_INET, 127.0.0.1:",
        &format!(
            "sendto(4, \"forbidden\", 9, 0, {{AF_INET, 127.0.0.1:{forbidden}}}, forever) = denied: udp-send to 127.0.0.1:"
        ),
        "recv(4, NULL, 100, 0, none) = -1 EAGAIN (Resource temporarily unavailable) <",
        "sendmmsg(5, \"batch-1batch-two\", [{length=7, address={AF_INET, 127.0.0.1:",
        "recvmmsg(5, \"batch-1",
        "socketpair(AF_UNIX, SOCK_STREAM, 0, [",
        "ioctl(4, FIONBIO, [1]) = 0 <",
    ] {
        line(start);
    }
    let cut = line("sendmsg(5, {msg_name={");
    assert!(
        cut.contains(
            "msg_control=[{message={level=IPPROTO_UDP, type=UDP_SEGMENT, data=\"\\5\\0\"}}]"
        ),
        "{cut}"
    );
    assert!(trace.lines().all(|line| line.ends_with('>') && line.contains(" = ")), "{trace}");
}

fn statistics_add_up(seen: &Seen) {
    let stats: Value = serde_json::from_str(&seen.file("stats")).expect("is JSON");
    let total = |name: &str| stats["total"][name].as_u64().expect("is a number");
    // For each family: connect-hello, accept-reply, sendto-one, sendmsg-two, the batch, the cut
    // messages.
    assert_eq!(total("sent_bytes"), 2 * (13 + 12 + 10 + 11 + 16 + 15) + 10);
    assert_eq!(total("received_bytes"), 2 * (13 + 12 + 10 + 11 + 16 + 15) + 10);
    assert_eq!(total("sent_messages"), 2 * (1 + 1 + 1 + 1 + 2 + 3) + 1);
    assert_eq!((total("dropped"), total("denials"), total("again")), (2, 2, 4));
    assert!(total("waits") >= 2 && total("waited_ns") > 0);
    let rows = stats["descriptors"].as_array().expect("is a list");
    let first = &rows[0];
    assert_eq!(
        (&first["descriptor"], &first["family"], &first["type"]),
        (&3.into(), &"AF_INET".into(), &"SOCK_STREAM".into())
    );
    assert_eq!(first["peer"], format!("127.0.0.1:{}", seen.ports.tcp));
    assert_eq!((&first["sent_bytes"], &first["received_bytes"]), (&13.into(), &13.into()));
    let calls: u64 = rows.iter().map(|row| row["calls"].as_u64().expect("is a number")).sum();
    let trace = seen.file("trace");
    assert_eq!(calls + stats["other"]["calls"].as_u64().expect("is a number"), total("calls"));
    assert_eq!(total("calls"), trace.lines().count() as u64);
    let row = |list: &str, key: &str, name: &str| {
        let rows = stats[list].as_array().expect("a list").iter();
        rows.clone().find(|row| row[key] == name).unwrap_or_else(|| panic!("no {name} in {rows:?}"))
    };
    let Ports { tcp, forbidden, .. } = seen.ports;
    let rule = row("rules", "rule", &format!("tcp-connect=127.0.0.1:{tcp}"));
    assert!(rule["allowed"].as_u64() >= Some(1) && rule["denied"] == 0, "{rule}");
    let missing = row("missing", "grant", &format!("udp-send=[::1]:{forbidden}"));
    assert!(missing["denied"].as_u64() >= Some(1) && missing["would_deny"] == 0, "{missing}");
}

fn decisions_are_logged(seen: &Seen) {
    crate::schema::check_lines(&crate::schema::read("audit.schema.json"), &seen.file("audit"));
    let lines: Vec<Value> = seen
        .file("audit")
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let Ports { tcp, udp, forbidden } = seen.ports;
    let find = |call: &str, verb: &str, target: &str| {
        lines
            .iter()
            .find(|line| line["call"] == call && line["verb"] == verb && line["target"] == target)
            .unwrap_or_else(|| panic!("no {call} {verb} {target} in {lines:#?}"))
    };
    let connect = find("connect", "tcp-connect", &format!("127.0.0.1:{tcp}"));
    assert_eq!((&connect["decision"], &connect["instance"]), (&"allow".into(), &1.into()));
    assert_eq!(connect["rule"], format!("tcp-connect=127.0.0.1:{tcp}"));
    assert_eq!(
        (&connect["family"], &connect["type"], &connect["protocol"]),
        (&2.into(), &1.into(), &6.into())
    );
    let denied = find("send-to", "udp-send", &format!("[::1]:{forbidden}"));
    assert_eq!((&denied["decision"], &denied["rule"]), (&"deny".into(), &Value::Null));
    assert!(denied["reason"].as_str().expect("a sentence").contains("is not granted"));
    assert_eq!(find("socket", "socket", "2:1:0")["decision"], "allow");
    assert_eq!(find("bind", "tcp-listen", "127.0.0.1:0")["decision"], "allow");
    assert_eq!(find("send-batch", "udp-send", &format!("[::1]:{udp}"))["decision"], "allow");
    let dropped =
        lines.iter().filter(|line| line["verb"] == "udp-receive" && line["decision"] == "deny");
    assert_eq!(dropped.count(), 2);
}

fn capture_is_read_by_tshark(seen: &Seen) {
    let capture = seen.path("pcap");
    let shown = |args: &[&str]| tshark("observe_traffic_ok", &capture, args);
    // Nothing that Wireshark would complain of.
    let Some(complaints) = shown(&["-Y", "_ws.expert.severity >= 6291456 || _ws.malformed"]) else {
        return;
    };
    assert_eq!(complaints, "");

    let fields = ["-T", "fields", "-E", "separator=|"];
    let list = |filter: &str, names: &[&str]| {
        let mut args = vec!["-Y", filter];
        args.extend(fields);
        for name in names {
            args.extend(["-e", name]);
        }
        shown(&args).unwrap_or_default()
    };
    // Two connections a family, each with its handshake and both ends.
    let whole = list("tcp.completeness", &["tcp.stream", "tcp.completeness"]);
    for stream in 0..4 {
        let last =
            whole.lines().rfind(|line| line.starts_with(&format!("{stream}|"))).expect("a packet");
        // SYN, SYN-ACK, ACK, data, FIN.
        assert_eq!(last.split('|').nth(1), Some("31"), "{whole}");
    }
    assert_eq!(list("tcp.stream == 4", &["tcp.stream"]), "");
    for (stream, host, text) in [
        (0, "127.0.0.1", ["connect-hello", "connect-reply"]),
        (1, "127.0.0.1", ["accept-hello", "accept-reply"]),
        (2, "::1", ["connect-hello", "connect-reply"]),
        (3, "::1", ["accept-hello", "accept-reply"]),
    ] {
        let follow =
            shown(&["-q", "-z", &format!("follow,tcp,ascii,{stream}")]).unwrap_or_default();
        assert!(follow.contains(host), "{follow}");
        for text in text {
            assert_eq!(follow.matches(text).count(), 1, "{text} in\n{follow}");
        }
    }
    let to = list(
        &format!("tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.dstport == {}", seen.ports.tcp),
        &["tcp.stream"],
    );
    assert_eq!(to.lines().collect::<Vec<_>>(), ["0", "2"]);

    // Datagrams, each once in each direction, those of batches and those that the kernel cut by
    // themselves.
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let payloads = |filter: String| -> Vec<String> {
        let mut list: Vec<_> =
            list(&filter, &["udp.payload"]).lines().map(|line| line.replace(':', "")).collect();
        list.sort();
        list
    };
    let mut expected =
        ["sendto-one", "sendmsg-two", "batch-1", "batch-two", "gso-1", "gso-2", "gso-3"]
            .map(hex)
            .to_vec();
    expected.sort();
    let udp = seen.ports.udp;
    for (family, source, destination) in
        [("ip.src == 127.0.0.1", "ip", "ip"), ("ipv6.src == ::1", "ipv6", "ipv6")]
    {
        assert_eq!(payloads(format!("{source} && {family} && udp.dstport == {udp}")), expected);
        assert_eq!(
            payloads(format!("{destination} && {family} && udp.srcport == {udp}")),
            expected
        );
    }
    assert_eq!(list("udp", &["udp.payload"]).lines().count(), 4 * expected.len());

    // Sockets that are not IP have their bytes, and their ends in words.
    let unix = list("exported_pdu", &["frame.comment", "data.data"]);
    let unix: Vec<_> = unix.lines().collect();
    assert_eq!(unix.len(), 2, "{unix:?}");
    assert!(
        unix[0].contains("AF_UNIX SOCK_STREAM 0, sent, local unnamed")
            && unix[1].contains(", received, "),
        "{unix:?}"
    );
    assert!(
        unix.iter().all(|line| line.replace(':', "").ends_with(&hex("unix-hello"))),
        "{unix:?}"
    );
}
