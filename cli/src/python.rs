//! `sandsock python`: runs a Python program in the runner, which is CPython as a component.

mod bytecode;
mod code;
mod runner;
mod view;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{ArgAction, Args};
use rustix::process::{Signal, getpid, kill_process};
use sandsock_host::policy::Limits;

use crate::ask::AskArgs;
use crate::exit::Exit;
use crate::folders::Folder;
use crate::guest::{GuestArgs, Program};
use crate::run::run_program;
use crate::serve::{InstancesArgs, Serving, serve_program};
use bytecode::GUEST_BYTECODE;
use code::{Code, absolute, guest_name};
pub(crate) use runner::Runner as PythonRunner;
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
    #[arg(long, value_name = "SECONDS", conflicts_with = "instances", value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    max_time: Option<u32>,

    /// Serve this address as `sandsock serve` does: run the program once for each connection, which
    /// is its socket.socket(fileno=0).
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    #[command(flatten)]
    instances: InstancesArgs,

    /// Use the Python runner in this folder.
    #[arg(long, value_name = "DIR")]
    runner: Option<PathBuf>,

    #[command(flatten)]
    interpreter: InterpreterArgs,

    #[command(flatten)]
    ask: AskArgs,

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
    /// Warn of comparisons of bytes with str or int. With -bb they are errors.
    #[arg(short = 'b', action = ArgAction::Count)]
    bytes_warning: u8,

    /// Do nothing: a program never writes bytecode here.
    #[arg(short = 'B')]
    dont_write_bytecode: bool,

    /// Set sys.flags.debug.
    #[arg(short = 'd', action = ArgAction::Count)]
    debug: u8,

    /// Ignore the variables PYTHON*.
    #[arg(short = 'E')]
    ignore_environment: bool,

    /// Read statements from standard input after the program.
    #[arg(short = 'i')]
    interactive: bool,

    /// Ignore the variables PYTHON*, and don't import from the folder of the script.
    #[arg(short = 'I')]
    isolated: bool,

    /// Leave out asserts, and with -OO docstrings too.
    #[arg(short = 'O', action = ArgAction::Count)]
    optimize: u8,

    /// Don't import from the folder of the script.
    #[arg(short = 'P')]
    safe_path: bool,

    /// Print no version when statements are read from a terminal.
    #[arg(short = 'q')]
    quiet: bool,

    /// Set sys.flags.no_user_site. A program has no folder of the user's packages.
    #[arg(short = 's')]
    no_user_site: bool,

    /// Don't import from the folders of --site, and leave out exit, quit and help.
    #[arg(short = 'S')]
    no_site: bool,

    /// Don't buffer standard output and standard error.
    #[arg(short = 'u')]
    unbuffered: bool,

    /// Print the interpreter's version. With -VV, print how it was built too.
    #[arg(short = 'V', long = "version", action = ArgAction::Count)]
    version: u8,

    /// Show or hide warnings, for example error or ignore::DeprecationWarning.
    #[arg(short = 'W', value_name = "FILTER")]
    warnings: Vec<String>,

    /// Skip the first line of the script.
    #[arg(short = 'x')]
    skip_first_line: bool,

    /// Set an option of the interpreter's own, which the program finds in sys._xoptions.
    #[arg(short = 'X', value_name = "NAME[=VALUE]")]
    implementation: Vec<String>,
}

