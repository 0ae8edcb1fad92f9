//! The `sandsock` command: runs components with the sockets that were granted, and says what a
//! component needs.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
