//! Numbers and wildcards in texts.

/// A decimal number without sign or blanks.
pub(super) fn decimal(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// The length of the character that `text` starts with; a byte that belongs to no character counts
/// as one.
fn character(text: &[u8]) -> usize {
    let longest = match text.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    match text.get(..longest) {
        Some(part) if std::str::from_utf8(part).is_ok() => longest,
        _ => 1,
    }
}

/// Splits a text into characters. A byte that belongs to no character is one of its own.
pub(crate) fn characters(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (first, others) = rest.split_at(character(rest).min(rest.len()));
        rest = others;
        (!first.is_empty()).then_some(first)
    })
}

/// Returns whether `*` (any characters) and `?` (one character) in `pattern` can stand for what `text`
/// has. Quadratic at worst.
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, t));
            }
            Some(b'?') => {
                p += 1;
                t += character(&text[t..]);
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, from)) = star else {
                    return false;
                };
                let next = from + character(&text[from..]);
                (p, t) = (after, next);
                star = Some((after, next));
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}