impl InterpreterArgs {
    /// Returns the options as `python3` would get them.
    fn words(&self) -> Vec<String> {
        let letters = [
            ('b', self.bytes_warning),
            ('B', self.dont_write_bytecode.into()),
            ('d', self.debug),
            ('E', self.ignore_environment.into()),
            ('i', self.interactive.into()),
            ('I', self.isolated.into()),
            ('O', self.optimize),
            ('P', self.safe_path.into()),
            ('q', self.quiet.into()),
            ('s', self.no_user_site.into()),
            ('S', self.no_site.into()),
            ('u', self.unbuffered.into()),
            ('V', self.version),
            ('x', self.skip_first_line.into()),
        ];
        let letters = letters.into_iter().flat_map(|(letter, count)| {
            std::iter::repeat_n(format!("-{letter}"), usize::from(count))
        });
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
        let InterpreterArgs { isolated, safe_path, version, .. } = self.interpreter;
        let own_folder = !isolated && !safe_path && version == 0;
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
        if let Some(source) = &code.source {
            words.push(format!("-Xsandsock-source={source}"));
        }
        let compiled = bytecode::of(runner, &code);
        if !compiled.is_empty() {
            words.push("-Xsandsock-bytecode".to_owned());
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
        for own in runner.folders(false).into_iter().chain(compiled) {
            if let Some(other) = folders.iter().find(|other| other.guest == own.guest) {
                return Err(anyhow!(
                    "{other}: the runner has its own modules in {GUEST_STDLIB}, {GUEST_STAND_INS} and {GUEST_BYTECODE}; give the folder \
                     another name"
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

/// Runs a Python program to its end, or serves with it. The exit status of a single run is the
/// command's.
pub(crate) fn python(args: &PythonArgs, verbose: u8) -> Result<ExitCode, Exit> {
    let runner = Runner::find(args.runner.as_deref())?;
    let name = Path::new(NAME);
    let PythonArgs { guest, instances, max_time, .. } = args;
    let load = |limits: &Limits| runner.load(limits.threads > 0, guest.harden.no_harden);
    if let Some(listen) = &args.listen {
        let ask = &args.ask;
        let serving = Serving { listen, max_time: *max_time, instances, ask, guest, name };
        return serve_program(&serving, verbose, || args.program(&runner), load);
    }
    let over = Arc::new(AtomicBool::new(false));
    let begin = || {
        // The time begins when the program does.
        if let Some(seconds) = *max_time {
            interrupt_after(seconds, Arc::clone(&over));
        }
    };
    let status =
        run_program(guest, &args.ask, name, verbose, || args.program(&runner), load, begin)?;
    // A program can handle the interrupt, and a thread of it can go on.
    Ok(if over.load(Ordering::Relaxed) { ExitCode::from(TIME_OVER) } else { status })
}

/// The status of a program whose time was over, as if Ctrl-C had ended it.
const TIME_OVER: u8 = 130;

/// Interrupts the program when its time is over, by the signals of two Ctrl-C. Sets `over` before.
fn interrupt_after(seconds: u32, over: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds.into()));
        over.store(true, Ordering::Relaxed);
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

    /// Compile it into its folder, for every processor of this architecture.
    #[arg(long)]
    portable: bool,
}

/// Compiles the runner, and the bytecode of its modules, which a program can't write. Only modules
/// of the runner itself run meanwhile.
pub(crate) fn set_up(args: &SetupArgs) -> Result<ExitCode, Exit> {
    let runner = Runner::find(Some(&args.folder))?;
    if args.portable {
        runner.compile_portable()?;
    }
    // The build removes the mark together with the bytecode.
    if runner.check().is_ok() {
        runner.load(true, false)?;
        return Ok(ExitCode::SUCCESS);
    }
    let program = Program {
        args: [NAME, "-Xsandsock-compile"].map(str::to_owned).to_vec(),
        folders: runner.folders(true).to_vec(),
        trusted: Vec::new(),
    };
    // The mark is written afterwards, and only the runner's own modules run.
    let status = compile(&runner, program, true)?;
    if status == ExitCode::SUCCESS {
        runner.mark()?;
    }
    Ok(status)
}

/// Runs an instance that compiles modules. It has no grants. With `no_harden`, the command does not
/// restrict itself.
fn compile(runner: &Runner, program: Program, no_harden: bool) -> Result<ExitCode, Exit> {
    let load = |_: &Limits| runner.load(true, false);
    let (mut guest, ask) = (GuestArgs::default(), AskArgs::default());
    guest.harden.no_harden = no_harden;
    run_program(&guest, &ask, Path::new(NAME), 0, || Ok(program), load, || ())
}

/// What `python-compile` takes.
#[derive(Args)]
pub(crate) struct CompileArgs {
    /// The runner's folder.
    runner: PathBuf,
    /// The folder of modules.
    folder: PathBuf,
    /// The program's name of the folder of modules.
    guest: String,
    /// The folder for their bytecode.
    bytecode: PathBuf,
}

/// Compiles the modules whose names are on standard input. `sandsock python` starts this.
pub(crate) fn compile_modules(args: &CompileArgs) -> Result<ExitCode, Exit> {
    let runner = Runner::find(Some(&args.runner))?;
    runner.check()?;
    let mut folders = runner.folders(false).to_vec();
    folders.push(Folder { host: args.folder.clone(), guest: args.guest.clone(), writable: false });
    folders.push(bytecode::folder(&args.bytecode, &args.guest, true));
    let args = [NAME, "-Xsandsock-bytecode", "-Xsandsock-compile=listed"].map(str::to_owned);
    compile(&runner, Program { args: args.to_vec(), folders, trusted: Vec::new() }, false)
}
