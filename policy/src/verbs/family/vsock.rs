//! What the verb `family` names of AF_VSOCK.

use std::collections::BTreeSet;
use std::fmt;

use sandsock_abi::constants::{
    VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_CID_HYPERVISOR, VMADDR_CID_LOCAL, VMADDR_PORT_ANY,
};

use crate::covers::{Compared, Excess, Found, Undecided};
use crate::error::ParseError;
use crate::verbs::Request;
use crate::verbs::family::{FamilyPattern, FamilyTarget};

/// The words for context ids of AF_VSOCK (linux/vm_sockets.h).
const CIDS: [(&str, u32); 4] = [
    ("any", VMADDR_CID_ANY),
    ("hypervisor", VMADDR_CID_HYPERVISOR),
    ("local", VMADDR_CID_LOCAL),
    ("host", VMADDR_CID_HOST),
];

/// What is done with an AF_VSOCK address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VsockUse {
    /// Connect to it, or send to it.
    Connect,
    /// Bind it, and listen on it.
    Listen,
}

impl VsockUse {
    const ALL: [(&'static str, Self); 2] = [("connect", Self::Connect), ("listen", Self::Listen)];
}

impl fmt::Display for VsockUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Listen => "listen",
        })
    }
}

/// What `family=vsock` names: `vsock`, `vsock:USE`, `vsock:USE:CID` or `vsock:USE:CID:PORT`. What
/// is left out, and `*`, is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VsockPattern {
    /// `connect` or `listen`.
    pub purpose: Option<VsockUse>,
    /// The context id; `any` is the wildcard to bind to, and is not all.
    pub cid: Option<u32>,
    /// The ports, first and last; `any` is the kernel's choice.
    pub ports: Option<(u32, u32)>,
}

impl VsockPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let mut pattern = Self::default();
        let mut at = 0;
        for (place, part) in text.split(':').enumerate() {
            let error = |what: String, help: &str| Err(ParseError::new(at, what, help));
            match place {
                0 => match VsockUse::ALL.iter().find(|(word, _)| *word == part) {
                    Some((_, purpose)) => pattern.purpose = Some(*purpose),
                    None => {
                        let what = format!("`{}` is not a use of AF_VSOCK", part.escape_debug());
                        return error(
                            what,
                            "write vsock:connect:CID:PORT or vsock:listen:CID:PORT",
                        );
                    }
                },
                1 if part == "*" => {}
                1 => match CIDS
                    .iter()
                    .find(|(word, _)| *word == part)
                    .map(|(_, cid)| *cid)
                    .or_else(|| number(part))
                {
                    Some(cid) => pattern.cid = Some(cid),
                    None => {
                        let what = format!("`{}` is not a context id", part.escape_debug());
                        return error(
                            what,
                            "write a number, `local`, `host`, `hypervisor`, `any` (to bind all) or `*`",
                        );
                    }
                },
                2 if part == "*" => {}
                2 if part == "any" => pattern.ports = Some((VMADDR_PORT_ANY, VMADDR_PORT_ANY)),
                2 => {
                    let (low, high) = part.split_once('-').unwrap_or((part, part));
                    match number(low).zip(number(high)) {
                        Some((low, high)) if low <= high && high < VMADDR_PORT_ANY => {
                            pattern.ports = Some((low, high))
                        }
                        _ => {
                            let what = format!("`{}` is not a port", part.escape_debug());
                            return error(
                                what,
                                "write a number, a range as in 1024-2047, `any` (the kernel's choice) or `*`",
                            );
                        }
                    }
                }
                _ => {
                    return error(
                        "there are too many parts".to_owned(),
                        "write vsock:connect:CID:PORT",
                    );
                }
            }
            at += part.len() + 1;
        }
        Ok(pattern)
    }

    /// Returns the one address that it names, on a machine that has no other number.
    pub(super) fn one(&self) -> Option<FamilyTarget<'_>> {
        let (purpose, cid) = (self.purpose?, self.cid.as_ref()?);
        let (low, high) = self.ports?;
        let same = std::slice::from_ref(cid);
        (low == high).then_some(FamilyTarget::Vsock { purpose, cid: *cid, same, port: low })
    }

    pub(crate) fn holds(&self, purpose: VsockUse, cids: &[u32], port: u32) -> bool {
        self.purpose.is_none_or(|own| own == purpose)
            && self.cid.is_none_or(|own| cids.contains(&own))
            && self.ports.is_none_or(|(low, high)| (low..=high).contains(&port))
    }

    /// Returns whether a part of the request is named. The wildcard to bind to is every context id,
    /// and the kernel may choose any port from 1024 on. Rules that deny are asked this.
    pub(crate) fn touches(&self, purpose: VsockUse, cids: &[u32], port: u32) -> bool {
        let cid = purpose == VsockUse::Listen && cids.contains(&VMADDR_CID_ANY);
        let port_too = port == VMADDR_PORT_ANY;
        self.purpose.is_none_or(|own| own == purpose)
            && (cid || self.cid.is_none_or(|own| cids.contains(&own)))
            && self.ports.is_none_or(|(low, high)| {
                (low..=high).contains(&port) || (port_too && high >= 1024)
            })
    }
}

