//! What a rule can name: hosts, ports, names, UNIX paths and abstract names, each parsed and
//! printed here.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What is wrong with a text and where, before it is known which text it stands in.
#[derive(Debug)]
pub(super) struct ParseError {
    /// Where, in bytes from the start of the text that was parsed.
    pub(super) offset: usize,
    /// What is wrong.
    pub(super) what: String,
    /// What would be right.
    pub(super) hint: String,
}

impl ParseError {
    pub(super) fn new(offset: usize, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { offset, what: what.into(), hint: hint.into() }
    }

    /// The same fault in a text that `by` bytes precede.
    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.offset += by;
        self
    }
}

/// A decimal number without sign or blanks.
pub(super) fn decimal(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// Ports from `low` to `high`, both included.
///
/// Port 0 is the one that the kernel chooses at bind. `*` holds every port, 0 too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    low: u16,
    high: u16,
}

impl PortRange {
    /// Every port: `*`.
    pub const ANY: Self = Self { low: 0, high: u16::MAX };

    pub(super) const fn new(low: u16, high: u16) -> Self {
        Self { low, high }
    }

    /// One port.
    pub const fn single(port: u16) -> Self {
        Self { low: port, high: port }
    }

    /// The first port.
    pub const fn low(self) -> u16 {
        self.low
    }

    /// The last port.
    pub const fn high(self) -> u16 {
        self.high
    }

    /// Whether `port` is one of them.
    pub const fn contains(self, port: u16) -> bool {
        self.low <= port && port <= self.high
    }

    fn parse(text: &str) -> Result<Self, ParseError> {
        const HINT: &str =
            "a port is a number from 0 to 65535, a range such as 8000-8999, or `*` for any";
        let port = |text: &str, offset: usize| {
            decimal(text).and_then(|n| u16::try_from(n).ok()).ok_or_else(|| {
                ParseError::new(offset, format!("`{}` is no port", text.escape_debug()), HINT)
            })
        };
        if text == "*" {
            return Ok(Self::ANY);
        }
        let Some((low, high)) = text.split_once('-') else {
            return port(text, 0).map(Self::single);
        };
        let range = Self { low: port(low, 0)?, high: port(high, low.len() + 1)? };
        if range.low > range.high {
            return Err(ParseError::new(
                0,
                format!("the range `{text}` runs backwards"),
                format!("write {high}-{low}"),
            ));
        }
        Ok(range)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ANY => f.write_str("*"),
            Self { low, high } if low == high => write!(f, "{low}"),
            Self { low, high } => write!(f, "{low}-{high}"),
        }
    }
}

/// A text that is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(&'static str);

/// The one form of a host name in which names are compared, looked up and pinned: ASCII (IDNA by
/// UTS 46), lower case, no trailing dot.
///
/// The look-up must be made with this form: what was judged and what is asked for are then the same
/// bytes.
///
/// # Errors
///
/// The text can't be a host name.
pub fn normalise_name(name: &str) -> Result<Cow<'_, str>, NameError> {
    // Unicode can shrink to fewer ASCII bytes, but not from this much; it bounds the work of IDNA.
    if name.len() > 1024 {
        return Err(NameError("it is longer than 253 characters"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let encoded = |label: &str| {
        label.len() >= 4 && label.is_char_boundary(4) && label[..4].eq_ignore_ascii_case("xn--")
    };
    let ascii = if name.bytes().all(plain) && !name.split('.').any(encoded) {
        if name.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        }
    } else {
        let uts46 = idna::uts46::Uts46::new();
        uts46
            .to_ascii(
                name.as_bytes(),
                idna::uts46::AsciiDenyList::EMPTY,
                idna::uts46::Hyphens::Allow,
                idna::uts46::DnsLength::Ignore,
            )
            .map_err(|_| NameError("it does not follow the rules of international names (IDNA)"))?
    };
    let ascii = match ascii {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix('.').unwrap_or(text)),
        Cow::Owned(mut text) => {
            if text.ends_with('.') {
                text.pop();
            }
            Cow::Owned(text)
        }
    };
    if ascii.is_empty() {
        return Err(NameError("it is empty"));
    }
    if ascii.len() > 253 {
        return Err(NameError("it is longer than 253 characters"));
    }
    for label in ascii.split('.') {
        if label.is_empty() {
            return Err(NameError("a label is empty"));
        }
        if label.len() > 63 {
            return Err(NameError("a label is longer than 63 characters"));
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
        {
            return Err(NameError("it holds a character that no host name has"));
        }
    }
    Ok(ascii)
}

/// Whether resolvers may read a name as an IPv4 address in one of its older notations (`127.1`,
/// `0x7f.1`, `2130706433`).
pub(super) fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    !last.is_empty()
        && (last.bytes().all(|b| b.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .or(last.strip_prefix("0X"))
                .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())))
}

/// One name, or every name below one, in whole labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// `db.example`: this name alone.
    Exact(Box<str>),
    /// `*.example.com`: names with one or more labels before it, never `example.com` itself.
    Below(Box<str>),
}

