//! A rule that denies wins, by whichever name a guest comes.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
