//! `sandsock policy attack`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use clap::Args;
use sandsock_host::SandsockCtx;
use sandsock_host::observe::{Interest, Observer, Socket};
use sandsock_host::policy::{Decision, Policy, PolicyBuilderExt as _, Verdict};
use serde_json::{Value, json};
use wasmtime::Engine;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx};

use crate::engine::{Loaded, load};
use crate::entry::{self, Entry};
use crate::exit::{Exit, into_anyhow};
use crate::folders::Folder;
use crate::guest::{PolicyArgs, add_host_networks, new_store};
use crate::parts::ATTACKS;
use crate::policy::{BAD_INPUT, NO, YES, answer, answer_json, builder};
use crate::python::PythonRunner;

/// The most bytes that one attack may print.
const OUTPUT_MAX: usize = 1 << 20;

/// The program that tries the same acts in Python.
const PROGRAM: &str = include_str!("../../../tests/attacks/python/attack_policy_denied.py");

/// The name of Python among the interfaces by which an act is tried.
const PYTHON: &str = "Python";

/// What `policy attack` takes.
#[derive(Args)]
pub(crate) struct AttackArgs {
    #[command(flatten)]
    policy: PolicyArgs,

    /// Policy files, as with --policy.
    file: Vec<PathBuf>,

    /// Use the Python runner in this folder.
    #[arg(long, value_name = "DIR")]
    runner: Option<PathBuf>,

    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// An attack, and what came of it.
struct Attack {
    /// Its name.
    name: String,
    /// The act that it tries.
    act: String,
    /// The interfaces by which it tries the act.
    doors: String,
    /// The ways to do it that were not denied.
    ways: Vec<String>,
    /// The rules that allowed something meanwhile, if there are such ways.
    rules: BTreeSet<String>,
}

/// Runs all attacks. The status is 0 if the policy denies every one of them, and 1 if not.
pub(crate) fn attack(args: &AttackArgs) -> Result<ExitCode, Exit> {
    let policy = Arc::new(made(args).map_err(|exit| Exit { status: BAD_INPUT, ..exit })?);
    let component = ATTACKS.find()?;
    let python = python(args)?;
    // This comes before the first thread.
    sandsock_host::netns::enter_empty()
        .context("the attacks need a network namespace of their own, so that nothing leaves it")?;
    let runner = Runner::new(&load(&component, None, true)?, Arc::clone(&policy), Vec::new(), &[])?;
    let mut attacks = Vec::new();
    for line in runner.run(&[])?.0.lines() {
        let mut parts = line.splitn(3, '\t').map(str::to_owned);
        let (Some(name), Some(doors), Some(act)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(anyhow!("{}: it is of another version", component.display()).into());
        };
        let (ways, rules) = runner.run(&[&name])?;
        let ways: Vec<String> = ways.lines().map(str::to_owned).collect();
        let rules = if ways.is_empty() { BTreeSet::new() } else { rules };
        attacks.push(Attack { name, act, doors, ways, rules });
    }
    if attacks.is_empty() {
        return Err(anyhow!("{}: it lists no attack", component.display()).into());
    }
    let untried = match python {
        Ok(python) => {
            try_in_python(&python, policy, &mut attacks)?;
            None
        }
        Err(reason) => Some(reason),
    };
    let open = attacks.iter().filter(|attack| !attack.ways.is_empty()).count();
    let status = if open == 0 { YES } else { NO };
    if args.json {
        let attacks: Vec<Value> = attacks.iter().map(shown).collect();
        let answer = json!({ "refused": status == YES, "attacks": attacks, "untried": untried });
        return answer_json(status, &answer);
    }
    answer(status, &lines(&attacks, open, untried.as_deref()))
}

/// Finds the Python runner. If there is none, returns the reason why Python is not tried.
fn python(args: &AttackArgs) -> Result<Result<PythonRunner, String>, Exit> {
    let found = PythonRunner::find(args.runner.as_deref());
    match found.and_then(|runner| runner.check().map(|()| runner)) {
        Ok(runner) => Ok(Ok(runner)),
        Err(exit) if args.runner.is_some() => Err(exit),
        Err(exit) => Ok(Err(format!("{PYTHON}: {:#}", exit.error))),
    }
}

/// Tries the acts of these attacks in Python.
fn try_in_python(
    python: &PythonRunner,
    policy: Arc<Policy>,
    attacks: &mut [Attack],
) -> Result<(), Exit> {
    let words = ["-I", "-c", PROGRAM];
    let runner =
        Runner::new(&python.load(true, true)?, policy, python.folders(false).into(), &words)?;
    let known = runner.run(&[])?.0;
    let known: BTreeSet<&str> = known.lines().collect();
    let tried: Vec<&mut Attack> =
        attacks.iter_mut().filter(|attack| known.contains(attack.name.as_str())).collect();
    // One instance tries them all. What it finds open is tried again alone, to see the rules.
    let names: Vec<&str> = tried.iter().map(|attack| attack.name.as_str()).collect();
    let found = runner.run(&names)?.0;
    for attack in tried {
        attack.doors = format!("{}, {PYTHON}", attack.doors);
        let ways = found.lines().filter_map(|line| line.split_once('\t'));
        let ways = ways.filter(|(name, _)| *name == attack.name);
        let ways: Vec<String> = ways.map(|(_, way)| format!("{PYTHON}'s {way}")).collect();
        if !ways.is_empty() {
            attack.ways.extend(ways);
            attack.rules.extend(runner.run(&[&attack.name])?.1);
        }
    }
    Ok(())
}

/// Makes the policy.
fn made(args: &AttackArgs) -> Result<Policy, Exit> {
    let mut builder = builder()?;
    args.policy.add_sets(&mut builder)?;
    args.policy.add_rules(&mut builder, &args.file)?;
    add_host_networks(&mut builder)?;
    Ok(builder.build())
}

/// Returns an attack as JSON.
fn shown(Attack { name, act, doors, ways, rules }: &Attack) -> Value {
    let doors: Vec<&str> = doors.split(", ").collect();
    json!({ "name": name, "act": act, "doors": doors, "ways": ways, "rules": rules })
}

/// Returns a line for each attack, the count, and what was not tried.
fn lines(attacks: &[Attack], open: usize, untried: Option<&str>) -> String {
    let mut text = String::new();
    for Attack { name, act, doors, ways, rules } in attacks {
        let result = if ways.is_empty() { "refused" } else { "OPEN" };
        let _ = write!(text, "{result:8} {name:20} {act} ({doors})");
        if let Some(first) = ways.first() {
            let more = match ways.len() - 1 {
                0 => String::new(),
                1 => " and one more way".to_owned(),
                more => format!(" and {more} more ways"),
            };
            let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
            let why = match rules.is_empty() {
                true => "the policy did not deny it".to_owned(),
                false => format!("allowed by {}", rules.join(", ")),
            };
            let _ = write!(text, "\n         by {first}{more}; {why}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{open} of {} attacks are open", attacks.len());
    if let Some(reason) = untried {
        let _ = writeln!(text, "not tried: {reason}");
    }
    text
}

/// Runs a component under one policy, with a new instance each time.
struct Runner {
    entry: Entry,
    engine: Engine,
    policy: Arc<Policy>,
    /// The folders of each instance, which it can only read.
    folders: Vec<Folder>,
    /// The first arguments of each instance.
    words: Vec<String>,
}

impl Runner {
    fn new(
        loaded: &Loaded,
        policy: Arc<Policy>,
        folders: Vec<Folder>,
        words: &[&str],
    ) -> Result<Self, Exit> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Ok(Self {
            entry: Entry::new(loaded)?,
            engine: loaded.engine.clone(),
            policy,
            folders,
            words,
        })
    }

    /// Runs the component with these arguments. Returns its output, and the rules that allowed
    /// something.
    fn run(&self, args: &[&str]) -> Result<(String, BTreeSet<String>), Exit> {
        let output = MemoryOutputPipe::new(OUTPUT_MAX);
        let mut wasi = WasiCtx::builder();
        // Both versions of wasi:sockets are sandsock's.
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        wasi.arg("attacks").args(&self.words).args(args).stdout(output.clone()).inherit_stderr();
        wasi.allow_blocking_current_thread(true);
        for Folder { host, guest, .. } in &self.folders {
            wasi.preopened_dir(host, guest, FsPerms::ReadOnly)
                .map_err(into_anyhow)
                .with_context(|| format!("can't open the folder {}", host.display()))?;
        }
        let allowing = Arc::new(Allowing::default());
        let mut builder = SandsockCtx::builder(Arc::clone(&self.policy));
        builder.wait_on_fiber();
        builder.observe(Arc::clone(&allowing) as Arc<dyn Observer>);
        let sandsock = builder.build().context("can't make the context")?;
        let mut store = new_store(&self.engine, wasi.build(), sandsock);
        let ended = match entry::block_on(self.entry.run(&mut store))? {
            Err(error) if matches!(error.downcast_ref(), Some(I32Exit(0))) => Ok(()),
            ended => {
                ended.map_err(into_anyhow).and_then(|end| end.map_err(|()| anyhow!("it failed")))
            }
        };
        ended.with_context(|| format!("the attack {}", args.first().unwrap_or(&"list")))?;
        drop(store);
        let text = String::from_utf8_lossy(&output.contents()).into_owned();
        let rules = std::mem::take(&mut *allowing.lock());
        Ok((text, rules))
    }
}

/// Remembers the rules that allowed something.
#[derive(Default)]
struct Allowing(Mutex<BTreeSet<String>>);

impl Allowing {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Allowing {
    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn decided(&self, decision: &Decision<'_>, _socket: Option<&Socket>) {
        if let (Verdict::Allow, Some(rule)) = (decision.decision, decision.rule) {
            self.lock().insert(rule.to_owned());
        }
    }
}