impl NamePattern {
    fn parse(text: &str) -> Result<Self, ParseError> {
        let (rest, skipped) = match text.strip_prefix("*.") {
            Some(rest) => (rest, 2),
            None => (text, 0),
        };
        if let Some(at) = rest.find('*') {
            return Err(ParseError::new(
                skipped + at,
                "a `*` inside a name",
                "a `*` stands for whole labels and only at the start, as in *.example.com",
            ));
        }
        if rest.contains('%') {
            return Err(zone_error(skipped + rest.find('%').unwrap_or(0)));
        }
        let shown = rest.escape_debug();
        let name = normalise_name(rest).map_err(|e| {
            ParseError::new(
                skipped,
                format!("`{shown}` is no host name: {e}"),
                "write a name such as db.example or *.example.com",
            )
        })?;
        if ends_in_number(&name) {
            return Err(ParseError::new(
                skipped,
                format!("`{shown}` is neither an IPv4 address nor a name"),
                "write an IPv4 address as four decimal numbers, as in 127.0.0.1",
            ));
        }
        let name = name.into();
        Ok(if skipped == 0 { Self::Exact(name) } else { Self::Below(name) })
    }

    /// Whether this pattern holds `name`, which must be in [`normalise_name`]'s form.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => **own == *name,
            Self::Below(suffix) => name
                .strip_suffix(&**suffix)
                .is_some_and(|head| head.len() > 1 && head.ends_with('.')),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

/// What `resolve` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ResolvePattern {
    /// `*`: every name.
    Any,
    /// Names.
    Name(NamePattern),
}

impl ResolvePattern {
    pub(super) fn parse(text: &str) -> Result<Self, ParseError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(ParseError::new(
                0,
                format!("`{text}` is an address"),
                "addresses need no resolve; name a host or `*`",
            ));
        }
        if let Some(at) = text.find(':') {
            return Err(ParseError::new(
                at,
                "a port",
                "resolve takes a name alone, as in db.example, *.example.com or `*`",
            ));
        }
        NamePattern::parse(text).map(Self::Name)
    }
}

impl fmt::Display for ResolvePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// The host of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `*`: every address of IPv4 and IPv6, never a name.
    Any,
    /// An address or a network. IPv4-mapped IPv6 is kept as IPv4.
    Net(IpNet),
    /// Names, by the addresses pinned to them.
    Name(NamePattern),
}

/// `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointPattern {
    /// The host.
    pub host: HostPattern,
    /// The ports.
    pub ports: PortRange,
}

fn zone_error(offset: usize) -> ParseError {
    ParseError::new(
        offset,
        "a zone",
        "leave `%...` out: a rule holds for a link-local address on every interface",
    )
}

fn prefix_length(text: &str, offset: usize, most: u8) -> Result<u8, ParseError> {
    decimal(text).and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= most).ok_or_else(|| {
        ParseError::new(
            offset,
            format!("`{}` is no length of a network", text.escape_debug()),
            format!("write a number from 0 to {most} after the `/`"),
        )
    })
}

fn whole_network(net: IpNet) -> Result<IpNet, ParseError> {
    if net.trunc() == net {
        return Ok(net);
    }
    Err(ParseError::new(
        0,
        format!("{net} has bits set beyond its length"),
        format!("write {} or {}", net.trunc(), net.addr()),
    ))
}

impl HostPattern {
    fn parse(text: &str) -> Result<Self, ParseError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.is_empty() {
            return Err(ParseError::new(
                0,
                "the host is missing",
                "write HOST:PORT, or `*` for any address",
            ));
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some((length, address.len() + 1))),
            None => (text, None),
        };
        let Ok(v4) = address.parse::<Ipv4Addr>() else {
            if let Some((_, at)) = length {
                return Err(ParseError::new(
                    at - 1,
                    format!("`{}` is no IPv4 address", address.escape_debug()),
                    "a network is written 10.0.0.0/8 or [2001:db8::/32]",
                ));
            }
            return NamePattern::parse(text).map(Self::Name);
        };
        let length = length.map_or(Ok(32), |(length, at)| prefix_length(length, at, 32))?;
        let net = Ipv4Net::new(v4, length)
            .map_err(|_| ParseError::new(0, "a network", "write a length from 0 to 32"))?;
        whole_network(IpNet::V4(net)).map(Self::Net)
    }

    /// What stands between brackets.
    fn parse_v6(text: &str) -> Result<Self, ParseError> {
        if let Some(at) = text.find('%') {
            return Err(zone_error(at));
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, prefix_length(length, address.len() + 1, 128)?),
            None => (text, 128),
        };
        let v6: Ipv6Addr = address.parse().map_err(|_| {
            ParseError::new(
                0,
                format!("`{}` is no IPv6 address", address.escape_debug()),
                "brackets hold an IPv6 address or network, as in [::1] or [2001:db8::/32]",
            )
        })?;
        let net = Ipv6Net::new(v6, length)
            .map_err(|_| ParseError::new(0, "a network", "write a length from 0 to 128"))?;
        let net = whole_network(IpNet::V6(net))?;
        // Requests with an IPv4-mapped address are judged as IPv4, so a rule about them has to be
        // one of IPv4's.
        match (v6.to_ipv4_mapped(), length.checked_sub(96)) {
            (Some(v4), Some(length)) => {
                Ok(Self::Net(Ipv4Net::new(v4, length).map_or(net, IpNet::V4)))
            }
            _ => Ok(Self::Net(net)),
        }
    }
}

