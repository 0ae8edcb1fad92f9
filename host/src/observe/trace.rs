//! `--trace`, which prints every call as strace(1) would.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::address::SocketAddress;
use super::value::{Bytes, CallError, Value, WaitTime};
use super::writer::Writer;
use super::{Call, CallOutcome, Interest, Observer, names};

/// The most bytes of a string that are printed, as in strace(1).
const STRING: usize = 32;
/// The most elements of a list that are printed.
const LIST: usize = 16;

/// Writes each call as one line, in the manner of strace(1).
///
/// The beginning of a call that waits is printed at once. If the line of another instance comes
/// between, the rest follows as `<... recv resumed>`. If lines come faster than they can be
/// written, a line has the number of those that are missing: `<3 lines lost>`.
pub struct Trace {
    numbered: bool,
    writer: Writer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The line that has no end yet: its instance, and its text. An instance can have several calls
    /// that wait, each with a line of its own.
    open: Option<(u64, String)>,
    /// The lines that were ended for another one.
    interrupted: HashSet<(u64, String)>,
}

impl Trace {
    /// Writes to `to`, line by line, on a thread of its own.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        let writer =
            Writer::new("trace", to, |count| format!("<{count} lines lost>\n").into_bytes());
        Self { numbered: false, writer, state: Mutex::default() }
    }

    /// Sets whether a guest waits if lines come faster than they can be written. Then none is lost,
    /// as long as the output takes any. Use it only for a guest with a thread of its own.
    #[must_use]
    pub fn lossless(mut self, lossless: bool) -> Self {
        self.writer.set_lossless(lossless);
        self
    }

    /// Sets whether each line begins with the number of its instance, as in `[2] close(3) = 0`.
    #[must_use]
    pub fn numbered(mut self, numbered: bool) -> Self {
        self.numbered = numbered;
        self
    }

    fn prefix(&self, instance: u64) -> String {
        if self.numbered { format!("[{instance}] ") } else { String::new() }
    }
}

impl Observer for Trace {
    fn interest(&self) -> Interest {
        Interest { calls: true, bytes: STRING, addresses: false }
    }

    fn waits(&self, call: &Call<'_>) {
        let (known, _) = line(call);
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = state.break_line();
        text.push_str(&self.prefix(call.instance));
        text.push_str(&known);
        state.open = Some((call.instance, known));
        self.writer.put(call.instance, text.into_bytes());
    }

    fn called(&self, call: &Call<'_>) {
        let (known, rest) = line(call);
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let own = (call.instance, known);
        if state.open.as_ref() == Some(&own) {
            state.open = None;
        } else {
            text.push_str(&state.break_line());
            text.push_str(&self.prefix(call.instance));
            if state.interrupted.remove(&own) {
                let name = own.1.split('(').next().unwrap_or_default();
                let _ = write!(text, "<... {name} resumed>");
            } else {
                text.push_str(&own.1);
            }
        }
        text.push_str(&rest);
        text.push('\n');
        self.writer.put(call.instance, text.into_bytes());
    }

    fn flush(&self) {
        self.writer.flush();
    }
}

impl State {
    /// Returns the text that ends the open line, if there is one.
    fn break_line(&mut self) -> String {
        match self.open.take() {
            Some(line) => {
                self.interrupted.insert(line);
                " <unfinished ...>\n".to_owned()
            }
            None => String::new(),
        }
    }
}

