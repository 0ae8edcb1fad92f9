//! Links and `..` lead nowhere without a grant.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