/// A host that stands without a port. IPv6 needs no brackets then, and may have them.
pub(super) fn parse_lone_host(text: &str) -> Result<HostPattern, ParseError> {
    const HINT: &str = "write the address, the network or the name alone, as in 192.0.2.7, 2001:db8::/32 or db.example";
    if let Some(rest) = text.strip_prefix('[') {
        return match rest.split_once(']') {
            None => Err(ParseError::new(0, "the bracket is not closed", HINT)),
            Some((inside, "")) => HostPattern::parse_v6(inside).map_err(|fault| fault.shifted(1)),
            Some((inside, _)) => {
                Err(ParseError::new(inside.len() + 2, "no port has a place here", HINT))
            }
        };
    }
    match text.bytes().filter(|b| *b == b':').count() {
        0 => HostPattern::parse(text),
        // Every IPv6 address has two colons.
        1 => Err(ParseError::new(text.find(':').unwrap_or(0), "no port has a place here", HINT)),
        _ => HostPattern::parse_v6(text),
    }
}

/// As it stands without a port.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            Self::Net(net) => net.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl EndpointPattern {
    pub(super) fn parse(text: &str) -> Result<Self, ParseError> {
        const MISSING: &str =
            "write HOST:PORT; PORT is a number, a range such as 8000-8999, or `*` for any";
        if let Some(rest) = text.strip_prefix('[') {
            let Some((inside, after)) = rest.split_once(']') else {
                return Err(ParseError::new(
                    0,
                    "the bracket is not closed",
                    "write [ADDRESS]:PORT, as in [::1]:443",
                ));
            };
            let host = HostPattern::parse_v6(inside).map_err(|fault| fault.shifted(1))?;
            let at = inside.len() + 2;
            let Some(ports) = after.strip_prefix(':') else {
                return Err(ParseError::new(at, "the port is missing", MISSING));
            };
            return Ok(Self {
                host,
                ports: PortRange::parse(ports).map_err(|fault| fault.shifted(at + 1))?,
            });
        }
        let Some((host, ports)) = text.rsplit_once(':') else {
            return Err(ParseError::new(text.len(), "the port is missing", MISSING));
        };
        if let Some(at) = text.find("://") {
            return Err(ParseError::new(
                0,
                format!("`{}` is a URL", text.escape_debug()),
                url_hint(&text[at + 3..]),
            ));
        }
        if let Some(at) = host.find(':') {
            return Err(ParseError::new(
                at,
                "a second colon",
                "an IPv6 address stands in brackets, as in [::1]:443",
            ));
        }
        let parsed = HostPattern::parse(host)?;
        Ok(Self {
            host: parsed,
            ports: PortRange::parse(ports).map_err(|fault| fault.shifted(host.len() + 1))?,
        })
    }
}

/// What to write in place of a URL, whose scheme is left out already.
fn url_hint(rest: &str) -> String {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let shown: String = host
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(*c))
        .take(64)
        .collect();
    let port = if shown.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) {
        ""
    } else {
        ":PORT"
    };
    format!("write HOST:PORT, as in {shown}{port}")
}

impl fmt::Display for EndpointPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostPattern::Net(IpNet::V6(_)) => write!(f, "[{}]:{}", self.host, self.ports),
            _ => write!(f, "{}:{}", self.host, self.ports),
        }
    }
}

/// One component of a UNIX path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Component {
    /// These bytes.
    Literal(Box<[u8]>),
    /// Text with `*` and `?` in it.
    Glob(Box<str>),
    /// `**`.
    AnyDepth,
}

impl Component {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Literal(own) => **own == *name,
            Self::Glob(pattern) => glob(pattern.as_bytes(), name),
            Self::AnyDepth => true,
        }
    }
}

/// The length of the character that `text` starts with; a byte that belongs to no character counts
/// as one.
fn character(text: &[u8]) -> usize {
    let longest = match text.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    match text.get(..longest) {
        Some(part) if std::str::from_utf8(part).is_ok() => longest,
        _ => 1,
    }
}

/// Whether `*` (any bytes) and `?` (one character) in `pattern` can stand for what `text` has.
/// Quadratic at worst.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, t));
            }
            Some(b'?') => {
                p += 1;
                t += character(&text[t..]);
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, from)) = star else {
                    return false;
                };
                (p, t) = (after, from + 1);
                star = Some((after, from + 1));
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn split_head(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|b| *b == b'/') {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}

