//! What the verb `family` names of AF_BLUETOOTH.

use std::fmt;

use sandsock_abi::constants::{BTPROTO_HCI, BTPROTO_L2CAP, BTPROTO_RFCOMM, BTPROTO_SCO};

use crate::error::{ParseError, suggestion};

/// What is asked for of AF_BLUETOOTH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BluetoothTarget {
    /// BTPROTO_L2CAP.
    L2cap,
    /// BTPROTO_RFCOMM.
    Rfcomm,
    /// BTPROTO_SCO.
    Sco,
    /// BTPROTO_HCI, by this channel.
    Hci(u16),
}

impl fmt::Display for BluetoothTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bluetooth:")?;
        match self {
            Self::L2cap => f.write_str("l2cap"),
            Self::Rfcomm => f.write_str("rfcomm"),
            Self::Sco => f.write_str("sco"),
            Self::Hci(channel) => match HCI_CHANNELS.get(usize::from(*channel)) {
                Some(word) => write!(f, "hci:{word}"),
                None => write!(f, "hci:{channel}"),
            },
        }
    }
}

/// HCI's channels, by their words (the kernel's `hci_sock.h`). The numbers are their places.
const HCI_CHANNELS: [&str; 5] = ["raw", "user", "monitor", "control", "logging"];

/// Returns targets such that rules hold every other one as they hold one of them.
pub(super) fn targets() -> impl Iterator<Item = BluetoothTarget> {
    // The last channel is one that has no word.
    let channels = (0..=HCI_CHANNELS.len()).map(|channel| BluetoothTarget::Hci(channel as u16));
    [BluetoothTarget::L2cap, BluetoothTarget::Rfcomm, BluetoothTarget::Sco]
        .into_iter()
        .chain(channels)
}

/// What `family=bluetooth` names: `bluetooth`, `bluetooth:PROTOCOL` or `bluetooth:hci:CHANNEL`.
/// What is left out is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BluetoothPattern {
    /// All of it.
    All,
    /// HCI by any channel.
    Hci,
    /// One protocol, of HCI one channel.
    One(BluetoothTarget),
}

impl BluetoothPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let (word, rest) = match text.split_once(':') {
            Some((word, rest)) => (word, Some(rest)),
            None => (text, None),
        };
        match (word, rest) {
            ("l2cap", None) => Ok(Self::One(BluetoothTarget::L2cap)),
            ("rfcomm", None) => Ok(Self::One(BluetoothTarget::Rfcomm)),
            ("sco", None) => Ok(Self::One(BluetoothTarget::Sco)),
            ("hci", None) => Ok(Self::Hci),
            ("hci", Some(channel)) => match HCI_CHANNELS.iter().position(|known| *known == channel)
            {
                Some(at) => Ok(Self::One(BluetoothTarget::Hci(at as u16))),
                None => Err(ParseError::new(
                    word.len() + 1,
                    format!("unknown HCI channel `{}`", channel.escape_debug()),
                    format!(
                        "channels are {}{}",
                        HCI_CHANNELS.join(", "),
                        suggestion(channel, HCI_CHANNELS)
                    ),
                )),
            },
            ("l2cap" | "rfcomm" | "sco", Some(_)) => Err(ParseError::new(
                word.len(),
                format!("`{word}` has no parts"),
                format!("write bluetooth:{word}"),
            )),
            _ => {
                let words = ["l2cap", "rfcomm", "sco", "hci"];
                Err(ParseError::new(
                    0,
                    format!("unknown Bluetooth protocol `{}`", word.escape_debug()),
                    format!("protocols are {}{}", words.join(", "), suggestion(word, words)),
                ))
            }
        }
    }

    pub(crate) fn holds(self, target: BluetoothTarget) -> bool {
        match self {
            Self::All => true,
            Self::Hci => matches!(target, BluetoothTarget::Hci(_)),
            Self::One(own) => own == target,
        }
    }

    /// Returns whether some use of this protocol is named.
    pub(crate) fn speaks(self, protocol: i32) -> bool {
        match self {
            Self::All => true,
            Self::Hci | Self::One(BluetoothTarget::Hci(_)) => protocol == BTPROTO_HCI,
            Self::One(BluetoothTarget::L2cap) => protocol == BTPROTO_L2CAP,
            Self::One(BluetoothTarget::Rfcomm) => protocol == BTPROTO_RFCOMM,
            Self::One(BluetoothTarget::Sco) => protocol == BTPROTO_SCO,
        }
    }
}

impl fmt::Display for BluetoothPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("bluetooth"),
            Self::Hci => f.write_str("bluetooth:hci"),
            Self::One(target) => target.fmt(f),
        }
    }
}
