//! Relative paths start at the command's directory.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
