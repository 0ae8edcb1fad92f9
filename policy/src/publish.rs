//! `HOST:PORT=GUEST:PORT`: addresses that a guest binds, and those of the host that stand for them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::error::GrantError;
use crate::error::ParseError;
use crate::text::decimal;
use crate::verbs::Verb;

const HINT: &str = "write HOST:PORT=GUEST:PORT, both hosts addresses, as in 0.0.0.0:8080=127.0.0.1:80; /tcp or /udp may follow";

/// What stands before an entry in the name of its rule.
const RULE: &str = "publish=";

/// What is published, by the verb that binds and the guest's address.
#[derive(Clone, Debug, Default)]
pub(super) struct Published(HashMap<(Verb, IpAddr, u16), Entry>);

#[derive(Clone, Debug)]
struct Entry {
    host: SocketAddr,
    rule: Box<str>,
}

impl Published {
    pub(super) fn add(&mut self, text: &str) -> Result<(), GrantError> {
        let fail = |error| GrantError::new(text, error);
        let (pair, verbs): (&str, &[Verb]) = match text.rsplit_once('/') {
            Some((pair, "tcp")) => (pair, &[Verb::TcpListen]),
            Some((pair, "udp")) => (pair, &[Verb::UdpBind]),
            Some((pair, word)) => {
                let what = format!("unknown protocol `{}`", word.escape_debug());
                return Err(fail(ParseError::new(
                    pair.len() + 1,
                    what,
                    "it is tcp, udp, or none for both",
                )));
            }
            None => (text, &[Verb::TcpListen, Verb::UdpBind]),
        };
        let Some((host, guest)) = pair.split_once('=') else {
            return Err(fail(ParseError::new(pair.len(), "the guest's address is missing", HINT)));
        };
        let at = host.len() + 1;
        let host = address(host).map_err(fail)?;
        let guest = address(guest).map_err(|error| fail(error.shifted(at)))?;
        if guest.port() == 0 {
            return Err(fail(ParseError::new(
                at,
                "the guest's port is 0",
                "publish the port that the guest binds",
            )));
        }
        if guest.is_ipv4() && !host.ip().to_canonical().is_ipv4() {
            let what = format!("{} can't stand for {}", host.ip(), guest.ip());
            return Err(fail(ParseError::new(0, what, "an IPv4 socket has only IPv4 addresses")));
        }
        for &verb in verbs {
            let entry = Entry { host, rule: format!("{RULE}{text}").into() };
            if self.0.insert((verb, guest.ip(), guest.port()), entry).is_some() {
                return Err(fail(ParseError::new(
                    at,
                    format!("{guest} is published twice"),
                    "publish each address of the guest once",
                )));
            }
        }
        Ok(())
    }

    /// The host's address for one of the guest's, and the rule.
    pub(super) fn find(&self, verb: Verb, guest: SocketAddr) -> Option<(SocketAddr, &str)> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(verb, guest.ip(), guest.port())).map(|entry| (entry.host, &*entry.rule))
    }

    /// Returns what is published for a verb: the guest's addresses, and those of the host.
    pub(super) fn of(&self, verb: Verb) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
        let of_verb = self.0.iter().filter(move |((published, ..), _)| *published == verb);
        of_verb.map(|((_, ip, port), entry)| (SocketAddr::new(*ip, *port), entry.host))
    }

    /// Returns each entry as `HOST:PORT=GUEST:PORT`. An entry for two protocols is there twice.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.values().filter_map(|entry| entry.rule.strip_prefix(RULE))
    }

    /// Returns whether anything is published for this verb.
    pub(super) fn has(&self, verb: Verb) -> bool {
        self.0.keys().any(|(published, ..)| *published == verb)
    }
}

