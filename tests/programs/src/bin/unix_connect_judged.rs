//! The kernel's errors and the policy's denials can be distinguished.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