/// How calls are printed that have another name in POSIX, or whose system call returns the result
/// through its arguments. A row has the function, the call, and the text behind the `=`. That text
/// is empty if it is the whole result.
///
/// `{name}` is an argument, `{name#}` its length, `{=}` the result, `{=field}` a part of the
/// result, and `{=0}` the first element of a list or a tuple.
const LAYOUTS: &[(&str, &str, &str)] = &[
    ("socketpair", "socketpair({family}, {type}, {protocol}, {=})", "0"),
    ("local-address", "getsockname({d}, {=})", "0"),
    ("peer-address", "getpeername({d}, {=})", "0"),
    ("get-option", "getsockopt({d}, {level}, {name}, [{=}])", "0"),
    ("get-option-bytes", "getsockopt({d}, {level}, {name}, {=}, [{length}])", "{=#}"),
    ("set-nonblocking", "ioctl({d}, FIONBIO, [{nonblocking}])", ""),
    ("set-option", "setsockopt({d}, {level}, {name}, {value})", ""),
    ("accept", "accept({d}, {=address}, {wait})", "{=descriptor}"),
    ("duplicate", "dup({d})", ""),
    ("send", "send({d}, {data}, {data#}, {flags}, {wait})", ""),
    ("send-to", "sendto({d}, {data}, {data#}, {flags}, {address}, {wait})", ""),
    (
        "send-message",
        "sendmsg({d}, {msg_name={address}, msg_iov={buffers}, msg_control={control}}, {flags}, {wait})",
        "",
    ),
    ("send-batch", "sendmmsg({d}, {data}, {messages}, {messages#}, {flags}, {wait})", ""),
    ("send-file", "sendfile({d}, {source}, [{offset}], {count}, {wait})", ""),
    ("receive", "recv({d}, {=}, {length}, {flags}, {wait})", "{=#}"),
    ("receive-from", "recvfrom({d}, {=data}, {length}, {flags}, {=address}, {wait})", "{=data#}"),
    (
        "receive-message",
        "recvmsg({d}, {=}, {length}, {control-length}, {flags}, {wait})",
        "{=data#}",
    ),
    (
        "receive-batch",
        "recvmmsg({d}, {=data}, {=messages}, {count}, {length}, {control-length}, {flags}, {wait})",
        "{=messages#}",
    ),
    ("[method]output-stream.write", "send({self}, {contents}, {contents#})", ""),
    ("[method]input-stream.read", "recv({self}, {=}, {len})", "{=#}"),
    ("create-tcp-socket", "socket({address-family}, SOCK_STREAM, IPPROTO_TCP)", ""),
    ("create-udp-socket", "socket({address-family}, SOCK_DGRAM, IPPROTO_UDP)", ""),
    ("[method]tcp-socket.start-bind", "bind({self}, {local-address})", ""),
    ("[method]udp-socket.start-bind", "bind({self}, {local-address})", ""),
    ("[method]tcp-socket.start-connect", "connect({self}, {remote-address})", ""),
    ("[method]tcp-socket.finish-connect", "finish_connect({self})", "0"),
    ("[method]tcp-socket.start-listen", "listen({self})", ""),
    ("[method]tcp-socket.accept", "accept({self})", "{=0}"),
    ("[method]tcp-socket.local-address", "getsockname({self}, {=})", "0"),
    ("[method]udp-socket.local-address", "getsockname({self}, {=})", "0"),
    ("[method]tcp-socket.remote-address", "getpeername({self}, {=})", "0"),
    ("[method]udp-socket.remote-address", "getpeername({self}, {=})", "0"),
    ("[method]tcp-socket.shutdown", "shutdown({self}, {shutdown-type})", ""),
    ("[method]udp-socket.stream", "connect({self}, {remote-address})", "0"),
    ("[method]outgoing-datagram-stream.send", "sendmmsg({self}, {datagrams}, {datagrams#})", ""),
    ("[method]incoming-datagram-stream.receive", "recvmmsg({self}, {=}, {max-results})", "{=#}"),
    ("resolve-addresses", "getaddrinfo({name})", "0"),
    ("[method]tcp-socket.keep-alive-enabled", "getsockopt({self}, SO_KEEPALIVE, [{=}])", "0"),
    ("[method]tcp-socket.set-keep-alive-enabled", "setsockopt({self}, SO_KEEPALIVE, {value})", ""),
    ("[method]tcp-socket.keep-alive-idle-time", "getsockopt({self}, TCP_KEEPIDLE, [{=}])", "0"),
    (
        "[method]tcp-socket.set-keep-alive-idle-time",
        "setsockopt({self}, TCP_KEEPIDLE, {value})",
        "",
    ),
    ("[method]tcp-socket.keep-alive-interval", "getsockopt({self}, TCP_KEEPINTVL, [{=}])", "0"),
    (
        "[method]tcp-socket.set-keep-alive-interval",
        "setsockopt({self}, TCP_KEEPINTVL, {value})",
        "",
    ),
    ("[method]tcp-socket.keep-alive-count", "getsockopt({self}, TCP_KEEPCNT, [{=}])", "0"),
    ("[method]tcp-socket.set-keep-alive-count", "setsockopt({self}, TCP_KEEPCNT, {value})", ""),
    ("[method]tcp-socket.hop-limit", "getsockopt({self}, IP_TTL, [{=}])", "0"),
    ("[method]tcp-socket.set-hop-limit", "setsockopt({self}, IP_TTL, {value})", ""),
    ("[method]tcp-socket.receive-buffer-size", "getsockopt({self}, SO_RCVBUF, [{=}])", "0"),
    ("[method]tcp-socket.set-receive-buffer-size", "setsockopt({self}, SO_RCVBUF, {value})", ""),
    ("[method]tcp-socket.send-buffer-size", "getsockopt({self}, SO_SNDBUF, [{=}])", "0"),
    ("[method]tcp-socket.set-send-buffer-size", "setsockopt({self}, SO_SNDBUF, {value})", ""),
    ("[method]udp-socket.unicast-hop-limit", "getsockopt({self}, IP_TTL, [{=}])", "0"),
    ("[method]udp-socket.set-unicast-hop-limit", "setsockopt({self}, IP_TTL, {value})", ""),
    ("[method]udp-socket.receive-buffer-size", "getsockopt({self}, SO_RCVBUF, [{=}])", "0"),
    ("[method]udp-socket.set-receive-buffer-size", "setsockopt({self}, SO_RCVBUF, {value})", ""),
    ("[method]udp-socket.send-buffer-size", "getsockopt({self}, SO_SNDBUF, [{=}])", "0"),
    ("[method]udp-socket.set-send-buffer-size", "setsockopt({self}, SO_SNDBUF, {value})", ""),
    ("[resource-drop]tcp-socket", "drop({self})", ""),
    ("[resource-drop]udp-socket", "drop({self})", ""),
    ("[resource-drop]incoming-datagram-stream", "drop({self})", ""),
    ("[resource-drop]outgoing-datagram-stream", "drop({self})", ""),
    ("[resource-drop]resolve-address-stream", "drop({self})", ""),
    ("[resource-drop]network", "drop({self})", ""),
    ("stream.write", "send({self}, {contents}, {contents#})", ""),
    ("stream.read", "recv({self}, {=}, {len})", "{=#}"),
    ("stream.accept", "accept({self})", ""),
    ("[static]tcp-socket.create", "socket({address-family}, SOCK_STREAM, IPPROTO_TCP)", ""),
    ("[static]udp-socket.create", "socket({address-family}, SOCK_DGRAM, IPPROTO_UDP)", ""),
    ("[method]tcp-socket.bind", "bind({self}, {local-address})", ""),
    ("[method]udp-socket.bind", "bind({self}, {local-address})", ""),
    ("[method]tcp-socket.connect", "connect({self}, {remote-address})", ""),
    ("[method]udp-socket.connect", "connect({self}, {remote-address})", ""),
    ("[method]udp-socket.disconnect", "connect({self}, AF_UNSPEC)", ""),
    ("[method]tcp-socket.listen", "listen({self})", "0"),
    ("[method]udp-socket.send", "sendto({self}, {data}, {data#}, {remote-address})", ""),
    ("[method]udp-socket.receive", "recvfrom({self}, {=0}, {=1})", "{=0#}"),
    ("create-poller", "epoll_create()", ""),
    (
        "[method]poller.add",
        "epoll_ctl({self}, EPOLL_CTL_ADD, {d}, {events={events}, data={key}, {trigger}})",
        "",
    ),
    (
        "[method]poller.add-poller",
        "epoll_ctl({self}, EPOLL_CTL_ADD, {poller}, {events={events}, data={key}, {trigger}})",
        "",
    ),
    (
        "[method]poller.modify",
        "epoll_ctl({self}, EPOLL_CTL_MOD, {key}, {events={events}, {trigger}})",
        "",
    ),
    ("[method]poller.remove", "epoll_ctl({self}, EPOLL_CTL_DEL, {key})", ""),
    ("[method]poller.set-timer", "timerfd_settime({self}, {key}, {at}, {interval})", ""),
    ("[method]poller.wait", "epoll_wait({self}, {=}, {maximum}, {wait})", "{=#}"),
    ("poll", "poll({entries}, {entries#}, {wait})", ""),
    ("get-address-info", "getaddrinfo({host}, {service}, {hints}, {=}, {wait})", "{=#}"),
    ("get-name-info", "getnameinfo({address}, {=}, {flags}, {wait})", "0"),
    ("get-host-by-name", "gethostbyname({name}, {family}, {=}, {wait})", "0"),
    ("get-host-by-address", "gethostbyaddr({address}, {=}, {wait})", "0"),
    ("get-service-by-name", "getservbyname({name}, {protocol})", ""),
    ("get-service-by-port", "getservbyport({port}, {protocol})", ""),
    ("get-protocol-by-name", "getprotobyname({name})", ""),
    ("interfaces", "if_nameindex()", ""),
    ("interface-index", "if_nametoindex({name})", ""),
    ("interface-name", "if_indextoname({index})", ""),
    ("get-host-name", "gethostname()", ""),
    ("set-host-name", "sethostname({name})", ""),
    ("now", "clock_gettime(CLOCK_MONOTONIC)", ""),
    ("take", "take_interrupt()", ""),
    ("[resource-drop]descriptor", "drop({self})", ""),
    ("[resource-drop]poller", "drop({self})", ""),
    ("[resource-drop]file", "drop({self})", ""),
];

