//! The acts of an open file description that last: what a later policy would have to allow as well.

use sandsock_policy::LocalAddress;

use crate::bindings::sandsock::socket::types::Address;

/// The most options of one description that are remembered by their values.
const OPTIONS_MAX: usize = 64;

/// How the guest got a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Origin {
    /// The guest made it, or it is one of the embedder's own process.
    #[default]
    Made,
    /// It was handed over under this number.
    Inherited(i32),
    /// It was received in a message.
    Received,
}

/// Where a socket is bound, in the form in which the policy is asked.
#[derive(Debug, Clone)]
pub(crate) enum Local {
    /// A TCP socket at this address.
    Tcp(LocalAddress),
    /// A UDP socket at this address.
    Udp(LocalAddress),
    /// A socket of any other family, by the address that the guest bound.
    Address(Address),
}

/// An option that needed a grant, with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetOption {
    pub(crate) level: i32,
    pub(crate) name: i32,
    pub(crate) value: Vec<u8>,
}

/// The acts of one description. A connection has those of its listener.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acts {
    pub(crate) origin: Origin,
    pub(crate) local: Option<Local>,
    /// The address that it was connected to.
    pub(crate) peer: Option<Address>,
    options: Vec<SetOption>,
    /// There were more options than are remembered.
    is_incomplete: bool,
}

impl Acts {
    /// Returns the acts of a connection that this listener accepts.
    pub(crate) fn of_connection(&self) -> Self {
        Self { peer: None, ..self.clone() }
    }

    /// Adds an option that was set.
    pub(crate) fn add_option(&mut self, option: SetOption) {
        if self.options.contains(&option) {
            return;
        }
        if self.options.len() < OPTIONS_MAX {
            self.options.push(option);
        } else {
            self.is_incomplete = true;
        }
    }

    /// The options that needed a grant. None if there were too many to remember.
    pub(crate) fn options(&self) -> Option<&[SetOption]> {
        (!self.is_incomplete).then_some(self.options.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_remembered_once_and_too_many_are_known() {
        let option = |value: u8| SetOption { level: 1, name: 36, value: vec![value] };
        let mut acts = Acts::default();
        for _ in 0..1000 {
            acts.add_option(option(0));
        }
        assert_eq!(acts.options(), Some(&[option(0)][..]));
        (1..64).for_each(|value| acts.add_option(option(value)));
        assert_eq!(acts.options().map(<[_]>::len), Some(64));
        acts.add_option(option(64));
        assert!(acts.options().is_none());
    }
}
