//! Python's codec `idna`: the names of hosts in ASCII. It follows IDNA 2003 (RFC 3490), where `faß`
//! becomes `fass`, and not the newer IDNA 2008.
//!
//! The errors are those of CPython 3.13. There is one difference: CPython normalises by the tables
//! of Unicode 3.2, this module by those of a newer Unicode.

use std::borrow::Cow;

use idna::punycode;
use stringprep::tables;
use unicode_normalization::UnicodeNormalization;

use crate::{Error, ErrorKind, Result};

/// The longest label (RFC 1034).
const LABEL: usize = 63;

/// RFC 3490: the ACE prefix, which begins an encoded label.
const PREFIX: &str = "xn--";

/// RFC 3490: the characters that separate labels.
const DOTS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// The reason why a label can't be encoded, and the characters that it is about: `count` of them,
/// from `start` on.
struct Refusal {
    start: usize,
    count: usize,
    reason: Cow<'static, str>,
}

fn refuse<T>(
    start: usize,
    count: usize,
    reason: impl Into<Cow<'static, str>>,
) -> Result<T, Refusal> {
    Err(Refusal { start, count, reason: reason.into() })
}

fn empty() -> Refusal {
    Refusal { start: 0, count: 1, reason: "label empty".into() }
}

/// Encodes a host's name. A name in ASCII stays as it is.
///
/// # Errors
/// `UnicodeError` if a label other than the last one is empty, if a label is longer than 63 bytes,
/// or if it has characters that a name can't have.
pub(crate) fn encode(name: &str) -> Result<Cow<'_, str>> {
    let ascii = name.is_ascii();
    let dots = if ascii { &DOTS[..1] } else { &DOTS[..] };
    let labels: Vec<&str> = name.split(dots).collect();
    let last = labels.len() - 1;
    let offset =
        |at: usize| labels.iter().take(at).map(|label| label.chars().count() + 1).sum::<usize>();
    let unicode_error = |at: usize, refusal| error(name, offset(at), refusal);
    // CPython: in a name in ASCII, an empty label is reported before a label that is too long.
    if let Some(at) = labels.iter().take(last).position(|label| ascii && label.is_empty()) {
        return Err(unicode_error(at, empty()));
    }
    let mut encoded = Vec::with_capacity(labels.len());
    for (at, &label) in labels.iter().enumerate() {
        // A trailing dot makes the last label empty.
        let label =
            if at == last && label.is_empty() { Ok(Cow::Borrowed("")) } else { to_ascii(label) };
        encoded.push(label.map_err(|refusal| unicode_error(at, refusal))?);
    }
    Ok(if ascii { Cow::Borrowed(name) } else { Cow::Owned(encoded.join(".")) })
}

/// RFC 3490, section 4.1, without the rules for host names (UseSTD3ASCIIRules).
fn to_ascii(label: &str) -> Result<Cow<'_, str>, Refusal> {
    let prepared =
        if label.is_ascii() { Cow::Borrowed(label) } else { Cow::Owned(nameprep(label)?) };
    let count = prepared.chars().count();
    if prepared.is_ascii() {
        return match prepared.len() {
            0 => Err(empty()),
            1..=LABEL => Ok(prepared),
            _ => refuse(0, count, "label too long"),
        };
    }
    if prepared.starts_with(PREFIX) {
        return refuse(0, PREFIX.len(), "Label starts with ACE prefix");
    }
    match punycode::encode_str(&prepared) {
        Some(encoded) if PREFIX.len() + encoded.len() <= LABEL => {
            Ok(Cow::Owned(format!("{PREFIX}{encoded}")))
        }
        _ => refuse(0, count, "label too long"),
    }
}

/// RFC 3491, but characters that are not assigned are allowed, as in CPython.
fn nameprep(label: &str) -> Result<String, Refusal> {
    let mapped = label.chars().filter(|&c| !tables::commonly_mapped_to_nothing(c)).flat_map(fold);
    let prepared: String = mapped.nfkc().collect();
    if let Some((at, c)) = prepared.chars().enumerate().find(|&(_, c)| is_prohibited(c)) {
        return refuse(at, 1, format!("Invalid character '{}'", escaped(c)));
    }
    if prepared.chars().any(tables::bidi_r_or_al) {
        if let Some(at) = prepared.chars().position(tables::bidi_l) {
            return refuse(at, 1, "Violation of BIDI requirement 2");
        }
        let count = prepared.chars().count();
        let ends =
            [(0, prepared.chars().next()), (count.saturating_sub(1), prepared.chars().next_back())];
        for (at, end) in ends {
            if !end.is_some_and(tables::bidi_r_or_al) {
                return refuse(at, 1, "Violation of BIDI requirement 3");
            }
        }
    }
    Ok(prepared)
}

