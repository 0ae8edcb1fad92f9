//! `sandsock python`: runs a Python program in the runner, which is CPython as a component.

mod code;
mod runner;
mod view;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use rustix::process::{Signal, getpid, kill_process};
use sandsock_host::policy::Limits;

use crate::exit::Exit;
use crate::folders::Folder;
use crate::guest::{GuestArgs, Program};
use crate::run::run_program;
use code::{Code, absolute, guest_name};
use runner::{GUEST_STAND_INS, GUEST_STDLIB, Runner};
pub(crate) use words::with_end_of_options;

/// The name of the interpreter in messages and in the guest.
const NAME: &str = "python3";

/// How long an interrupted program may take to end by itself.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What `python` takes.
#[derive(Args)]
pub(crate) struct PythonArgs {
    /// Run a module as a script, with all arguments after it.
    #[arg(short = 'm', value_name = "MODULE", conflicts_with = "code")]
    module: Option<String>,

    /// Run this code, with all arguments after it.
    #[arg(short = 'c', value_name = "CODE", allow_hyphen_values = true)]
    code: Option<String>,

    /// Import packages from this folder too. They must be of Python alone, without native code.
    #[arg(long, value_name = "DIR")]
    site: Vec<PathBuf>,

    /// Let the program see the platform linux in place of wasi: in sys.platform and os.uname().
    #[arg(long)]
    as_linux: bool,

    /// Interrupt the program after this many seconds as Ctrl-C does, and stop it 2 seconds later.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    max_time: Option<u32>,

    /// Use the Python runner in this folder.
    #[arg(long, value_name = "DIR")]
    runner: Option<PathBuf>,

    #[command(flatten)]
    interpreter: InterpreterArgs,

    /// The script, or - for standard input, and its arguments.
    // Unlike ComponentArgs, an unknown option is an error and not the script.
    #[arg(value_name = "SCRIPT", trailing_var_arg = true)]
    words: Vec<String>,

    // This must be last, because its heading applies to every option after it.
    #[command(flatten)]
    guest: GuestArgs,
}

/// The options of `python3` that this command has too.
#[derive(Args)]
struct InterpreterArgs {
    /// Ignore the variables PYTHON*.
    #[arg(short = 'E')]
    ignore_environment: bool,

    /// Ignore the variables PYTHON*, and don't import from the folder of the script.
    #[arg(short = 'I')]
    isolated: bool,

    /// Don't import from the folder of the script.
    #[arg(short = 'P')]
    safe_path: bool,

    /// Do nothing: a program never writes bytecode here.
    #[arg(short = 'B')]
    dont_write_bytecode: bool,

    /// Don't buffer standard output and standard error.
    #[arg(short = 'u')]
    unbuffered: bool,

    /// Show or hide warnings, for example error or ignore::DeprecationWarning.
    #[arg(short = 'W', value_name = "FILTER")]
    warnings: Vec<String>,

    /// Set an option of the interpreter's own, which the program finds in sys._xoptions.
    #[arg(short = 'X', value_name = "NAME[=VALUE]")]
    implementation: Vec<String>,
}

impl InterpreterArgs {
    /// Returns the options as `python3` would get them.
    fn words(&self) -> Vec<String> {
        let letters = [
            ("-E", self.ignore_environment),
            ("-I", self.isolated),
            ("-P", self.safe_path),
            ("-B", self.dont_write_bytecode),
            ("-u", self.unbuffered),
        ];
        let letters =
            letters.iter().filter(|(_, set)| *set).map(|(letter, _)| (*letter).to_owned());
        let warnings = self.warnings.iter().map(|value| format!("-W{value}"));
        let implementation = self.implementation.iter().map(|value| format!("-X{value}"));
        letters.chain(warnings).chain(implementation).collect()
    }
}

