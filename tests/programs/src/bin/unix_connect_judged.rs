//! The kernel's refusals and the policy's denials are told apart.

#[path = "../attempts.rs"]
mod attempts;

fn main() {
    attempts::run();
}
