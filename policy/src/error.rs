//! Errors in the texts that an operator writes.

/// An error in a part of a text. [`GrantError`] has the whole text.
#[derive(Debug)]
pub(super) struct ParseError {
    /// The place, in bytes from the start of the part.
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

    /// Returns the error for a text with `by` more bytes before the part.
    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.offset += by;
        self
    }
}

pub(crate) fn zone_error(offset: usize) -> ParseError {
    ParseError::new(
        offset,
        "the address has a zone",
        "leave `%...` out: a rule holds for a link-local address on every interface",
    )
}

/// A text is no rule, limit or fixed address. The error says what is wrong, where, and what to
/// write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {what}; {hint}", self.character())]
pub struct GrantError {
    text: Box<str>,
    offset: usize,
    what: Box<str>,
    hint: Box<str>,
}

impl GrantError {
    pub(super) fn new(text: &str, error: ParseError) -> Self {
        Self {
            text: text.into(),
            offset: error.offset,
            what: error.what.into(),
            hint: error.hint.into(),
        }
    }

    /// Returns what is wrong and what to write, without the place.
    pub fn reason(&self) -> String {
        format!("{}; {}", self.what, self.hint)
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the place of the error, in bytes from the start.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the place of the error in characters. The first is 1.
    pub fn character(&self) -> usize {
        self.text.char_indices().take_while(|(at, _)| *at < self.offset).count() + 1
    }
}

/// Returns `; did you mean ...?` with the nearest of the words, or nothing if none is near. Swapped
/// letters count as one mistake.
pub(super) fn suggestion<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    // A longer word is not a typing mistake, and the work grows with its length.
    if word.len() > 64 {
        return String::new();
    }
    let nearest = words
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min();
    match nearest {
        Some((far, candidate)) if far * 3 <= candidate.len() => {
            format!("; did you mean {candidate}?")
        }
        _ => String::new(),
    }
}

/// Returns the error for a target that is none of the words.
pub(crate) fn unknown_target(text: &str, words: &[&str]) -> ParseError {
    ParseError::new(
        0,
        format!("unknown target `{}`", text.escape_debug()),
        format!("targets are {}{}", words.join(", "), suggestion(text, words.iter().copied())),
    )
}
