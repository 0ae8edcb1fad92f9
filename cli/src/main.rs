//! The `sandsock` command: runs components with the sockets that were granted, and says what a
//! component needs.

/// Says something on standard error, on one line: see `stderr::say`.
macro_rules! say {
    ($($words:tt)*) => { $crate::stderr::say(format_args!($($words)*)) };
}

mod cache;
mod compose;
mod engine;
mod folders;
mod guest;
mod handed;
mod inspect;
mod listen;
mod memory;
mod observe;
mod outlet;
mod run;
mod serve;
mod stderr;
mod text;
mod way;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use sandsock_host::policy::{Limits, Verb};

use text::printable;

/// Our own errors.
const OWN_ERROR: u8 = 125;
/// A component that can't be loaded.
const CANNOT_LOAD: u8 = 126;

/// Runs WebAssembly components with the sockets you grant them, and no others.
#[derive(Parser)]
#[command(name = "sandsock", version, after_help = AFTER_HELP)]
struct Cli {
    /// Say more: once for decisions, twice for every call too, as --trace does.
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = 900)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a component that exports wasi:cli/run.
    Run(Box<guest::GuestArgs>),
    /// Serve connections: each by a fresh instance of a component, or all by a few that share the
    /// listening socket.
    Serve(Box<serve::ServeArgs>),
    /// Compose an app that imports sandsock:socket/sockets with the provider of it. `run` and
    /// `serve` do so by themselves.
    Compose(ComposeArgs),
    /// Say what a component imports and exports, and whether this command can run it.
    Inspect {
        /// The component, a .wasm or .wat file.
        component: PathBuf,
    },
}

/// What `compose` takes.
#[derive(Args)]
struct ComposeArgs {
    /// The app, a .wasm or .wat file. One alone: each app has a provider of its own.
    #[arg(required = true)]
    app: Vec<PathBuf>,

    /// Where to write the composed component.
    #[arg(short, long, value_name = "OUT.wasm")]
    output: PathBuf,

