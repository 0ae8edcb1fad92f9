//! Untrusted text for a terminal.

/// Escapes a text for one line of a terminal: control characters, newlines, and characters that are
/// invisible or change the direction of text. Names of files and of imports need it, and everything
/// else that comes from a component.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// Escapes each line of a text.
pub(crate) fn printable_lines(text: &str) -> String {
    text.lines().map(|line| printable(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_escapes_what_steers_a_terminal() {
        for (text, shown) in [
            ("plain \"text\" it's a\\b, ü 漢", "plain \"text\" it's a\\b, ü 漢"),
            ("\x1b[31mred\x1b]0;title\x07", "\\u{1b}[31mred\\u{1b}]0;title\\u{7}"),
            ("one\ntwo\r\tthree\x08", "one\\ntwo\\r\\tthree\\u{8}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            // Characters that reverse or hide text and are no control characters.
            ("a\u{202e}b\u{200b}c\u{2066}d\u{2028}e", "a\\u{202e}b\\u{200b}c\\u{2066}d\\u{2028}e"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(printable_lines("a\x1b\nb"), "a\\u{1b}\nb\n");
    }
}
