//! Decisions on options, control messages and ioctls.

use sandsock_abi::constants::{SCM_CREDENTIALS, SCM_RIGHTS, SOL_SOCKET};
use sandsock_abi::ioctl::Ioctl;
use sandsock_abi::option;
use sandsock_abi::option::{Access, SocketOption};

use crate::denial::{Allowed, Denial, EVERYTHING};
use crate::policy::Policy;
use crate::verbs::Verb;

impl Policy {
    /// Decides on an option.
    pub(crate) fn option(
        &self,
        family: i32,
        level: i32,
        number: i32,
        access: impl Fn(&SocketOption) -> Access,
    ) -> Result<Allowed<'_>, Denial> {
        match option::find(family, level, number) {
            Some(row) => self.row(row, access(row)),
            // Not under `allow-all` either: an option's value can hold a pointer or a descriptor's
            // number, and those would be the host's. Only the table knows which don't.
            None => Err(Denial::new(format!(
                "option {level}/{number} is denied: it is not in the table of options"
            ))),
        }
    }
    fn row(&self, row: &'static SocketOption, access: Access) -> Result<Allowed<'_>, Denial> {
        if let Access::Refused(why) = access {
            return Err(Denial::new(format!("option {row} is denied: {why}")));
        }
        if let Some(rule) = self.deny.options.get(&(row.level_name, row.number)) {
            return Err(Denial::by_rule(format_args!("option {row}"), self.deny.text(*rule)));
        }
        match access {
            Access::Ordinary | Access::Absent | Access::Refused(_) => Ok(Allowed { rule: None }),
            Access::Header => self.raw_header(),
            // The group in the value is a request of its own.
            Access::Multicast if row.shape.names_group() => Ok(Allowed { rule: None }),
            Access::Multicast => self.multicast(None),
            Access::Granted | Access::GrantedOnDatagrams if self.everything => {
                Ok(Allowed { rule: Some(EVERYTHING) })
            }
            Access::Granted | Access::GrantedOnDatagrams => {
                match self.allow.options.get(&(row.level_name, row.number)) {
                    Some(rule) => Ok(self.by(*rule)),
                    None => Err(Denial::missing(
                        format!("option {row}"),
                        Some(format!("{}={row}", Verb::Option)),
                    )),
                }
            }
        }
    }
    /// Decides on an ioctl.
    pub(crate) fn ioctl(&self, row: &'static Ioctl) -> Result<Allowed<'_>, Denial> {
        if let Access::Refused(why) = row.access {
            return Err(Denial::new(format!("ioctl {} is denied: {why}", row.name)));
        }
        if let Some(rule) = self.deny.ioctls.get(&row.number) {
            return Err(Denial::by_rule(format_args!("ioctl {}", row.name), self.deny.text(*rule)));
        }
        match self.allow.ioctls.get(&row.number) {
            _ if row.access == Access::Ordinary => Ok(Allowed { rule: None }),
            _ if self.everything => Ok(Allowed { rule: Some(EVERYTHING) }),
            Some(rule) => Ok(self.by(*rule)),
            None => Err(Denial::missing(
                format!("ioctl {}", row.name),
                Some(format!("{}={}", Verb::Ioctl, row.name)),
            )),
        }
    }
    /// Decides on a control message to send.
    pub(crate) fn control(&self, level: i32, number: i32) -> Result<Allowed<'_>, Denial> {
        match (level, number) {
            (SOL_SOCKET, SCM_RIGHTS) => {
                // As bytes they would be numbers of the host's own descriptors.
                Err(Denial::new(
                    "SCM_RIGHTS is denied as bytes: descriptors are sent as descriptors".into(),
                ))
            }
            (SOL_SOCKET, SCM_CREDENTIALS) => Ok(Allowed { rule: None }),
            _ => match option::control(level, number).and_then(|row| Some((row, row.control?))) {
                Some((row, access)) => self.row(row, access),
                None => {
                    let what = format!("control message {level}/{number}");
                    Err(Denial::new(format!(
                        "{what} is denied: it is not in the table of control messages"
                    )))
                }
            },
        }
    }
}
