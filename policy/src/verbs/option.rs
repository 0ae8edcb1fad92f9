//! The verb `option`: options and control messages that are not ordinary.

use std::collections::HashMap;
use std::fmt::{self, Display as _};

use sandsock_abi::constants::{SCM_CREDENTIALS, SCM_RIGHTS, SOL_SOCKET};
use sandsock_abi::option;
use sandsock_abi::option::{Access, SocketOption};

use crate::covers::{Compared, Excess, Found};
use crate::decide::{Answer, Asked, Asking, Capability, Query, decide, shown};
use crate::denial::{Allowed, Denial};
use crate::error::ParseError;
use crate::index::RuleId;
use crate::rules::VerbRules;
use crate::verbs::raw::RawRequest;
use crate::verbs::{Request, Row as _, verb};

/// What a guest does with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionRequest {
    /// Read it.
    Get {
        /// The socket's family.
        family: i32,
        /// The level's number.
        level: i32,
        /// The option's number.
        number: i32,
    },
    /// Set it.
    Set {
        /// The socket's family.
        family: i32,
        /// The level's number.
        level: i32,
        /// The option's number.
        number: i32,
        /// Whether the socket is neither SOCK_STREAM nor SOCK_SEQPACKET.
        datagram: bool,
    },
    /// Send it as a control message. SCM_RIGHTS is no such message. SCM_CREDENTIALS is allowed: it
    /// carries the host's ids, unless [`Ancillary::CredentialsForge`] is allowed too.
    ///
    /// [`Ancillary::CredentialsForge`]: crate::Ancillary::CredentialsForge
    Control {
        /// The message's level.
        level: i32,
        /// The message's type.
        number: i32,
    },
}

impl OptionRequest {
    /// Returns the family, the level and the number. A control message has family 0.
    fn numbers(self) -> (i32, i32, i32) {
        match self {
            Self::Get { family, level, number } | Self::Set { family, level, number, .. } => {
                (family, level, number)
            }
            Self::Control { level, number } => (0, level, number),
        }
    }

    /// Returns whether it is a use of this row.
    fn is_of(self, row: &SocketOption) -> bool {
        self.row().is_some_and(|(own, _)| std::ptr::eq(own, row))
    }

    /// Returns the row of the table, and the access that the request needs. None if it has no row.
    fn row(self) -> Option<(&'static SocketOption, Access)> {
        match self {
            Self::Get { family, level, number } => {
                option::find(family, level, number).map(|row| (row, row.get))
            }
            Self::Set { family, level, number, datagram } => option::find(family, level, number)
                .map(|row| match row.set {
                    Access::GrantedOnDatagrams if datagram => (row, Access::Granted),
                    Access::GrantedOnDatagrams => (row, Access::Ordinary),
                    access => (row, access),
                }),
            Self::Control { level, number } => {
                option::control(level, number).and_then(|row| Some((row, row.control?)))
            }
        }
    }
}

