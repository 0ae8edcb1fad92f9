//! A socket is made beneath the granted directory, or not at all.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
