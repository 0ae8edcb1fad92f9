//! `--ask`: a question at the terminal before a call is denied because a grant is missing.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use sandsock_host::Granted;
use sandsock_host::observe::MissingGrant;
use sandsock_host::policy::{Ceiling, PolicyText};
use wasmtime_wasi::WasiCtxBuilder;

use crate::guest::GuestArgs;
use crate::harden::beyond;
use crate::learn::replace;
use crate::output::SharedOutput;
use crate::terminal::{GuestInput, Terminal};
use crate::text::printable;

/// How long a question waits for what the guest has written.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The most questions of a run, so that a guest can't tire the person who answers.
const QUESTIONS_MAX: usize = 20;

/// The option to ask for missing grants.
#[derive(Args, Default)]
pub(crate) struct AskArgs {
    /// Ask at the terminal before a call is denied because a grant is missing. Without a terminal
    /// the call is denied.
    #[arg(long, conflicts_with_all = ["learn", "allow_all"])]
    ask: bool,
}

impl AskArgs {
    /// Returns whether missing grants are asked for.
    pub(crate) fn asks(&self) -> bool {
        self.ask
    }

    /// Returns what asks for the grants of one guest. None if nobody is to be asked, or there is no
    /// terminal. It starts threads. No grant goes beyond the ceiling.
    pub(crate) fn asker(
        &self,
        args: &GuestArgs,
        ceiling: Option<Ceiling>,
    ) -> anyhow::Result<Option<Asker>> {
        let Some(mut terminal) = self.terminal(args)? else { return Ok(None) };
        terminal.watch_interrupts()?;
        Ok(Some(Asker::new(terminal, args, Outputs::new()?, ceiling)))
    }

    /// As [`asker`](Self::asker), for all instances of `serve`, which write to these outputs. The
    /// signals that end the command end the questions too.
    pub(crate) fn asker_of_all(
        &self,
        args: &GuestArgs,
        stdout: SharedOutput,
        stderr: SharedOutput,
        ceiling: Option<Ceiling>,
    ) -> anyhow::Result<Option<Asker>> {
        let Some(mut terminal) = self.terminal(args)? else { return Ok(None) };
        terminal.watch_end()?;
        Ok(Some(Asker::new(terminal, args, Outputs(stdout, stderr), ceiling)))
    }

    /// Opens the terminal at which grants are asked for.
    fn terminal(&self, args: &GuestArgs) -> anyhow::Result<Option<Terminal>> {
        if !self.ask {
            return Ok(None);
        }
        if let Some(option) = args.learn.option() {
            bail!("--ask: with {option} nothing is denied that could be asked for; leave one out");
        }
        let terminal = Terminal::open();
        if terminal.is_none() {
            say!("--ask: there is no terminal, so what is not granted is denied");
        }
        Ok(terminal)
    }
}

/// Asks for missing grants.
pub(crate) struct Asker {
    terminal: Terminal,
    /// The policy file to which grants can be added.
    file: Option<PathBuf>,
    pub(crate) outputs: Outputs,
    /// What the command has kept for itself. None if it has given up nothing.
    ceiling: Option<Ceiling>,
    /// The grants that were asked for, and whether each was granted for this run.
    asked: Mutex<HashMap<String, bool>>,
}

impl Asker {
    fn new(
        terminal: Terminal,
        args: &GuestArgs,
        outputs: Outputs,
        ceiling: Option<Ceiling>,
    ) -> Self {
        let file = match args.policy_files() {
            [file] => Some(file.clone()),
            _ => None,
        };
        Self { terminal, file, outputs, ceiling, asked: Mutex::default() }
    }

    /// Asks for a grant, unless it was asked for before. Then it is granted if the answer was for this
    /// run: another instance got it.
    pub(crate) fn ask(&self, missing: &MissingGrant<'_>) -> Granted {
        let Some(grant) = missing.grant else { return Granted::No };
        // It is held until the answer, so that another instance with the same question gets it too.
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(for_this_run) = asked.get(grant) {
            return if *for_this_run { Granted::ForThisRun } else { Granted::No };
        }
        if asked.len() >= QUESTIONS_MAX {
            return Granted::No;
        }
        let granted = self.ask_once(grant, missing.reason);
        asked.insert(grant.to_owned(), granted == Granted::ForThisRun);
        granted
    }

    fn ask_once(&self, grant: &str, reason: &str) -> Granted {
        let ceiling = self.ceiling.as_ref();
        if let Some(sentence) = ceiling.and_then(|ceiling| beyond(ceiling, grant)) {
            say!("{sentence}");
            return Granted::No;
        }
        // What the guest has written comes before the question.
        self.outputs.finish(Instant::now() + LAST_WORDS);
        let answer = self.terminal.ask(&self.question(grant, reason));
        match answer.as_deref().map(str::trim) {
            Some("o" | "once" | "y" | "yes") => Granted::Once,
            Some("r" | "run") => Granted::ForThisRun,
            Some("w" | "write") => match &self.file {
                Some(file) => {
                    if let Err(error) = add_to_file(file, grant) {
                        say!("{}: can't add {grant}: {error:#}", file.display());
                    }
                    Granted::ForThisRun
                }
                None => Granted::No,
            },
            _ => Granted::No,
        }
    }

    fn question(&self, grant: &str, reason: &str) -> String {
        // The rest of the sentence says which option would grant it.
        let what = reason.split_once("; ").map_or(reason, |(what, _)| what);
        let mut question = format!(
            "sandsock: {}.\nAllow {}?\n  o  once, for this call\n  r  for this run\n",
            printable(what),
            printable(grant)
        );
        if let Some(file) = &self.file {
            let file = printable(&file.display().to_string());
            question.push_str(&format!("  w  from now on: write it to {file}\n"));
        }
        question.push_str("  n  no\nYour answer [n]: ");
        question
    }
}

/// Adds a rule to a policy file.
fn add_to_file(file: &Path, grant: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file)?;
    let mut policy = PolicyText::parse(file, &text)?;
    policy.allow(grant, "allowed at a question of --ask");
    Ok(replace(file, &policy.to_string())?)
}

/// The standard output and error of a guest whose missing grants are asked for.
#[derive(Clone)]
pub(crate) struct Outputs(SharedOutput, SharedOutput);

impl Outputs {
    fn new() -> anyhow::Result<Self> {
        let stdout = SharedOutput::guarded(io::stdout().as_fd());
        let stdout = stdout.context("can't write to standard output")?;
        let stderr = SharedOutput::guarded(io::stderr().as_fd());
        let stderr = stderr.context("can't write to standard error")?;
        Ok(Self(stdout, stderr))
    }

    /// Gives the guest these outputs, and standard input if no question is open.
    pub(crate) fn give(&self, wasi: &mut WasiCtxBuilder) -> anyhow::Result<()> {
        wasi.stdout(self.0.clone()).stderr(self.1.clone());
        if let Some(input) = GuestInput::new()? {
            wasi.stdin(input);
        }
        Ok(())
    }

    /// Waits until what the guest wrote is written, at most until `until`.
    pub(crate) fn finish(&self, until: Instant) {
        // The guest has got the error.
        let _ = self.0.drain(until);
        let _ = self.1.drain(until);
    }
}