impl fmt::Display for VsockPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("vsock")?;
        let Some(purpose) = self.purpose else { return Ok(()) };
        write!(f, ":{purpose}")?;
        match (self.cid, self.ports) {
            (None, None) => return Ok(()),
            (None, Some(_)) => f.write_str(":*")?,
            (Some(cid), _) => write!(f, ":{}", Cid(cid))?,
        }
        match self.ports {
            None => Ok(()),
            Some((VMADDR_PORT_ANY, _)) => f.write_str(":any"),
            Some((low, high)) if low == high => write!(f, ":{low}"),
            Some((low, high)) => write!(f, ":{low}-{high}"),
        }
    }
}

/// The most acts that are compared one by one.
const MOST_ACTS: usize = 2_000_000;

/// Compares the addresses of two policies. Their numbers are divided where rules begin and end.
///
/// A machine has a context id of its own besides VMADDR_CID_LOCAL, and rules about either deny a
/// connection to it. Nothing is known of that number, so each is tried.
pub(super) fn excess(compared: &Compared<'_>) -> Found<Excess> {
    let patterns = || {
        let rules = compared.rules().into_iter().flat_map(|rules| &rules.family);
        rules.filter_map(|(rule, _)| match rule {
            FamilyPattern::Vsock(pattern) => Some(pattern),
            _ => None,
        })
    };
    let mut cids: BTreeSet<u32> = CIDS.iter().map(|(_, cid)| *cid).collect();
    cids.extend(patterns().filter_map(|pattern| pattern.cid));
    let other = (3..).find(|cid| !cids.contains(cid));
    cids.extend(other);
    let mut ports = BTreeSet::from([0, 1024, VMADDR_PORT_ANY]);
    for (low, high) in patterns().filter_map(|pattern| pattern.ports) {
        ports.extend([Some(low), high.checked_add(1)].into_iter().flatten());
    }
    if cids.len() * cids.len() * ports.len() > MOST_ACTS {
        return Err(Undecided::TooLarge);
    }
    for &port in &ports {
        for &cid in &cids {
            let act = |purpose, same: &[u32]| {
                let target = FamilyTarget::Vsock { purpose, cid, same, port };
                compared.excess(&Request::Family(target))
            };
            let alone = [VsockUse::Listen, VsockUse::Connect]
                .into_iter()
                .find_map(|purpose| act(purpose, &[cid]));
            // The machine's own number may be this one.
            let mut own = cids.iter().filter(|own| cid == VMADDR_CID_LOCAL || cid == **own);
            let found = alone
                .or_else(|| own.find_map(|own| act(VsockUse::Connect, &[VMADDR_CID_LOCAL, *own])));
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// A context id as rules write it.
pub(crate) struct Cid(pub(crate) u32);

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match CIDS.iter().find(|(_, cid)| *cid == self.0) {
            Some((word, _)) => f.write_str(word),
            None => self.0.fmt(f),
        }
    }
}

/// A decimal number of 32 bits, of digits alone.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}
