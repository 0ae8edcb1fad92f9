//! Texts that others may have made up, for a terminal.

/// A text for one line of a terminal: whatever would steer it, hide or turn the words around it, or begin a line of its own stands
/// as an escape. It may be the name of a file or of an import, or come from a component.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// The same for a text of several lines, each of which stays one.
pub(super) fn printable_lines(text: &str) -> String {
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
            // What turns or hides text without being a control character.
            ("a\u{202e}b\u{200b}c\u{2066}d\u{2028}e", "a\\u{202e}b\\u{200b}c\\u{2066}d\\u{2028}e"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(printable_lines("a\x1b\nb"), "a\\u{1b}\nb\n");
    }
}