/// Whether `pattern` holds `path`, a relative path of one or more plain components.
pub(super) fn match_components(pattern: &[Component], path: &[u8]) -> bool {
    let mut rest = Some(path);
    let mut next = 0;
    // Where to go on when the last `**` has to swallow one component more.
    let mut back: Option<(usize, &[u8])> = None;
    loop {
        let Some(here) = rest else {
            return next == pattern.len();
        };
        let (head, tail) = split_head(here);
        match pattern.get(next) {
            Some(Component::AnyDepth) => {
                next += 1;
                back = Some((next, here));
            }
            Some(component) if component.matches(head) => {
                next += 1;
                rest = tail;
            }
            _ => {
                let Some((after, from)) = back else {
                    return false;
                };
                let (_, tail) = split_head(from);
                let Some(tail) = tail else {
                    return after == pattern.len();
                };
                back = Some((after, tail));
                (next, rest) = (after, Some(tail));
            }
        }
    }
}

/// A path as a rule names it: `*` and `?` within a component, `**` for any number of them (none as
/// well, except at the end).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    pub(super) absolute: bool,
    pub(super) components: Box<[Component]>,
}

impl PathPattern {
    fn parse(text: &str) -> Result<Self, ParseError> {
        let absolute = text.starts_with('/');
        let mut offset = usize::from(absolute);
        let mut components = Vec::new();
        for part in text[offset..].split('/') {
            let component = match part {
                "" => {
                    let what =
                        if text.len() <= 1 { "the path is missing" } else { "an empty component" };
                    return Err(ParseError::new(
                        offset,
                        what,
                        "write a path such as /run/app/*.sock",
                    ));
                }
                "." | ".." => {
                    return Err(ParseError::new(
                        offset,
                        format!("the component `{part}`"),
                        "write the path without `.` and `..`; a relative path starts at the working directory",
                    ));
                }
                "**" if components.last() == Some(&Component::AnyDepth) => {
                    return Err(ParseError::new(
                        offset,
                        "`**` twice",
                        "one `**` stands for any number of components already",
                    ));
                }
                "**" => Component::AnyDepth,
                part if part.contains("**") => {
                    return Err(ParseError::new(
                        offset + part.find("**").unwrap_or(0),
                        "`**` inside a component",
                        "`**` stands alone between slashes; within a component one `*` is any text",
                    ));
                }
                part if part.contains('\0') => {
                    return Err(ParseError::new(
                        offset + part.find('\0').unwrap_or(0),
                        "a NUL",
                        "no path can hold one",
                    ));
                }
                part if part.contains(['*', '?']) => Component::Glob(part.into()),
                part => Component::Literal(part.as_bytes().into()),
            };
            components.push(component);
            offset += part.len() + 1;
        }
        Ok(Self { absolute, components: components.into() })
    }

    /// How many components are a literal directory: all before the last or the first that is none,
    /// whichever comes first.
    pub(super) fn literal_directories(&self) -> usize {
        let literal =
            self.components.iter().take_while(|c| matches!(c, Component::Literal(_))).count();
        literal.min(self.components.len() - 1)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, component) in self.components.iter().enumerate() {
            if i > 0 || self.absolute {
                f.write_str("/")?;
            }
            match component {
                Component::Literal(bytes) => f.write_str(&String::from_utf8_lossy(bytes))?,
                Component::Glob(text) => f.write_str(text)?,
                Component::AnyDepth => f.write_str("**")?,
            }
        }
        Ok(())
    }
}

/// A name of the abstract namespace, `*` standing for any bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AbstractPattern {
    /// The literal parts with a `*` between each two; never empty.
    pub(super) parts: Box<[Box<[u8]>]>,
}

impl AbstractPattern {
    fn parse(text: &str) -> Result<Self, ParseError> {
        let mut parts = vec![Vec::new()];
        let mut bytes = text.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'*' => parts.push(Vec::new()),
                b'\\' => {
                    let value = text
                        .get(at + 1..at + 4)
                        .and_then(|escape| escape.strip_prefix('x'))
                        .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
                        .and_then(|hex| u8::from_str_radix(hex, 16).ok());
                    let Some(value) = value else {
                        return Err(ParseError::new(
                            at,
                            "an unknown escape",
                            "write `\\x5c` for a backslash, `\\xNN` for any byte",
                        ));
                    };
                    bytes.nth(2);
                    if let Some(part) = parts.last_mut() {
                        part.push(value);
                    }
                }
                byte => {
                    if let Some(part) = parts.last_mut() {
                        part.push(byte);
                    }
                }
            }
        }
        let length: usize = parts.iter().map(Vec::len).sum();
        if length > 107 {
            return Err(ParseError::new(
                0,
                format!("{length} bytes"),
                "an abstract name has at most 107",
            ));
        }
        Ok(Self { parts: parts.into_iter().map(Vec::into_boxed_slice).collect() })
    }

    /// The whole name, where no `*` is in it.
    pub(super) fn exact(&self) -> Option<&[u8]> {
        match &*self.parts {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Whether this pattern holds `name`.
    pub fn matches(&self, name: &[u8]) -> bool {
        let [first, middle @ .., last] = &*self.parts else {
            return self.exact() == Some(name);
        };
        let Some(mut rest) =
            name.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last))
        else {
            return false;
        };
        for part in middle.iter().filter(|part| !part.is_empty()) {
            let Some(at) = rest.windows(part.len()).position(|window| *window == **part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

/// An abstract name as a pattern writes it, without the `@`.
pub(super) fn escape_abstract(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        match byte {
            b'*' | b'\\' => text.push_str(&format!("\\x{byte:02x}")),
            0x20..=0x7e => text.push(char::from(*byte)),
            byte => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

impl fmt::Display for AbstractPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                f.write_str("*")?;
            }
            f.write_str(&escape_abstract(part))?;
        }
        Ok(())
    }
}

/// What a UNIX verb names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnixPattern {
    /// `/run/app/*.sock`: paths of the host.
    Path(PathPattern),
    /// `@name`: names of the abstract namespace.
    Abstract(AbstractPattern),
}

