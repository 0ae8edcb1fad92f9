//! Hosts, alone or with a port, as rules name them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::{ParseError, zone_error};
use crate::name::{NamePattern, SET_WORDS};
use crate::port::PortRange;
use crate::text::decimal;

/// The host of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `*`: every address of IPv4 and IPv6, never a name.
    Any,
    /// An address or a network. IPv4-mapped IPv6 is kept as IPv4.
    Net(IpNet),
    /// Names, by the addresses pinned to them.
    Name(NamePattern),
    /// A set of hosts, by its word.
    Set(Box<str>),
}

impl HostPattern {
    /// Returns the word of the set that this may be: one of every policy, or a name of one label.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Name(NamePattern::Exact(label)) => {
                Some(label).filter(|label| !label.contains('.'))
            }
            Self::Set(word) => Some(word),
            Self::Any | Self::Net(_) | Self::Name(_) => None,
        }
        .map(|word| &**word)
    }
}

/// `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointPattern {
    /// The host.
    pub host: HostPattern,
    /// The ports.
    pub ports: PortRange,
}

/// What to write in place of a pattern that names more than one endpoint.
const ONE: &str = "write one address or name, and one port";

fn prefix_length(text: &str, offset: usize, most: u8) -> Result<u8, ParseError> {
    decimal(text).and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= most).ok_or_else(|| {
        ParseError::new(
            offset,
            format!("`{}` is not the length of a network", text.escape_debug()),
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
        if SET_WORDS.contains(&text) {
            return Ok(Self::Set(text.into()));
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
                    format!("`{}` is not an IPv4 address", address.escape_debug()),
                    "a network is written 10.0.0.0/8 or [2001:db8::/32]",
                ));
            }
            return NamePattern::parse(text).map(Self::Name);
        };
        let length = length.map_or(Ok(32), |(length, at)| prefix_length(length, at, 32))?;
        let net = Ipv4Net::new(v4, length).map_err(|_| {
            ParseError::new(0, "the length is too large", "write a length from 0 to 32")
        })?;
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
                format!("`{}` is not an IPv6 address", address.escape_debug()),
                "brackets hold an IPv6 address or network, as in [::1] or [2001:db8::/32]",
            )
        })?;
        let net = Ipv6Net::new(v6, length).map_err(|_| {
            ParseError::new(0, "the length is too large", "write a length from 0 to 128")
        })?;
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
            Some((inside, "")) => HostPattern::parse_v6(inside).map_err(|error| error.shifted(1)),
            Some((inside, _)) => {
                Err(ParseError::new(inside.len() + 2, "a port is not allowed here", HINT))
            }
        };
    }
    match text.bytes().filter(|b| *b == b':').count() {
        0 => HostPattern::parse(text),
        // Every IPv6 address has two colons.
        1 => Err(ParseError::new(text.find(':').unwrap_or(0), "a port is not allowed here", HINT)),
        _ => HostPattern::parse_v6(text),
    }
}

impl HostPattern {
    /// Returns the one address that it names, or `address` and the one name.
    ///
    /// # Errors
    ///
    /// It names more than one.
    pub(crate) fn one(&self, address: IpAddr) -> Result<(IpAddr, Option<&str>), &'static str> {
        match self {
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => Ok((net.addr(), None)),
            Self::Name(NamePattern::Exact(name)) => Ok((address, Some(name))),
            Self::Any | Self::Net(_) | Self::Set(_) | Self::Name(NamePattern::Below(_)) => {
                Err("write one address, or one name")
            }
        }
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
            Self::Set(word) => f.write_str(word),
        }
    }
}

impl EndpointPattern {
    /// Returns the one address and port that it names: see [`HostPattern::one`].
    ///
    /// # Errors
    ///
    /// It names more than one.
    pub(crate) fn one(&self, address: IpAddr) -> Result<(SocketAddr, Option<&str>), &'static str> {
        let (ip, name) = self.host.one(address).map_err(|_| ONE)?;
        if self.ports.low() != self.ports.high() {
            return Err(ONE);
        }
        Ok((SocketAddr::new(ip, self.ports.low()), name))
    }

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
            let host = HostPattern::parse_v6(inside).map_err(|error| error.shifted(1))?;
            let at = inside.len() + 2;
            let Some(ports) = after.strip_prefix(':') else {
                return Err(ParseError::new(at, "the port is missing", MISSING));
            };
            return Ok(Self {
                host,
                ports: PortRange::parse(ports).map_err(|error| error.shifted(at + 1))?,
            });
        }
        let Some((host, ports)) = text.rsplit_once(':') else {
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
                let hint =
                    format!("write HOST:PORT, as in 127.0.0.1:{text}, or *:{text} for every host");
                return Err(ParseError::new(0, "the host is missing", hint));
            }
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
                "there is a second colon",
                "write an IPv6 address in brackets, as in [::1]:443",
            ));
        }
        let parsed = HostPattern::parse(host)?;
        Ok(Self {
            host: parsed,
            ports: PortRange::parse(ports).map_err(|error| error.shifted(host.len() + 1))?,
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

#[cfg(test)]
mod tests {

    use super::*;

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
            let error = EndpointPattern::parse(text).unwrap_err();
            assert_eq!(error.offset, offset, "{text}: {error:?}");
            assert!(error.hint.contains(hint), "{text}: {error:?}");
        }
    }
}
