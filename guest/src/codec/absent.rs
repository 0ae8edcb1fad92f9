//! A stand-in for the encodings of the feature `codecs`, for a build without it.

use super::Part;

/// An encoding of the feature `codecs`, of which there is none.
#[derive(Clone, Debug)]
pub(crate) enum Optional {}

impl Optional {
    pub(super) const fn by_name(_: &str) -> Option<Self> {
        None
    }

    pub(super) const fn is_binary(_: &str) -> bool {
        false
    }

    pub(super) const fn name(&self) -> &'static str {
        match *self {}
    }

    pub(super) const fn read_mark(&self, _: &[u8]) -> Option<(Self, usize)> {
        match *self {}
    }

    pub(super) const fn missing_mark(&self) -> Option<(&'static str, usize)> {
        match *self {}
    }

    pub(super) const fn decode(&self, _: &[u8], _: bool, _: &mut String) -> Part {
        match *self {}
    }

    pub(super) const fn encode(&self, _: &str) -> Option<Vec<u8>> {
        match *self {}
    }

    pub(super) const fn byte(&self, _: char) -> Option<u8> {
        match *self {}
    }
}