/// What runs.
enum What<'a> {
    Module(&'a str),
    Code(&'a str),
    Script(&'a str),
    StandardInput,
}

impl PythonArgs {
    /// Returns what runs, and its arguments.
    fn what(&self) -> (What<'_>, &[String]) {
        if let Some(module) = &self.module {
            return (What::Module(module), &self.words);
        }
        if let Some(code) = &self.code {
            return (What::Code(code), &self.words);
        }
        match self.words.split_first() {
            None => (What::StandardInput, &[]),
            Some((word, rest)) if word == "-" => (What::StandardInput, rest),
            Some((word, rest)) => (What::Script(word), rest),
        }
    }

    /// Returns the program, with its folders and its arguments for the runner.
    fn program(&self, runner: &Runner) -> Result<Program, Exit> {
        runner.check()?;
        let here = std::env::current_dir().context("the working directory is gone")?;
        let (what, args) = self.what();
        let own_folder = !self.interpreter.isolated && !self.interpreter.safe_path;
        let script = if let What::Script(script) = what { Some(script) } else { None };
        let code = Code::new(script, own_folder.then_some(&here), &self.site)?;

        let mut words = vec![NAME.to_owned()];
        words.extend(self.interpreter.words());
        words.push(format!("-Xsandsock-cwd={}", guest_name(&here)?));
        for site in &self.site {
            words.push(format!("-Xsandsock-site={}", guest_name(&real(site))?));
        }
        if let Some(script) = &code.script {
            words.push(format!("-Xsandsock-file={script}"));
        }
        if self.as_linux {
            words.push("-Xlinux".to_owned());
        }
        words.extend(match what {
            What::Module(module) => ["-m".to_owned(), module.to_owned()],
            What::Code(code) => ["-c".to_owned(), code.to_owned()],
            What::Script(script) => ["--".to_owned(), script.to_owned()],
            What::StandardInput => ["--".to_owned(), "-".to_owned()],
        });
        words.extend_from_slice(args);

        let given = Folder::parse_all(&self.guest.dir)?;
        let given = given.into_iter().map(|folder| absolute(folder, &here)).collect();
        let mut folders = code.join(given)?;
        for own in runner.folders(false) {
            if let Some(other) = folders.iter().find(|other| other.guest == own.guest) {
                return Err(anyhow!(
                    "{other}: the runner has its own modules in {GUEST_STDLIB} and {GUEST_STAND_INS}; give the folder another name"
                )
                .into());
            }
            folders.push(own);
        }
        let mut trusted = code.trusted;
        trusted.extend(runner.trusted());
        Ok(Program { args: words, folders, trusted })
    }
}

/// Returns the real path of a folder.
fn real(folder: &Path) -> PathBuf {
    crate::path_walk::PathWalk::of(folder).end
}

/// Runs a Python program to its end. Its exit status is the command's.
pub(crate) fn python(args: &PythonArgs, verbose: u8) -> Result<ExitCode, Exit> {
    let runner = Runner::find(args.runner.as_deref())?;
    let load = |limits: &Limits| {
        let loaded = runner.load(limits.threads > 0)?;
        // The time begins when the program does.
        if let Some(seconds) = args.max_time {
            interrupt_after(seconds);
        }
        Ok(loaded)
    };
    run_program(&args.guest, Path::new(NAME), verbose, || args.program(&runner), load)
}

/// Interrupts the program when its time is over, by the signals of two Ctrl-C.
fn interrupt_after(seconds: u32) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds.into()));
        say!("the program is interrupted, because the {seconds} seconds of --max-time are over");
        for _ in 0..2 {
            // A signal to this process can't fail.
            let _ = kill_process(getpid(), Signal::INT);
            std::thread::sleep(LAST_WORDS);
        }
    });
}

/// What `python-setup` takes.
#[derive(Args)]
pub(crate) struct SetupArgs {
    /// The runner's folder.
    folder: PathBuf,
}

/// Compiles the runner, and the bytecode of its modules, which a program can't write. Only modules
/// of the runner itself run meanwhile.
pub(crate) fn set_up(args: &SetupArgs) -> Result<ExitCode, Exit> {
    let runner = Runner::find(Some(&args.folder))?;
    // The build removes the mark together with the bytecode.
    if runner.check().is_ok() {
        runner.load(true)?;
        return Ok(ExitCode::SUCCESS);
    }
    let program = Program {
        args: [NAME, "-Xsandsock-compile"].map(str::to_owned).to_vec(),
        folders: runner.folders(true).to_vec(),
        trusted: Vec::new(),
    };
    let status = run_program(
        &GuestArgs::default(),
        Path::new(NAME),
        0,
        || Ok(program),
        |_| runner.load(true),
    )?;
    if status == ExitCode::SUCCESS {
        runner.mark()?;
    }
    Ok(status)
}
