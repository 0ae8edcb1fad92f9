//! The `sandsock` command: runs components with the sockets that were granted, and says what a
//! component needs.

/// Says something on standard error, on one line: see `stderr::say`.
macro_rules! say {
    ($($words:tt)*) => { $crate::stderr::say(format_args!($($words)*)) };
}

mod ask;
mod cache;
mod compiled;
mod component;
mod compose;
mod engine;
mod entry;
mod exit;
mod folders;
mod guest;
mod harden;
mod help;
mod inherited_fds;
mod inspect;
mod learn;
mod listen;
mod memory;
mod observers;
mod output;
mod parts;
mod path_walk;
mod policy;
mod python;
mod run;
mod serve;
mod settings;
mod stderr;
mod terminal;
mod text;
mod threads;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use exit::{Exit, OWN_ERROR};
use help::{AFTER_HELP, PYTHON_HELP, RUN_HELP, SERVE_HELP, limits_help, verbs_help};
use stderr::LAST_LINES;
use text::printable;

/// Runs WebAssembly components with the sockets you grant them, and no others.
#[derive(Parser)]
#[command(name = "sandsock", version, after_help = AFTER_HELP)]
struct Cli {
    /// Log more: once for the policy's decisions, twice for every call too, as --trace does.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = 900)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a component that exports wasi:cli/run.
    Run(Box<run::RunArgs>),
    /// Run a Python program: a script, a module or code.
    Python(Box<python::PythonArgs>),
    /// Prepare a folder of the Python runner after it was built.
    #[command(hide = true)]
    PythonSetup(python::SetupArgs),
    /// Compile modules of a Python program. `python` starts this.
    #[command(hide = true)]
    PythonCompile(python::CompileArgs),
    /// Serve connections, each with a fresh instance of a component, or all with a few instances
    /// that share the listening socket.
    Serve(Box<serve::ServeArgs>),
    /// Compose an app that imports sandsock:socket/sockets with its provider. `run` and `serve` do
    /// so by themselves.
    Compose(compose::ComposeArgs),
    /// Print what a component imports and exports, and whether this command can run it.
    Inspect {
        /// The component, a .wasm or .wat file.
        component: PathBuf,
    },
    /// Look at policies, without running a program.
    Policy {
        #[command(subcommand)]
        command: policy::PolicyCommand,
    },
    /// Compile standard input to standard output. The command starts this process itself.
    #[command(hide = true)]
    Compile(compiled::CompileArgs),
    /// Make the binary form of a module's text. `scripts/python.sh` uses it.
    #[command(hide = true)]
    PythonAssemble {
        /// A .wat file.
        text: PathBuf,
        /// The .wasm file.
        module: PathBuf,
    },
    /// Give a linked component threads. `scripts/python.sh` uses it.
    #[command(hide = true)]
    PythonThreads {
        /// The component with stand-ins for threads.
        component: PathBuf,
        /// The component with threads.
        out: PathBuf,
    },
}

/// Runs the command.
fn main() -> ExitCode {
    let command = Cli::command().mut_subcommand("run", |run| {
        // Verbs and limits come from their tables.
        run.after_help(format!("{}\n{RUN_HELP}\n\n{}", verbs_help(), limits_help()))
    });
    let command = command.mut_subcommand("python", |python| python.after_help(PYTHON_HELP));
    let command = command.mut_subcommand("serve", |serve| serve.after_help(SERVE_HELP));
    let parse = |command: clap::Command, words: Vec<OsString>| {
        command.try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches))
    };
    let words = python::with_end_of_options(&command, std::env::args_os().collect());
    let cli = match parse(command.clone(), words.clone()) {
        Ok(cli) => cli,
        Err(error) => {
            // The error repeats the arguments, which a script may have taken from names of files.
            // Parsing them escaped gives the same error with escaped names.
            let shown =
                words.iter().map(|word| printable(&word.to_string_lossy()).into()).collect();
            let error = parse(command, shown).err().unwrap_or(error);
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { OWN_ERROR } else { 0 });
        }
    };
    log_to_stderr(cli.verbose);
    let result = match cli.command {
        Command::Run(args) => run::run(&args, cli.verbose),
        Command::Python(args) => python::python(&args, cli.verbose),
        Command::PythonSetup(args) => python::set_up(&args),
        Command::PythonCompile(args) => python::compile_modules(&args),
        Command::Serve(args) => serve::serve(&args, cli.verbose),
        Command::Compose(args) => compose::compose(&args),
        Command::Inspect { component } => inspect::inspect(&component),
        Command::Policy { command } => policy::policy(&command),
        Command::Compile(args) => compiled::compile_input(&args),
        Command::PythonAssemble { text, module } => threads::assemble(&text, &module),
        Command::PythonThreads { component, out } => threads::link_file(&component, &out),
    };
    let status = match result {
        Ok(status) => status,
        Err(Exit { status, error }) => {
            say!("{error:#}");
            ExitCode::from(status)
        }
    };
    stderr::finish(Instant::now() + LAST_LINES);
    status
}

fn log_to_stderr(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let default = match verbose {
        0 => "warn",
        1 => "sandsock=info,sandsock_host=info,warn",
        2 => "sandsock=debug,sandsock_host=debug,warn",
        _ => "trace",
    };
    let filter =
        EnvFilter::try_from_env("SANDSOCK_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr::Log)
        .log_internal_errors(false)
        .without_time();
    // Colours are off, because `Log` escapes control characters.
    log.with_target(verbose > 1).with_ansi(false).init();
}
