//! One abstract name of many is denied.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