impl UnixPattern {
    pub(super) fn parse(text: &str) -> Result<Self, ParseError> {
        match text.strip_prefix('@') {
            Some(name) => {
                AbstractPattern::parse(name).map(Self::Abstract).map_err(|fault| fault.shifted(1))
            }
            None => PathPattern::parse(text).map(Self::Path),
        }
    }
}

impl fmt::Display for UnixPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// An address in the form in which it is judged: IPv4-mapped IPv6 is IPv4, everything else stays.
pub fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Where a connect or a send to `address` leads: the unspecified address is the loopback.
///
/// The kernel must be given this address, not the guest's: left to itself it reads `0.0.0.0` as the
/// address that the socket is bound to, and `::` on a socket bound to an IPv4-mapped address as
/// `127.0.0.1`, neither of which was judged.
pub fn destination(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(mut v4) if v4.ip().is_unspecified() => {
            v4.set_ip(Ipv4Addr::LOCALHOST);
            SocketAddr::V4(v4)
        }
        SocketAddr::V6(mut v6) => {
            if v6.ip().is_unspecified() {
                v6.set_ip(Ipv6Addr::LOCALHOST);
            } else if v6.ip().to_ipv4_mapped().is_some_and(|v4| v4.is_unspecified()) {
                v6.set_ip(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
            }
            SocketAddr::V6(v6)
        }
        SocketAddr::V4(_) => address,
    }
}

/// The IPv4 addresses that an IPv6 address may carry a packet to: v4-compatible, SIIT, NAT64 (with
/// its local prefixes), 6to4, Teredo's client and server, ISATAP.
pub(super) fn embedded(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let o = address.octets();
    let at = |a: usize, b: usize, c: usize, d: usize| Some(Ipv4Addr::new(o[a], o[b], o[c], o[d]));
    let last = at(12, 13, 14, 15);
    let s = address.segments();
    let found = match s {
        [0, 0, 0, 0, 0, 0, ..] if !address.is_unspecified() && !address.is_loopback() => {
            [last, None, None, None]
        }
        [0, 0, 0, 0, 0xffff, 0, ..] => [last, None, None, None],
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => [last, None, None, None],
        // RFC 8215 leaves the length of the prefixes in it to the network: one address for each
        // that RFC 6052 allows.
        [0x64, 0xff9b, 1, ..] => [last, at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12)],
        [0x2002, ..] => [at(2, 3, 4, 5), None, None, None],
        [0x2001, 0, ..] => {
            let client = Ipv4Addr::new(!o[12], !o[13], !o[14], !o[15]);
            [at(4, 5, 6, 7), Some(client), None, None]
        }
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [last, None, None, None],
        _ => [None; 4],
    };
    found.into_iter().flatten()
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let o = address.octets();
    // 168.63.129.16 is Azure's host; 192.0.0.0/24 has Oracle's metadata, 100.64.0.0/10 Alibaba's.
    matches!(
        o,
        [0 | 10 | 127, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0, _]
            | [192, 168, ..]
            | [198, 18..=19, ..]
            | [224..=255, ..]
            | [168, 63, 129, 16]
    )
}