    /// Another provider than the one that belongs to this command.
    #[arg(long, value_name = "FILE")]
    provider: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Exit status: the guest's own; 134 after a trap, 130 after a second Ctrl-C; 125 for an error of this command, 126 for a component
that can't be loaded.

Examples:
  sandsock run --allow tcp-listen=127.0.0.1:7777 echo_server.wasm 127.0.0.1 7777
  sandsock run --allow 'tcp-connect=*.example.com:443' fetch.wasm www.example.com
  sandsock run --policy server.toml server.wasm
  sandsock serve --listen 127.0.0.1:7782 hello_http.wasm
  sandsock compose app.wasm -o whole.wasm
  sandsock inspect server.wasm";

const RUN_HELP: &str = "\
A policy file is TOML:
  allow = [\"tcp-connect=db.example:5432\"]
  deny = [\"tcp-connect=10.0.0.0/8:*\"]
  publish = [\"0.0.0.0:8080=127.0.0.1:80\"]
  [limits]
  descriptors = 64
  [resolve]
  \"db.example\" = \"192.0.2.7\"

Options stand before COMPONENT; what follows it is the guest's.
Ctrl-C interrupts the guest's wait on a socket; a second one stops the guest.

A folder of --dir is writable unless it ends in :ro. A writable folder must not hold sockets that a rule names, nor files that this
command reads or writes, because the guest could replace them; such a folder is refused.

Exit status: the guest's own (0 or 1: WASI 0.2 carries no more), 134 after a trap, 130 after a second Ctrl-C;
125 for an error of this command, 126 for a component that can't be loaded.

Examples:
  sandsock run --allow tcp-listen=127.0.0.1:7777 echo_server.wasm 127.0.0.1 7777
  sandsock run --policy server.toml --deny 'tcp-connect=10.0.0.0/8:*' server.wasm
  sandsock run --allow tcp-connect=db.example:5432 --resolve db.example=192.0.2.7 app.wasm
  sandsock run --dir ./data::/data:ro --env LANG --limit descriptors=64 app.wasm --flag-of-the-guest";

const SERVE_HELP: &str = "\
Without --instances each connection is served by a fresh instance, which has it as descriptor 0 (fromfd(0)) and ends when it
likes, or after --max-time; nothing of one is left to the next. Beyond --max-connections new ones wait in the kernel's backlog.
With --instances N instances live on and accept for themselves: the listening socket is descriptor 3, told by LISTEN_FDS.
One that traps or fails is started anew.

Listening takes no grant: it is this command that listens. All else that the guest does takes the grants of `sandsock run`,
see its help. Standard output and error are the command's; standard input is empty. If nobody reads an output, a guest that writes
to it waits, and lines of the command and of observers are dropped and counted.

A trap, or a guest that computes, harms no other. SIGTERM or Ctrl-C: no more connections are accepted; after --grace seconds the
guests' waits are interrupted, and 2 seconds later they are stopped (with --instances they are interrupted at once, and stopped
after --grace). A second signal ends the command at once, with status 128 and its number.

Examples:
  sandsock serve --listen 127.0.0.1:7782 hello_http.wasm
  sandsock serve --listen /run/app.sock --max-connections 100 --grace 30 --policy app.toml app.wasm
  sandsock serve --listen '*:8000' --instances 4 server.wasm
  sandsock serve --listen fd:3 app.wasm        # socket activation";

/// Something that ends the command before or instead of the guest's own end.
struct Failure {
    status: u8,
    error: anyhow::Error,
}

impl Failure {
    fn load(error: impl Into<anyhow::Error>) -> Self {
        Self { status: CANNOT_LOAD, error: error.into() }
    }

    /// Names the component that it is about.
    fn about(self, component: &Path) -> Self {
        Self { error: self.error.context(component.display().to_string()), ..self }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { status: OWN_ERROR, error: error.into() }
    }
}

/// wasmtime's error with all its causes.
fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

/// How long the command waits at its end for the readers of its outputs.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Runs the command.
fn main() -> ExitCode {
    let command = Cli::command().mut_subcommand("run", |run| {
        // Verbs and limits come from their tables.
        run.after_help(format!("{}\n{RUN_HELP}\n\n{}", verbs_help(), limits_help()))
    });
    let command = command.mut_subcommand("serve", |serve| serve.after_help(SERVE_HELP));
    let parse = |command: clap::Command, words: Vec<OsString>| {
        command.try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches))
    };
    let words: Vec<OsString> = std::env::args_os().collect();
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
        Command::Serve(args) => serve::serve(&args, cli.verbose),
        Command::Compose(args) => compose::compose(&args),
        Command::Inspect { component } => inspect::inspect(&component),
    };
    let status = match result {
        Ok(status) => status,
        Err(Failure { status, error }) => {
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
        // Two commands that compile the same component may write one cache entry: whose it becomes
        // is no matter.
        0 => "warn,wasmtime_internal_cache=error",
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

/// The verbs, what each grants, and examples of its targets, for `--help`.
fn verbs_help() -> String {
    let mut help = String::from(
        "Capabilities (VERB=TARGET, or VERB alone), with examples of their targets:\n",
    );
    for row in Verb::TABLE {
        help.push_str(&format!("  {:<16} {}\n", row.name, row.about));
        if !row.examples.is_empty() {
            help.push_str(&format!("  {:<16}   {}\n", "", row.examples.join("  ")));
        }
    }
    help.push_str(
        "HOST is an address, a CIDR, a name, *.name or * (any address); IPv6 stands in brackets; PORT is a number, a range A-B or *.\n\
         In a path, * and ? stand for characters of a name, ** for folders; @NAME is abstract.\n\
         Nothing is granted by default. A denial wins over every grant.\n",
    );
    help
}

/// The limits and their defaults, for `--help`.
fn limits_help() -> String {
    let mut help = String::from("Limits (--limit NAME=N) and their defaults:\n");
    for row in Limits::TABLE {
        help.push_str(&format!("  {:<22} {:>9}  {}\n", row.name, row.default, row.about));
    }
    help
}
