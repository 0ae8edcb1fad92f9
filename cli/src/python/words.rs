//! The command line of `sandsock python`, up to where the arguments of the program begin.

use std::ffi::OsString;

use clap::{Arg, Command};

/// The letters of the options after whose value everything belongs to the program.
const LAST: [char; 2] = ['c', 'm'];

/// Inserts `--` after the value of `-m` or `-c`, because the arguments after it are the program's
/// even if they look like options. CPython: `python3 [option] ... [-c cmd | -m mod | file | -] [arg] ...`.
pub(crate) fn with_end_of_options(command: &Command, mut words: Vec<OsString>) -> Vec<OsString> {
    // The options before the subcommand have no values.
    let subcommand =
        words.iter().skip(1).position(|word| !word.as_encoded_bytes().starts_with(b"-"));
    let Some(at) = subcommand.map(|at| at + 1).filter(|at| words[*at] == "python") else {
        return words;
    };
    let Some(python) = command.find_subcommand("python") else { return words };
    if let Some(end) = end_of_options(python, &words[at + 1..]) {
        words.insert(at + 1 + end, "--".into());
    }
    words
}

/// Returns the place after the value of the first `-m` or `-c` that is an option of the command.
fn end_of_options(python: &Command, words: &[OsString]) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = words.get(at).map(|word| word.to_string_lossy()) {
        at += 1;
        if let Some(long) = word.strip_prefix("--") {
            if long.is_empty() {
                return None;
            }
            let named = |arg: &&Arg| arg.get_long() == Some(long);
            at += usize::from(python.get_arguments().find(named).is_some_and(takes_next));
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            for (place, letter) in letters.char_indices() {
                let rest = &letters[place + letter.len_utf8()..];
                let named = |arg: &&Arg| arg.get_short() == Some(letter);
                let Some(arg) = python.get_arguments().find(named) else { continue };
                if takes_next(arg) {
                    at += usize::from(rest.is_empty());
                    if LAST.contains(&letter) {
                        return (at <= words.len()).then_some(at);
                    }
                    break;
                }
            }
        } else {
            return None;
        }
    }
    None
}

/// Returns whether the next word may be the option's value.
fn takes_next(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn words_after_the_program_are_its_own() {
        let mut command = crate::Cli::command();
        command.build();
        for (line, expected) in [
            ("python -m http.server --bind ::1", "python -m http.server -- --bind ::1"),
            ("-v python -mhttp.server -v", "-v python -mhttp.server -- -v"),
            ("python -uc pass -m x", "python -uc pass -- -m x"),
            ("python --allow -m x.py -m", "python --allow -m x.py -m"),
            ("python --allow=a=b -W -c -c 1", "python --allow=a=b -W -c -c 1 --"),
            ("python --trace -m x -h", "python --trace -m x -- -h"),
            ("python -- -m x", "python -- -m x"),
            ("python x.py -m x", "python x.py -m x"),
            ("python - -m x", "python - -m x"),
            ("python -m", "python -m"),
            ("run -m x", "run -m x"),
        ] {
            let words = |line: &str| -> Vec<OsString> {
                std::iter::once("sandsock").chain(line.split(' ')).map(OsString::from).collect()
            };
            assert_eq!(with_end_of_options(&command, words(line)), words(expected), "{line}");
        }
    }
}
