//! bind replaces nothing.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
