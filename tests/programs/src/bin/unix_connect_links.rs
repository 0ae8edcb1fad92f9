//! Links, and `..`, lead nowhere that is not granted.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