/// Returns the two parts of a call's line: the part that is known before the call ends, and the
/// rest.
fn line(call: &Call<'_>) -> (String, String) {
    // Only 0.3 of wasi:sockets has the prefix.
    let name = call.function.replacen(".get-", ".", 1);
    let layout = LAYOUTS.iter().find(|(function, ..)| *function == name);
    let made_up;
    let text = match layout {
        Some((_, text, _)) => *text,
        None => {
            let list: Vec<_> =
                call.arguments.iter().map(|(name, _)| format!("{{{name}}}")).collect();
            // A method by its own name.
            let name = call.function.rsplit('.').next().unwrap_or_default();
            made_up = format!("{}({})", name.replace('-', "_"), list.join(", "));
            &made_up
        }
    };
    let known = text.find("{=").unwrap_or_else(|| text.rfind(')').unwrap_or(text.len()));
    let (before, after) = text.split_at(known);
    let mut rest = fill(call, after);
    match (call.outcome, call.error()) {
        (CallOutcome::Waiting, _) => {}
        (_, Some(failure)) => {
            let _ = write!(rest, " = {}", failed(failure, call.denied_by));
        }
        (CallOutcome::Trapped(reason), _) => {
            let _ = write!(rest, " = ? (the guest traps: {})", reason.escape_debug());
        }
        (CallOutcome::Abandoned, _) => rest.push_str(" = ? <abandoned>"),
        (CallOutcome::Done(value), None) => {
            rest.push_str(" = ");
            match layout {
                Some((_, _, "")) | None => rest.push_str(&given(call, value)),
                Some((_, _, result)) => rest.push_str(&fill(call, result)),
            }
        }
    }
    if !matches!(call.outcome, CallOutcome::Waiting) {
        let _ = write!(rest, " <{:.6}>", call.took.as_secs_f64());
    }
    (fill(call, before), rest)
}

