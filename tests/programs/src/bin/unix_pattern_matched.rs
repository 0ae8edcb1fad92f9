//! A pattern holds the names that it says, and those alone.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
