//! Code that the attacking guests share.

pub mod buffers;
pub mod filter;

/// Whether this run is the attack's twin: the same act under a policy that allows it. Its test
/// gives `twin` as the first argument.
pub fn is_twin() -> bool {
    std::env::args().nth(1).is_some_and(|argument| argument == "twin")
}
