//! `sandsock policy`: looks at policies without running a program.

mod attack;
mod check;
mod covers;
mod show;
mod why;

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use sandsock_host::policy::{Policy, PolicyBuilder, PolicyBuilderExt as _, schema};
use serde_json::Value;

use crate::exit::Exit;
use crate::guest::add_host_networks;
use crate::text::printable_lines;

/// The exit status of an answer that is a yes.
const YES: u8 = 0;
/// The exit status of an answer that is a no.
const NO: u8 = 1;
/// The exit status if what was given can't be read.
const BAD_INPUT: u8 = 2;

/// What `policy` can do.
#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check policy files: report errors, and warn of likely mistakes.
    Check(check::CheckArgs),
    /// Print the policy of a command line of `run` as a policy file.
    Show(Box<show::ShowArgs>),
    /// Say which rule decides on an act, and what would change that.
    Why(why::WhyArgs),
    /// Check that a policy grants nothing that another one does not.
    Covers(covers::CoversArgs),
    /// Run attacks under a policy, and say which of them it lets through.
    Attack(Box<attack::AttackArgs>),
    /// Print the JSON schema of a policy file, for editors.
    Schema,
}

/// Runs a subcommand of `policy`.
pub(crate) fn policy(command: &PolicyCommand) -> Result<ExitCode, Exit> {
    match command {
        PolicyCommand::Check(args) => check::check(args),
        PolicyCommand::Show(args) => show::show(args),
        PolicyCommand::Why(args) => why::why(args),
        PolicyCommand::Covers(args) => covers::covers(args),
        PolicyCommand::Attack(args) => attack::attack(args),
        PolicyCommand::Schema => print(&schema()).map(|()| ExitCode::from(YES)),
    }
}

/// Returns a builder for policies whose relative paths start in the working directory.
fn builder() -> Result<PolicyBuilder, Exit> {
    let mut builder = Policy::builder();
    builder.base_directory(std::env::current_dir().context("the working directory is gone")?)?;
    Ok(builder)
}

/// Reads a policy file.
fn read(file: &Path) -> Result<PolicyBuilder, Exit> {
    let mut builder = builder()?;
    builder.file(file).map_err(bad)?;
    add_host_networks(&mut builder)?;
    Ok(builder)
}

/// Returns the error for what can't be read.
fn bad(error: impl Into<anyhow::Error>) -> Exit {
    Exit { status: BAD_INPUT, error: error.into() }
}

/// Prints an answer, and returns its status. A policy file may hold anything, so the text is
/// escaped.
fn answer(status: u8, text: &str) -> Result<ExitCode, Exit> {
    print(&printable_lines(text))?;
    Ok(ExitCode::from(status))
}

/// Prints an answer as JSON, and returns its status.
fn answer_json(status: u8, value: &Value) -> Result<ExitCode, Exit> {
    print(&format!("{value:#}\n"))?;
    Ok(ExitCode::from(status))
}

/// Writes to standard output.
fn print(text: &str) -> Result<(), Exit> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // The reader has closed the pipe.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("can't write to standard output").map_err(Exit::from),
    }
}