impl Capability for verb::Option {
    const EXAMPLES: &'static [&'static str] = &["SOL_SOCKET/SO_MARK", "IPPROTO_IP/IP_PKTINFO"];
    const ABOUT: &'static str = "use an option or a control message that reaches beyond the socket";

    /// By the level's name and the number: levels of Bluetooth have the numbers of other levels.
    type Index = HashMap<(&'static str, i32), RuleId>;

    fn parse(text: &str) -> Result<&'static SocketOption, ParseError> {
        let Some((level, name)) = text.split_once('/') else {
            return Err(ParseError::new(
                0,
                "the level is missing",
                format!("write LEVEL/NAME{}", near_options(text)),
            ));
        };
        option::by_name(level, name).ok_or_else(|| {
            let what = format!("unknown option `{}`", text.escape_debug());
            ParseError::new(
                0,
                what,
                format!("write LEVEL/NAME, as in SOL_SOCKET/SO_MARK{}", near_options(name)),
            )
        })
    }

    fn index(rules: &VerbRules<'_, &'static SocketOption>) -> Self::Index {
        let key = |row: &SocketOption| (row.level_name, row.number);
        rules.rules.iter().map(|(rule, row)| (key(row), *rule)).collect()
    }

    fn show(asked: OptionRequest, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (family, level, number) = asked.numbers();
        match option::find(family, level, number) {
            Some(row) => row.fmt(f),
            None => write!(f, "{level}/{number}"),
        }
    }

    fn settled<'p>(_: &Query<'p, '_>, asked: OptionRequest) -> Option<Answer<'p>> {
        let denied = |reason: String| Some(Err(Denial::new(reason)));
        if let OptionRequest::Control { level: SOL_SOCKET, number } = asked {
            match number {
                // As bytes they would be numbers of the host's own descriptors.
                SCM_RIGHTS => {
                    return denied(
                        "SCM_RIGHTS is denied as bytes: descriptors are sent as descriptors".into(),
                    );
                }
                SCM_CREDENTIALS => return Some(Ok(Allowed::FREE)),
                _ => {}
            }
        }
        match (asked.row(), asked) {
            (Some((row, Access::Refused(why))), _) => {
                denied(format!("option {row} is denied: {why}"))
            }
            (Some(_), _) => None,
            (None, OptionRequest::Control { level, number }) => denied(format!(
                "control message {level}/{number} is denied: it is not in the table of control messages"
            )),
            // `allow-all` does not help either. An option's value can hold a pointer or a
            // descriptor's number, which would be the host's, and only the table knows which do.
            (
                None,
                OptionRequest::Get { level, number, .. } | OptionRequest::Set { level, number, .. },
            ) => denied(format!(
                "option {level}/{number} is denied: it is not in the table of options"
            )),
        }
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: OptionRequest) -> Option<&'p str> {
        let (row, _) = asked.row()?;
        let rule = query.policy.deny.option.get(&(row.level_name, row.number))?;
        Some(query.policy.deny.text(*rule))
    }

    fn exempt<'p>(query: &Query<'p, '_>, asked: OptionRequest) -> Option<Answer<'p>> {
        let (row, access) = asked.row()?;
        match access {
            Access::Ordinary | Access::Absent | Access::Refused(_) => Some(Ok(Allowed::FREE)),
            Access::Header => Some(decide::<verb::Raw>(query, RawRequest::Header)),
            // The group in the value is a request of its own.
            Access::Multicast if row.shape.names_group() => Some(Ok(Allowed::FREE)),
            Access::Multicast => Some(decide::<verb::Multicast>(query, None)),
            Access::Granted | Access::GrantedOnDatagrams => None,
        }
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: OptionRequest) -> Option<Allowed<'p>> {
        let (row, _) = asked.row()?;
        let rule = query.policy.allow.option.get(&(row.level_name, row.number))?;
        Some(query.policy.by(*rule))
    }

    fn grant(asked: OptionRequest) -> Option<String> {
        asked.row().map(|(row, _)| row.to_string())
    }

    fn what(asked: OptionRequest) -> String {
        let target = Self::grant(asked).unwrap_or_else(|| shown::<Self>(asked).to_string());
        format!("{} {target}", Self::VERB)
    }

    fn ask<'a>(
        pattern: &'a &'static SocketOption,
        asking: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        let row = *pattern;
        let of_row = requests().into_iter().filter(|asked| asked.is_of(row));
        // Most rows have uses that need no grant.
        let query = Query::without_pins(asking.policy);
        let needy = |asked: &OptionRequest| {
            Self::settled(&query, *asked).is_none() && Self::exempt(&query, *asked).is_none()
        };
        let (needy, others): (Vec<_>, Vec<_>) = of_row.partition(needy);
        let asked = needy.into_iter().chain(others).next();
        asked.map(|asked| (asked, None)).ok_or("name another option, because this one has no use")
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        let found = requests().into_iter().find_map(|asked| {
            let condition = match asked {
                OptionRequest::Get { .. } => "read",
                OptionRequest::Set { .. } => "set",
                OptionRequest::Control { .. } => "sent as a control message",
            };
            compared.excess_if(&Request::Option(asked), condition)
        });
        Ok(found)
    }

    #[cfg(test)]
    fn samples() -> Vec<OptionRequest> {
        requests()
    }
}

/// Returns every use of every option in the table.
fn requests() -> Vec<OptionRequest> {
    use sandsock_abi::constants::{
        AF_BLUETOOTH, AF_CAN, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX,
    };
    let families = [AF_INET, AF_INET6, AF_UNIX, AF_PACKET, AF_NETLINK, AF_BLUETOOTH, AF_CAN];
    let of_row = |row: &SocketOption| {
        let (level, number) = (row.level, row.number);
        let of_family = move |family| {
            let set = |datagram| OptionRequest::Set { family, level, number, datagram };
            [OptionRequest::Get { family, level, number }, set(false), set(true)]
        };
        let control = OptionRequest::Control { level, number };
        families.into_iter().flat_map(of_family).chain([control])
    };
    option::OPTIONS.iter().chain(option::BLUETOOTH).flat_map(of_row).collect()
}

/// `; near it are ...`: up to five options with names like this one.
fn near_options(name: &str) -> String {
    if name.len() > 64 {
        return String::new();
    }
    let name = name.to_ascii_uppercase();
    let mut near: Vec<_> = option::all()
        .map(|option| {
            let part =
                name.len() >= 3 && (option.name.contains(&*name) || name.contains(option.name));
            (if part { 1 } else { strsim::damerau_levenshtein(&name, option.name) }, option)
        })
        .filter(|(far, option)| far * 3 <= option.name.len())
        .collect();
    near.sort_by_key(|(far, option)| (*far, option.level, option.number));
    let names: Vec<_> = near.iter().take(5).map(|(_, option)| option.to_string()).collect();
    if names.is_empty() { String::new() } else { format!("; near it are {}", names.join(", ")) }
}