/// Replaces the places of a layout by their values.
fn fill(call: &Call<'_>, mut text: &str) -> String {
    let mut filled = String::new();
    while let Some(at) = text.find('{') {
        filled.push_str(&text[..at]);
        let inside = &text[at + 1..];
        let end = inside
            .find(|c: char| !(c.is_ascii_alphanumeric() || "-=#".contains(c)))
            .unwrap_or(inside.len());
        // `{events={events}}`: the first brace is printed.
        if !inside[end..].starts_with('}') || end == 0 {
            filled.push('{');
            text = inside;
            continue;
        }
        filled.push_str(&place(call, &inside[..end]));
        text = &inside[end + 1..];
    }
    filled.push_str(text);
    filled
}

fn place(call: &Call<'_>, name: &str) -> String {
    let (name, length) = name.strip_suffix('#').map_or((name, false), |name| (name, true));
    let value = match name.strip_prefix('=') {
        Some("") => call.result(),
        Some(field) => call.result().and_then(|result| match (result, field.parse::<usize>()) {
            (Value::List(list), Ok(at)) => list.head.get(at),
            _ => result.field(field),
        }),
        None => call.argument(name),
    };
    match value {
        None => "NULL".to_owned(),
        Some(value) if length => size(value).to_string(),
        Some(value) => printed(call, name.trim_start_matches('='), value, None),
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.length,
        Value::List(list) => list.length,
        _ => 0,
    }
}

