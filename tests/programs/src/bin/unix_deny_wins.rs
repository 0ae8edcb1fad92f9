//! A deny rule overrides grants, by every name of the target.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
