//! The record of a decision, one JSON line each.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::denial::{Allowed, Denial};
use crate::verbs::Request;

/// A decision as the log has it.
///
/// The JSON has every field. A field without a value is null. `docs/audit.schema.json` is its
/// schema.
#[derive(Clone, Debug, Serialize)]
pub struct Decision<'a> {
    /// The time, in UTC, in the form of RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// The number of the instance that asked. The first is 1.
    pub instance: u64,
    /// The function of the contract that it called, for example `bind`.
    pub call: Option<&'a str>,
    /// The verb, or `socket` if the creation of a socket was decided.
    pub verb: &'a str,
    /// The target.
    pub target: String,
    /// AF_*, if a socket is involved.
    pub family: Option<i32>,
    /// SOCK_*.
    #[serde(rename = "type")]
    pub type_: Option<i32>,
    /// IPPROTO_*.
    pub protocol: Option<i32>,
    /// The decision.
    pub decision: Verdict,
    /// The rule that decided, or `allow-all`.
    pub rule: Option<&'a str>,
    /// The sentence, if the request was denied or would be denied.
    pub reason: Option<&'a str>,
    /// The rule that would allow it. None if it is allowed, or if no single rule would allow it.
    pub grant: Option<&'a str>,
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is allowed.
    Allow,
    /// It is denied.
    Deny,
    /// The policy only observes, and lets it pass. If the policy were enforced, it would be denied.
    WouldDeny,
}

/// The arguments of socket(2): family, type and protocol.
pub type SocketArguments = (i32, i32, i32);

impl<'a> Decision<'a> {
    /// Makes the record of a decided request. This crate does not know the instance, so it is 0.
    pub fn of_request(
        time: SystemTime,
        request: &Request<'_>,
        result: &'a Result<Allowed<'a>, Denial>,
    ) -> Self {
        match result {
            Ok(allowed) => {
                Self::allowed(time, request.verb().name(), request.to_string(), allowed.rule)
            }
            Err(denial) => Self::denied(time, request.verb().name(), request.to_string(), denial),
        }
    }

    /// Makes the record of [`Policy::may_create`](super::Policy::may_create).
    pub fn of_socket(
        time: SystemTime,
        socket: SocketArguments,
        result: &'a Result<Allowed<'a>, Denial>,
    ) -> Self {
        let (family, type_, protocol) = socket;
        let target = format!("{family}:{type_}:{protocol}");
        let decision = match result {
            Ok(allowed) => Self::allowed(time, "socket", target, allowed.rule),
            Err(denial) => Self::denied(time, "socket", target, denial),
        };
        decision.on(Some(socket))
    }

    /// Makes the record of a request that is allowed.
    pub fn allowed(time: SystemTime, verb: &'a str, target: String, rule: Option<&'a str>) -> Self {
        Self {
            time,
            instance: 0,
            call: None,
            verb,
            target,
            family: None,
            type_: None,
            protocol: None,
            decision: Verdict::Allow,
            rule,
            reason: None,
            grant: None,
        }
    }

    /// Makes the record of a request that is denied.
    pub fn denied(time: SystemTime, verb: &'a str, target: String, denial: &'a Denial) -> Self {
        let allowed = Self::allowed(time, verb, target, denial.rule.as_deref());
        Self {
            decision: Verdict::Deny,
            reason: Some(&denial.reason),
            grant: denial.grant.as_deref(),
            ..allowed
        }
    }

    /// Makes of a denial one that an observing policy lets pass. A request that is allowed stays
    /// so.
    #[must_use]
    pub fn passed(self) -> Self {
        let decision = match self.decision {
            Verdict::Deny => Verdict::WouldDeny,
            allowed => allowed,
        };
        Self { decision, ..self }
    }

    /// Adds the socket that the record is about.
    #[must_use]
    pub fn on(self, socket: Option<SocketArguments>) -> Self {
        let Some((family, type_, protocol)) = socket else { return self };
        Self { family: Some(family), type_: Some(type_), protocol: Some(protocol), ..self }
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&timestamp(*time))
}

/// A time as `2026-11-20T12:49:00.123456Z`. Times before 1970 are 1970.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z",
        since.subsec_micros()
    )
}

/// Year, month and day of a number of days since 1970. The years are counted from March, so that a
/// leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day - (153 * march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::{Pins, Policy};
    use super::*;

    #[test]
    fn timestamp_is_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_795_179_140, "2026-11-20T12:52:20"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 1_234);
            assert_eq!(timestamp(time), format!("{text}.000001Z"));
        }
        assert_eq!(
            timestamp(SystemTime::UNIX_EPOCH - Duration::from_secs(1)),
            "1970-01-01T00:00:00.000000Z"
        );
    }

    #[test]
    fn decision_is_one_json_line() {
        let mut builder = Policy::builder();
        builder.allow("tcp-connect=127.0.0.1:80").unwrap();
        builder.deny("tcp-connect=10.0.0.0/8:*").unwrap();
        let (policy, now) = (builder.build(), Instant::now());
        let pins = Pins::new(now);
        let line = |address: &str| {
            let request = Request::TcpConnect(address.parse().unwrap());
            let result = policy.decide(&request, &pins, now);
            let decision =
                Decision::of_request(SystemTime::UNIX_EPOCH, &request, &result).on(Some((2, 1, 0)));
            let decision = Decision { instance: 1, call: Some("connect"), ..decision };
            serde_json::to_string(&decision).unwrap()
        };
        assert_eq!(
            line("127.0.0.1:80"),
            r#"{"time":"1970-01-01T00:00:00.000000Z","instance":1,"call":"connect","verb":"tcp-connect","target":"127.0.0.1:80","family":2,"type":1,"protocol":0,"decision":"allow","rule":"tcp-connect=127.0.0.1:80","reason":null,"grant":null}"#
        );
        assert!(line("10.0.0.1:80").contains(r#""decision":"deny","rule":"tcp-connect=10.0.0.0/8:*","reason":"tcp-connect to 10.0.0.1:80 is denied by the rule"#));
        let result = policy.may_create(2, 1, 132);
        let decision = Decision::of_socket(SystemTime::UNIX_EPOCH, (2, 1, 132), &result);
        let line = serde_json::to_string(&decision).unwrap();
        assert!(
            line.contains(r#""verb":"socket","target":"2:1:132""#) && !line.contains('\n'),
            "{line}"
        );
    }
}