/// RFC 3454, table B.2. CPython: a letter without a row in the table gets the lower case of the
/// newest Unicode.
fn fold(c: char) -> impl Iterator<Item = char> {
    let small = |c: char| {
        if tables::case_fold_for_nfkc(c).eq([c]) { c.to_lowercase().next().unwrap_or(c) } else { c }
    };
    tables::case_fold_for_nfkc(small(c))
}

/// RFC 3491, section 5: tables C.1.2, C.2.2 and C.3 to C.9 of RFC 3454.
fn is_prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::surrogate_code(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
}

/// Returns CPython's UnicodeEncodeError. A position in a label counts the characters of the
/// prepared label, but is reported as a position in the whole name.
fn error(name: &str, offset: usize, Refusal { start, count, reason }: Refusal) -> Error {
    let (start, end) = (offset + start, offset + start + count - 1);
    let text = match name.chars().nth(start) {
        Some(c) if count == 1 => {
            format!(
                "'idna' codec can't encode character '{}' in position {start}: {reason}",
                code(c)
            )
        }
        _ => format!("'idna' codec can't encode characters in position {start}-{end}: {reason}"),
    };
    Error::text(ErrorKind::Unicode, text)
}

/// Returns the escape of a character, by its number.
fn code(c: char) -> String {
    match u32::from(c) {
        code @ ..0x100 => format!("\\x{code:02x}"),
        code @ ..0x1_0000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Returns a prohibited character as Python's `repr` shows it. Python escapes all of them except
/// U+FFFC, U+FFFD and a few of table C.7, which it finds printable.
fn escaped(c: char) -> String {
    if matches!(c, '\u{fffc}' | '\u{fffd}' | '\u{340}' | '\u{341}' | '\u{2ff0}'..='\u{2ffb}') {
        c.into()
    } else {
        code(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pythons() {
        for (name, expected) in [
            ("", Ok("")),
            ("a.B_c.", Ok("a.B_c.")),
            ("b\u{fc}cher.example", Ok("xn--bcher-kva.example")),
            ("B\u{dc}CHER.Example", Ok("xn--bcher-kva.Example")),
            ("fa\u{df}.example", Ok("fass.example")),
            ("\u{ff11}\u{ff12}\u{ff17}\u{3002}0\u{ff0e}0\u{ff61}1", Ok("127.0.0.1")),
            ("127.0.0.1\u{ad}", Ok("127.0.0.1")),
            ("\u{2488}", Ok("1.")),
            ("\u{e9}.", Ok("xn--9ca.")),
            ("\u{627}", Ok("xn--mgb")),
            ("a..b", Err("character '\\x2e' in position 2: label empty")),
            (".", Err("character '\\x2e' in position 0: label empty")),
            ("\u{3002}", Err("character '\\u3002' in position 0: label empty")),
            ("\u{e9}..", Err("character '\\x2e' in position 2: label empty")),
            ("\u{ad}", Err("character '\\xad' in position 0: label empty")),
            ("x.\u{ad}", Err("character '\\xad' in position 2: label empty")),
            ("xn--\u{e9}", Err("characters in position 0-3: Label starts with ACE prefix")),
            ("a.XN--\u{e9}", Err("characters in position 2-5: Label starts with ACE prefix")),
            (
                "\u{e9}\u{200f}",
                Err("character '\\u200f' in position 1: Invalid character '\\u200f'"),
            ),
            ("\u{627}a", Err("character '\\x61' in position 1: Violation of BIDI requirement 2")),
            ("\u{627}1", Err("character '\\x31' in position 1: Violation of BIDI requirement 3")),
            ("1\u{627}", Err("character '\\x31' in position 0: Violation of BIDI requirement 3")),
        ] {
            let expected = expected
                .map(str::to_owned)
                .map_err(|text| format!("'idna' codec can't encode {text}"));
            assert_eq!(
                encode(name).map(Cow::into_owned).map_err(|error| error.to_string()),
                expected,
                "{name:?}"
            );
        }
        let long = format!("x.{}", "\u{e9}".repeat(70));
        let text = "'idna' codec can't encode characters in position 2-71: label too long";
        assert_eq!(encode(&long).map_err(|error| error.to_string()), Err(text.to_owned()));
    }
}