/// Whether an address lies in space that no public name should lead to: loopback, link-local,
/// private, shared, unique local, multicast, reserved, a cloud's metadata service, or an IPv6 form
/// of one of them.
pub fn is_private(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => {
            let s = v6.segments();
            v6.is_unspecified()
                || v6.is_loopback()
                || matches!(s[0], 0xfc00..=0xfdff | 0xfe80..=0xfeff | 0xff00..=0xffff)
                || s[..3] == [0x64, 0xff9b, 1]
                || embedded(v6).any(is_private_v4)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn name(text: &str) -> NamePattern {
        NamePattern::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    fn path(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    fn path_matches(pattern: &str, given: &str) -> bool {
        match_components(&path(pattern).components, given.trim_start_matches('/').as_bytes())
    }

    fn abstract_matches(pattern: &str, name: &[u8]) -> bool {
        AbstractPattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn port_zero_is_itself_alone() {
        let zero = PortRange::parse("0").unwrap();
        assert!(zero.contains(0) && !zero.contains(1));
        let any = PortRange::parse("*").unwrap();
        assert!(any.contains(0) && any.contains(65535));
        assert!(!PortRange::parse("1-65535").unwrap().contains(0));
        assert!(PortRange::parse("0-1023").unwrap().contains(0));
        assert_eq!(PortRange::parse("0-65535").unwrap().to_string(), "*");
        assert_eq!(PortRange::parse("80-80").unwrap().to_string(), "80");
    }

    #[test]
    fn port_that_is_none_is_refused() {
        for text in [
            "", "-", "a", "+80", "-1", "65536", "80-", "-80", "80-79", "1-2-3", " 80", "8*", "0x50",
        ] {
            assert!(PortRange::parse(text).is_err(), "{text}");
        }
        assert!(PortRange::parse("90-80").unwrap_err().hint.contains("80-90"));
    }

    #[test]
    fn name_is_compared_folded_encoded_and_without_its_last_dot() {
        for (given, normal) in [
            ("DB.Example", "db.example"),
            ("db.example.", "db.example"),
            ("Bücher.Example", "xn--bcher-kva.example"),
            ("BÜCHER.example.", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("db。example", "db.example"),
            ("_sip._tcp.example", "_sip._tcp.example"),
            ("my_service", "my_service"),
            ("ＤＢ.example", "db.example"),
        ] {
            assert_eq!(normalise_name(given).as_deref(), Ok(normal), "{given}");
            assert!(name(given).matches(normal), "{given}");
        }
        assert!(matches!(normalise_name("db.example"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn name_that_is_none_is_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "abc.".repeat(64));
        let huge = "ü".repeat(100_000);
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "a:b",
            "a%b",
            "a\0b",
            "a*b",
            "db.example..",
            "xn--\u{1f4a9}",
            "xn--a",
            "xn--999999999",
            "-é\u{202e}",
            &long_label,
            &long_name,
            &huge,
            "fe80::1%eth0",
            "[::1]",
            "a\nb",
        ] {
            assert!(normalise_name(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn name_pattern_takes_whole_labels_alone() {
        let below = name("*.example.com");
        assert!(below.matches("a.example.com") && below.matches("b.a.example.com"));
        for not in [
            "example.com",
            "notexample.com",
            "a.notexample.com",
            ".example.com",
            "a.example.com.evil",
            "example.com.a",
        ] {
            assert!(!below.matches(not), "{not}");
        }
        let exact = name("example.com");
        assert!(
            exact.matches("example.com")
                && !exact.matches("a.example.com")
                && !exact.matches("xexample.com")
        );
    }

    #[test]
    fn name_pattern_with_a_star_elsewhere_is_refused() {
        for text in ["*", "*.", "a.*", "a*.b", "*a.b", "*.*.b", "**.b"] {
            assert!(NamePattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn name_pattern_that_reads_as_an_address_is_refused() {
        for text in [
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "017700000001",
            "1.2.3.4.5",
            "256.1.1.1",
            "*.1",
            "a.0x",
            "１２７.1",
        ] {
            let fault = NamePattern::parse(text).unwrap_err();
            assert!(fault.hint.contains("four decimal numbers"), "{text}: {fault:?}");
        }
    }

    #[test]
    fn endpoint_prints_as_it_is_parsed() {
        for text in [
            "127.0.0.1:8000",
            "10.0.0.0/8:443",
            "db.example:5432",
            "*.example.com:443",
            "[::1]:0-1023",
            "*:50007",
            "*:*",
            "[2001:db8::/32]:*",
            "0.0.0.0/0:1",
            "[::/0]:0",
            "[::]:80",
        ] {
            assert_eq!(EndpointPattern::parse(text).unwrap().to_string(), text);
        }
        for (text, printed) in [
            ("10.0.0.1/32:1", "10.0.0.1:1"),
            ("[::1/128]:1", "[::1]:1"),
            ("[::ffff:10.0.0.1]:1", "10.0.0.1:1"),
            ("[::ffff:10.0.0.0/104]:1", "10.0.0.0/8:1"),
            ("[::/0]:0-65535", "[::/0]:*"),
            ("Db.Example.:1", "db.example:1"),
        ] {
            assert_eq!(EndpointPattern::parse(text).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn endpoint_that_is_none_tells_where() {
        for (text, offset, hint) in [
            ("", 0, "HOST:PORT"),
            ("127.0.0.1", 9, "HOST:PORT"),
            (":80", 0, "HOST:PORT"),
            ("127.0.0.1:", 10, "a port is"),
            ("::1:80", 0, "brackets"),
            ("[::1]", 5, "HOST:PORT"),
            ("[::1", 0, "[::1]:443"),
            ("[127.0.0.1]:80", 1, "brackets hold"),
            ("[fe80::1%eth0]:80", 8, "every interface"),
            ("[::1/129]:80", 5, "0 to 128"),
            ("10.0.0.0/33:80", 9, "0 to 32"),
            ("10.0.0.0/:80", 9, "0 to 32"),
            ("10.0.0.1/8:80", 0, "write 10.0.0.0/8 or 10.0.0.1"),
            ("db.example/8:80", 10, "10.0.0.0/8"),
            ("01.2.3.4:80", 0, "four decimal numbers"),
            ("a.*:80", 2, "only at the start"),
            ("db.example:http", 11, "a port is"),
        ] {
            let fault = EndpointPattern::parse(text).unwrap_err();
            assert_eq!(fault.offset, offset, "{text}: {fault:?}");
            assert!(fault.hint.contains(hint), "{text}: {fault:?}");
        }
    }

    #[test]
    fn star_stays_in_its_component() {
        assert!(path_matches("/*.sock", "a.sock") && path_matches("/*.sock", ".sock"));
        assert!(!path_matches("/*.sock", "a/b.sock") && !path_matches("/*.sock", "a.socks"));
        assert!(path_matches("/a*b*c", "aXbYbc") && !path_matches("/a*b*c", "aXbYb"));
        assert!(path_matches("/*", "x") && !path_matches("/*", "x/y"));
    }

    #[test]
    fn question_mark_is_one_character() {
        assert!(
            path_matches("/a?c", "abc")
                && path_matches("/a?c", "aüc")
                && path_matches("/a?c", "a𝄞c")
        );
        assert!(!path_matches("/a?c", "ac") && !path_matches("/a?c", "abbc"));
        assert!(
            glob(b"a?c", b"a\xffc")
                && !glob(b"a?c", b"a\xff\xffc")
                && glob(b"?", b"\xc3")
                && !glob(b"?", b"a/")
        );
    }

    #[test]
    fn double_star_is_any_number_of_components() {
        for (pattern, given, held) in [
            ("/**/x", "x", true),
            ("/**/x", "a/b/x", true),
            ("/**/x", "a/b/y", false),
            ("/**", "a", true),
            ("/**", "a/b/c", true),
            ("/a*/**", "ab", false),
            ("/a*/**", "ab/c", true),
            ("/**/b/**/d", "b/d", true),
            ("/**/b/**/d", "a/b/c/b/c/d", true),
            ("/**/b/**/d", "a/c/d", false),
            ("/**/a/b", "a/a/b", true),
            ("/**/a/b", "a/b/c", false),
            ("/**/*.sock", "a/b/c.sock", true),
        ] {
            assert_eq!(path_matches(pattern, given), held, "{pattern} {given}");
        }
    }

    #[test]
    fn path_without_metacharacters_holds_itself() {
        for odd in ["[a]", "{a,b}", "a\\b", "a\\x2d", "~", "$HOME", "!a"] {
            assert!(path_matches(&format!("/{odd}"), odd));
        }
        assert!(!path_matches("/[a]", "a"));
    }

    #[test]
    fn path_pattern_that_is_none_tells_where() {
        for (text, offset) in [
            ("", 0),
            ("/", 1),
            ("/a//b", 3),
            ("/a/", 3),
            ("/a/../b", 3),
            ("./a", 0),
            ("/a/.", 3),
            ("/a**", 2),
            ("/**/**", 4),
            ("/a\0", 2),
        ] {
            assert_eq!(
                PathPattern::parse(text).map(|_| ()).unwrap_err().offset,
                offset,
                "{text:?}"
            );
        }
        assert!(PathPattern::parse("/a/../b").unwrap_err().hint.contains("without `.` and `..`"));
    }

    #[test]
    fn abstract_name_star_is_any_bytes() {
        assert!(
            abstract_matches("a*", b"a/\0\xff")
                && abstract_matches("*", b"")
                && abstract_matches("", b"")
        );
        assert!(
            !abstract_matches("", b"a")
                && !abstract_matches("a?", b"ab")
                && abstract_matches("a?", b"a?")
        );
        assert!(abstract_matches("a*b*c", b"a-b-b-c") && !abstract_matches("a*b*c", b"a-c"));
        assert!(!abstract_matches("ab*bc", b"abc") && abstract_matches("ab*bc", b"abbc"));
        assert!(abstract_matches(r"\x00\x2a\x5c", b"\0*\\") && !abstract_matches(r"\x2a", b"x"));
    }

    #[test]
    fn abstract_name_with_a_bad_escape_is_refused() {
        for text in [r"\", r"\x", r"\x1", r"\xgg", r"\n", r"\x+1", "\\xü"] {
            assert!(AbstractPattern::parse(text).is_err(), "{text}");
        }
        assert!(
            AbstractPattern::parse(&"a".repeat(107)).is_ok()
                && AbstractPattern::parse(&"a".repeat(108)).is_err()
        );
    }

    #[test]
    fn canonical_rewrites_v4_mapped_alone() {
        assert_eq!(canonical(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
        for other in [
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::",
            "::ffff:0:10.0.0.1",
            "::1",
            "10.0.0.1",
        ] {
            assert_eq!(canonical(ip(other)), ip(other));
        }
    }

    #[test]
    fn destination_of_the_unspecified_is_the_loopback() {
        for (given, judged) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("[::ffff:0.0.0.0]:1", "[::ffff:127.0.0.1]:1"),
            ("[fe80::1%7]:1", "[fe80::1%7]:1"),
            ("0.0.0.1:1", "0.0.0.1:1"),
        ] {
            assert_eq!(destination(given.parse().unwrap()), judged.parse().unwrap(), "{given}");
        }
    }

    #[test]
    fn embedded_finds_the_ipv4_of_every_transition_form() {
        for text in [
            "::10.1.2.3",
            "::ffff:0:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "64:ff9b:1::10.1.2.3",
            "64:ff9b:1:a01:2:300::",
            "64:ff9b:1:a:1:203::",
            "64:ff9b:1:0:a:102:300::",
            "2002:a01:203::1",
            "2001:0:a01:203::",
            "2001:0:1:1:0:0:f5fe:fdfc",
            "fe80::5efe:10.1.2.3",
            "2001:db8::200:5efe:a01:203",
        ] {
            let IpAddr::V6(v6) = ip(text) else { panic!("{text}") };
            assert!(
                embedded(v6).any(|v4| v4 == Ipv4Addr::new(10, 1, 2, 3)),
                "{text}: {:?}",
                embedded(v6).collect::<Vec<_>>()
            );
            assert!(is_private(v6.into()), "{text}");
        }
        for text in ["::", "::1", "2001:db8::10.1.2.3", "2606:4700::1"] {
            let IpAddr::V6(v6) = ip(text) else { panic!("{text}") };
            assert_eq!(embedded(v6).count(), 0, "{text}");
        }
    }

    #[test]
    fn private_space_holds_what_no_public_name_leads_to() {
        for text in [
            "127.0.0.1",
            "127.255.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.192",
            "224.0.0.1",
            "239.1.2.3",
            "255.255.255.255",
            "240.0.0.1",
            "198.18.0.1",
            "168.63.129.16",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fd00:ec2::254",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
        ] {
            assert!(is_private(ip(text)), "{text}");
        }
        for text in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.2.1",
            "192.0.1.1",
            "203.0.113.1",
            "223.255.255.255",
            "11.0.0.0",
            "2606:4700::1111",
            "2001:db8::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::",
        ] {
            assert!(!is_private(ip(text)), "{text}");
        }
    }

    /// What a glob means, by definition: each `*` tried with every length.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|n| naive(rest, &text[n..])),
            Some((b'?', rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some((byte, rest)) => text.first() == Some(byte) && naive(rest, &text[1..]),
        }
    }

    fn naive_components(pattern: &[&str], path: &[&str]) -> bool {
        match pattern.split_first() {
            None => path.is_empty(),
            Some((&"**", [])) => !path.is_empty(),
            Some((&"**", rest)) => (0..=path.len()).any(|n| naive_components(rest, &path[n..])),
            Some((one, rest)) => path.split_first().is_some_and(|(head, tail)| {
                naive(one.as_bytes(), head.as_bytes()) && naive_components(rest, tail)
            }),
        }
    }

    proptest! {
        #[test]
        fn glob_is_what_its_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn abstract_pattern_is_what_its_definition_says(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(abstract_matches(&pattern, text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn components_are_what_their_definition_says(
            pattern in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "a*", "?", "**"]), 1..7),
            given in prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "c"]), 1..8),
        ) {
            prop_assume!(!pattern.windows(2).any(|two| two == ["**", "**"]));
            let parsed = path(&format!("/{}", pattern.join("/")));
            prop_assert_eq!(match_components(&parsed.components, given.join("/").as_bytes()), naive_components(&pattern, &given));
        }

        #[test]
        fn normal_name_is_normal(text in "\\PC{0,40}") {
            if let Ok(once) = normalise_name(&text) {
                let twice = normalise_name(&once);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
            }
        }

        #[test]
        fn normal_name_any_spelling(text in "[a-z0-9_-]{1,12}(\\.[a-z0-9_-]{1,12}){0,3}") {
            if let Ok(normal) = normalise_name(&text) {
                let other = format!("{}.", text.to_uppercase());
                let other = normalise_name(&other);
                prop_assert_eq!(other.as_deref(), Ok(&*normal));
            }
        }

        #[test]
        fn abstract_name_escaped_holds_that_name_alone(name in prop::collection::vec(any::<u8>(), 0..=107), other in prop::collection::vec(any::<u8>(), 0..=107)) {
            let pattern = AbstractPattern::parse(&escape_abstract(&name)).unwrap();
            prop_assert_eq!(pattern.exact(), Some(&*name));
            prop_assert_eq!(pattern.matches(&other), name == other);
        }
    }
}