/// Returns the result, as it is printed behind the `=`.
fn given(call: &Call<'_>, value: &Value) -> String {
    match value {
        Value::Unit => "0".to_owned(),
        value => printed(call, "", value, None),
    }
}

/// Prints a value. `name` is its parameter or field, and `within` the record that it is in.
fn printed(call: &Call<'_>, name: &str, value: &Value, within: Option<&Value>) -> String {
    let beside =
        |name: &str| within.map_or_else(|| call.argument(name), |record| record.field(name));
    let number = |name: &str| beside(name).and_then(Value::number::<i128>);
    match value {
        Value::Integer(number_) => integer(call, name, *number_, number),
        Value::Unit | Value::None => "NULL".to_owned(),
        // C has numbers for them.
        Value::Bool(bool) => u8::from(*bool).to_string(),
        Value::Text(text) if within.is_none() && name == "trigger" => text.clone(),
        Value::Text(text) => format!("\"{}\"", cut(text)),
        Value::Bytes(bytes) => string(bytes),
        Value::Descriptor(number) => number.to_string(),
        Value::Address(address) => socket_address(address),
        Value::Wait(wait) => waiting(*wait),
        Value::List(list) => {
            let mut parts: Vec<_> =
                list.head.iter().take(LIST).map(|one| printed(call, name, one, None)).collect();
            if list.length > parts.len() {
                parts.push("...".to_owned());
            }
            format!("[{}]", parts.join(", "))
        }
        Value::Record(fields) => {
            let part = |(name, one): &(&'static str, Value)| {
                let field = if *name == "descriptor" { "fd" } else { name };
                format!("{field}={}", printed(call, name, one, Some(value)))
            };
            format!("{{{}}}", fields.iter().map(part).collect::<Vec<_>>().join(", "))
        }
        Value::Failed(failure) => failed(failure, None),
    }
}

fn integer(
    call: &Call<'_>,
    name: &str,
    value: i128,
    beside: impl Fn(&str) -> Option<i128>,
) -> String {
    let epoll = call.function.contains("poller");
    match (call.interface, name) {
        (_, "family" | "address-family") => names::family(value),
        (_, "protocol") => names::protocol(beside("family"), value),
        (_, "level") => {
            names::option(
                value,
                beside("name").or_else(|| beside("type")).unwrap_or(-1),
                beside("type").is_some(),
            )
            .0
        }
        ("syscalls", "name") => names::option(beside("level").unwrap_or(-1), value, false).1,
        // In a control message, the type is beside the level.
        (_, "type") => match beside("level") {
            Some(level) => names::option(level, value, true).1,
            None => names::socket_type(value),
        },
        ("syscalls", "how") | ("tcp", "shutdown-type") => {
            names::name("SHUT_", value).map_or_else(|| value.to_string(), str::to_owned)
        }
        ("transfers", "flags") => names::flags("MSG_", value),
        ("netdb", "flags") => {
            names::flags(if call.function == "get-name-info" { "NI_" } else { "AI_" }, value)
        }
        ("polling", "events" | "ready" | "")
            if call.function != "create-poller" && !(epoll && name.is_empty()) =>
        {
            names::flags(if epoll { "EPOLL" } else { "POLL" }, value)
        }
        ("syscalls", "request") => format!("{value:#x}"),
        _ => value.to_string(),
    }
}

/// Prints a string as strace(1) does: cut and escaped.
fn string(bytes: &Bytes) -> String {
    let head = &bytes.head[..bytes.head.len().min(STRING)];
    let dots = if bytes.length > head.len() { "..." } else { "" };
    format!("\"{}\"{dots}", escaped(head))
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b' '..=b'~' => text.push(char::from(byte)),
            // As few digits as possible, unless a digit follows.
            _ if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                let _ = write!(text, "\\{byte:03o}");
            }
            _ => {
                let _ = write!(text, "\\{byte:o}");
            }
        }
    }
    text
}

fn cut(text: &str) -> String {
    text.chars().take(256).flat_map(char::escape_debug).collect()
}

/// Escapes the control characters of a sentence, so that what it quotes can't end the line or
/// control a terminal.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() })
        .collect()
}