/// `ADDRESS:PORT`, IPv6 in brackets.
fn address(text: &str) -> Result<SocketAddr, ParseError> {
    let no = |at: usize, what: String| Err(ParseError::new(at, what, HINT));
    let Some((host, port)) = text.rsplit_once(':') else {
        return no(text.len(), "the port is missing".to_owned());
    };
    let ip = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    };
    let Some(ip) = ip else { return no(0, format!("`{}` is not an address", host.escape_debug())) };
    match decimal(port).and_then(|port| u16::try_from(port).ok()) {
        Some(port) => Ok(SocketAddr::new(ip, port)),
        None => no(host.len() + 1, format!("`{}` is not a port", port.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{LocalAddress, Pins, Policy, Request};
    use super::*;

    fn error(text: &str) -> String {
        Published::default().add(text).expect_err(text).to_string()
    }

    #[test]
    fn publish_is_by_protocol_and_address() {
        let mut published = Published::default();
        published.add("0.0.0.0:8080=127.0.0.1:80/tcp").unwrap();
        published.add("127.0.0.1:0=[::]:53").unwrap();
        let guest = |text: &str| text.parse::<SocketAddr>().unwrap();
        let tcp = published.find(Verb::TcpListen, guest("127.0.0.1:80"));
        assert_eq!(tcp, Some((guest("0.0.0.0:8080"), "publish=0.0.0.0:8080=127.0.0.1:80/tcp")));
        assert!(published.find(Verb::UdpBind, guest("127.0.0.1:80")).is_none());
        assert!(published.find(Verb::TcpListen, guest("127.0.0.1:81")).is_none());
        assert!(published.find(Verb::TcpListen, guest("0.0.0.0:80")).is_none());
        assert!(
            published.find(Verb::UdpBind, guest("[::]:53")).is_some()
                && published.has(Verb::UdpBind)
        );
    }

    #[test]
    fn publish_with_faults_is_told() {
        for (text, words) in [
            ("0.0.0.0:80", "at character 11: the guest's address is missing"),
            ("localhost:80=127.0.0.1:80", "at character 1: `localhost` is not an address"),
            ("0.0.0.0=127.0.0.1:80", "at character 8: the port is missing"),
            ("0.0.0.0:80=127.0.0.1:x", "at character 22: `x` is not a port"),
            ("0.0.0.0:80=127.0.0.1:0", "at character 12: the guest's port is 0"),
            ("0.0.0.0:80=127.0.0.1:80/sctp", "at character 25: unknown protocol `sctp`"),
            ("[::1]:80=127.0.0.1:80", "at character 1: ::1 can't stand for 127.0.0.1"),
        ] {
            assert!(error(text).starts_with(words), "{}", error(text));
        }
        let mut published = Published::default();
        published.add("0.0.0.0:80=127.0.0.1:80/udp").unwrap();
        assert!(
            published
                .add("0.0.0.0:81=127.0.0.1:80")
                .unwrap_err()
                .to_string()
                .contains("is published twice")
        );
    }

    #[test]
    fn publish_grants_the_bind_and_denials_of_either_side_win() {
        let ask = |deny: &[&str], local: LocalAddress| {
            let mut builder = Policy::builder();
            builder.publish("127.0.0.1:8080=10.0.0.1:80/tcp").unwrap();
            for rule in deny {
                builder.deny(rule).unwrap();
            }
            let now = std::time::Instant::now();
            builder
                .build()
                .decide(&Request::TcpListen(local), &Pins::new(now), now)
                .map(|_| ())
                .map_err(|d| d.reason)
        };
        let guest: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let local =
            LocalAddress { published: Some("127.0.0.1:8080".parse().unwrap()), ..guest.into() };
        assert_eq!(ask(&[], local), Ok(()));
        assert!(ask(&["tcp-listen=10.0.0.1:80"], local).is_err());
        assert!(ask(&["tcp-listen=127.0.0.1:8080"], local).is_err());
        assert!(ask(&["tcp-listen=127.0.0.1:8081"], local).is_ok());
        // Of port 0 it is the port that the kernel chose.
        let chosen = |deny: &[&str], port| {
            let mut builder = Policy::builder();
            builder.publish("127.0.0.1:0=10.0.0.1:80/tcp").unwrap();
            for rule in deny {
                builder.deny(rule).unwrap();
            }
            let (now, truth) =
                (std::time::Instant::now(), SocketAddr::new([127, 0, 0, 1].into(), port));
            let request =
                Request::TcpListen(LocalAddress { published: Some(truth), ..guest.into() });
            builder.build().decide(&request, &Pins::new(now), now).is_ok()
        };
        assert!(chosen(&[], 0) && chosen(&[], 40_000) && chosen(&["tcp-listen=*:40001"], 40_000));
        assert!(chosen(&["tcp-listen=*:40000"], 0) && !chosen(&["tcp-listen=*:40000"], 40_000));
        // A socket that has the address in truth, or is published elsewhere, has no part in it.
        assert!(ask(&[], guest.into()).is_err());
        assert!(
            ask(&[], LocalAddress { published: Some("127.0.0.1:8081".parse().unwrap()), ..local })
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn publish_of_any_text_never_panics(text in "[0-9a-z:.=/\\[\\]*ü-]{0,40}") {
            if let Err(e) = Published::default().add(&text) {
                prop_assert!(e.offset() <= text.len() && !e.to_string().is_empty());
            }
        }
    }
}
