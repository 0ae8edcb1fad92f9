//! A pattern matches the names that it describes, and no others.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