fn socket_address(address: &SocketAddress) -> String {
    match address {
        SocketAddress::Ip(ip) if ip.is_ipv4() => format!("{{AF_INET, {ip}}}"),
        SocketAddress::Ip(ip) => format!("{{AF_INET6, {ip}}}"),
        SocketAddress::Unnamed => "{AF_UNIX}".to_owned(),
        SocketAddress::Path(path) => format!("{{AF_UNIX, \"{}\"}}", escaped(path)),
        SocketAddress::Abstract(name) => format!("{{AF_UNIX, @\"{}\"}}", escaped(name)),
        SocketAddress::Other { family, text } => {
            let comma = if text.is_empty() { "" } else { ", " };
            format!("{{{}{comma}{}}}", names::family(i128::from(*family)), cut(text))
        }
    }
}

fn waiting(wait: WaitTime) -> String {
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    match wait {
        WaitTime::None => "none".to_owned(),
        WaitTime::Forever => "forever".to_owned(),
        WaitTime::Within(nanoseconds) => format!("within {}s", seconds(nanoseconds)),
        WaitTime::Until(instant) => format!("until {:.6}s", seconds(instant)),
    }
}

fn failed(failure: &CallError, rule: Option<&str>) -> String {
    use sandsock_abi::constants::{address_info_text, host_text};
    let named = |prefix: &str, code: i32, text: Option<&str>| {
        let name =
            names::name(prefix, i128::from(code)).map_or_else(|| code.to_string(), str::to_owned);
        format!("{name} ({})", text.unwrap_or("unknown"))
    };
    match failure {
        CallError::Os(number) => match sandsock_abi::errno::find(*number) {
            Some(errno) => format!("-1 {} ({})", errno.name, errno.text),
            None => format!("-1 {number}"),
        },
        CallError::Denied { reason, .. } => {
            let by = rule
                .filter(|rule| !reason.contains(rule))
                .map_or_else(String::new, |rule| format!(" (rule {rule})"));
            format!("denied: {}{by}", one_line(reason))
        }
        CallError::Code(code) => format!("-1 {code}"),
        CallError::AddressInfo(code) => named("EAI_", *code, address_info_text(*code)),
        CallError::Host(code) => {
            format!("h_errno {code} ({})", host_text(*code).unwrap_or("unknown"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_name_what_the_contract_has() {
        let mut contract = super::super::raw_layer();
        contract.extend(crate::linker::wasi2_functions());
        contract.extend(crate::linker::wasi3_functions());
        for (function, text, result) in LAYOUTS {
            let of_stream = ["[method]output-stream.", "[method]input-stream.", "stream."];
            if function.starts_with("[resource-drop]")
                || of_stream.iter().any(|of| function.starts_with(of))
            {
                continue;
            }
            let parameters =
                contract.iter().find(|((_, name), _)| name == function).map(|(_, list)| list);
            let parameters = parameters.unwrap_or_else(|| panic!("the contract has no {function}"));
            // A network has no state that could be shown.
            let parameters: Vec<_> = parameters.iter().filter(|name| *name != "network").collect();
            for name in places(text).chain(places(result)).filter(|name| !name.starts_with('=')) {
                assert!(parameters.iter().any(|known| *known == name), "{function}: {name}");
            }
            for parameter in parameters {
                assert!(
                    places(text).any(|name| name == parameter.as_str()),
                    "{function}: {parameter} is not shown"
                );
            }
        }
    }

    fn places(text: &str) -> impl Iterator<Item = &str> {
        text.split('{')
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('}')?.0.trim_end_matches('#')))
    }

    #[test]
    fn strings_are_cut_and_escaped() {
        let bytes = |bytes: &[u8]| string(&Bytes { head: bytes.to_vec(), length: bytes.len() });
        assert_eq!(bytes(b"GET / HTTP/1.1\r\n"), r#""GET / HTTP/1.1\r\n""#);
        assert_eq!(bytes(b"\0a\"\\\xff1\xff"), r#""\0a\"\\\3771\377""#);
        assert_eq!(bytes(&[b'a'; 33]), format!("\"{}\"...", "a".repeat(32)));
        assert_eq!(one_line("a `\u{fc}\"` \u{1b}[31m\n"), "a `\u{fc}\"` \\u{1b}[31m\\n");
        assert_eq!(string(&Bytes { head: b"ab".to_vec(), length: 3 }), "\"ab\"...");
    }
}
