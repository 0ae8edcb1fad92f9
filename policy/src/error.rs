//! Errors of the texts that an operator writes: what is wrong, where, and what would be right.

/// What is wrong with a text and where, before it is known which text it stands in.
#[derive(Debug)]
pub(super) struct ParseError {
    /// Where, in bytes from the start of the text that was parsed.
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

    /// The same fault in a text that `by` bytes precede.
    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.offset += by;
        self
    }
}

pub(crate) fn zone_error(offset: usize) -> ParseError {
    ParseError::new(
        offset,
        "a zone",
        "leave `%...` out: a rule holds for a link-local address on every interface",
    )
}

/// A text that is no rule, limit or fixed address: what is wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {what}; {hint}", self.character())]
pub struct GrantError {
    text: Box<str>,
    offset: usize,
    what: Box<str>,
    hint: Box<str>,
}

impl GrantError {
    pub(super) fn new(text: &str, fault: ParseError) -> Self {
        Self {
            text: text.into(),
            offset: fault.offset,
            what: fault.what.into(),
            hint: fault.hint.into(),
        }
    }

    /// What is wrong and what would be right, without the place.
    pub fn reason(&self) -> String {
        format!("{}; {}", self.what, self.hint)
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the fault is, in bytes from the start.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Where the fault is, in characters, the first being 1.
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
