//! `--mode observe` and `--learn`: guests run under a policy that lets everything pass that no rule
//! denies. The command says what would be denied, or writes the policy that would be enough.

use std::collections::HashSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use sandsock_host::observe::{Interest, Observer, Socket};
use sandsock_host::policy::{
    Decision, Generalise, Learner, Policy, PolicyBuilder, PolicyBuilderExt as _, PolicyText,
    Verdict, quoted,
};

use crate::terminal::Terminal;
use crate::text::printable;

/// The most different grants that are said to be missing. A guest can cause any number.
const REPORTS_MAX: usize = 1000;

/// The comment at the start of a file that is made.
const HEAD: &str = "Learnt by sandsock --learn: what a guest did, as rules that allow it.\n\
                    Read it before you use it as --policy.";

/// Options that let guests do what the policy does not allow.
#[derive(Args, Default)]
#[command(next_help_heading = "Learning")]
pub(crate) struct LearnArgs {
    /// With observe, let everything pass that no rule denies, and print each grant that is missing.
    #[arg(
        long,
        value_name = "enforce|observe",
        value_enum,
        hide_possible_values = true,
        default_value = "enforce"
    )]
    mode: Mode,

    /// Let everything pass that no rule denies, and write the smallest policy that allows what the
    /// guest did. If the file is a policy already, add to it.
    #[arg(long, value_name = "FILE")]
    learn: Option<PathBuf>,

    /// Learn HOST:* for several ports of a host, the network of several addresses (/24 or /64), or
    /// FOLDER/* for several UNIX sockets of a folder.
    #[arg(long, value_name = "ports|networks|folders", value_delimiter = ',', requires = "learn")]
    generalise: Vec<Generalise>,

    /// Agree to what --mode observe and --learn let pass, without a question.
    #[arg(long)]
    yes: bool,
}

/// What becomes of a request that the policy does not allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// It is denied.
    #[default]
    Enforce,
    /// It passes, if no rule denies it.
    Observe,
}

impl LearnArgs {
    /// Returns the file that `--learn` writes.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.learn.as_deref()
    }

    /// Returns the option by which guests do what the policy does not allow.
    pub(crate) fn option(&self) -> Option<&'static str> {
        match (&self.learn, self.mode) {
            (Some(_), _) => Some("--learn"),
            (None, Mode::Observe) => Some("--mode observe"),
            (None, Mode::Enforce) => None,
        }
    }

    /// Adds what the file of `--learn` says already, unless it is one of the files of `--policy`.
    pub(crate) fn add_known(
        &self,
        builder: &mut PolicyBuilder,
        policies: &[PathBuf],
    ) -> anyhow::Result<()> {
        let other = |path: &&Path| !policies.iter().any(|policy| policy == path);
        if let Some(path) = self.file().filter(other).filter(|path| path.exists()) {
            builder.file(path).context("--learn adds to the policy in this file")?;
        }
        Ok(())
    }

    /// Makes the policy under which the guest runs. `handed` are the rules about descriptors that
    /// the command hands over, which need no learning.
    ///
    /// # Errors
    /// Nobody agrees that the guest does what the policy does not allow.
    pub(crate) fn policy(
        &self,
        builder: PolicyBuilder,
        handed: &[String],
    ) -> anyhow::Result<Policy> {
        let Some(option) = self.option() else { return Ok(builder.build()) };
        if builder.allows_all() {
            bail!("{option} lets everything pass anyway; leave out --allow-all");
        }
        self.agree(option)?;
        if self.learn.is_none() {
            return Ok(builder.build().observing());
        }
        // Only what the file has already needs no learning.
        let mut known = builder.clone();
        known.forget_grants();
        if let Some(path) = self.file().filter(|path| path.exists()) {
            let mut of_file = Policy::builder();
            of_file.base_directory(std::env::current_dir()?)?;
            of_file.file(path)?;
            for rule in of_file.build().allowed() {
                known.allow(&rule.to_string())?;
            }
        }
        for rule in handed {
            known.allow(rule)?;
        }
        Ok(builder.build().passing(known.build()))
    }

    /// Asks whether the guest shall do what the policy does not allow.
    fn agree(&self, option: &str) -> anyhow::Result<()> {
        let what = "the guest may do everything that no rule denies";
        if self.yes {
            tracing::warn!("{option}: {what}");
            return Ok(());
        }
        let Some(terminal) = Terminal::open() else {
            bail!("{option}: {what}, and there is no terminal to agree to it; add --yes");
        };
        let answer = terminal.ask(&format!("sandsock: {option}: {what}. Go on? [y/N] "));
        match answer.as_deref().map(str::trim) {
            Some("y" | "Y" | "yes") => Ok(()),
            _ => bail!("{option}: nobody agreed; answer y, or add --yes"),
        }
    }

    /// Returns what reports or learns from the decisions under this policy. None if the policy is
    /// enforced.
    pub(crate) fn lesson(&self, policy: &Arc<Policy>) -> anyhow::Result<Option<Arc<Lesson>>> {
        if self.option().is_none() {
            return Ok(None);
        }
        let learning = match &self.learn {
            None => None,
            Some(path) => {
                // An error is reported now, not at the guest's end.
                new_file(path).with_context(|| unwritable(path))?;
                Some(Learning {
                    learner: Mutex::default(),
                    path: path.clone(),
                    generalise: self.generalise.clone(),
                    policy: Arc::clone(policy),
                })
            }
        };
        Ok(Some(Arc::new(Lesson {
            learning,
            reported: Mutex::default(),
            done: AtomicBool::new(false),
        })))
    }
}

fn unwritable(path: &Path) -> String {
    format!("--learn {}: can't write there", path.display())
}

/// Gets the decisions under a policy that only observes.
pub(crate) struct Lesson {
    learning: Option<Learning>,
    /// The missing grants that were printed.
    reported: Mutex<HashSet<String>>,
    done: AtomicBool,
}

/// Learns the policy of a file.
struct Learning {
    learner: Mutex<Learner>,
    path: PathBuf,
    generalise: Vec<Generalise>,
    policy: Arc<Policy>,
}

impl Observer for Lesson {
    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn decided(&self, decision: &Decision<'_>, _socket: Option<&Socket>) {
        if let Some(learning) = &self.learning {
            learning.learner.lock().unwrap_or_else(PoisonError::into_inner).saw(decision);
            return;
        }
        if decision.decision != Verdict::WouldDeny {
            return;
        }
        let line = match decision.grant {
            Some(grant) => quoted(grant).into_owned(),
            None => decision.reason.unwrap_or_default().to_owned(),
        };
        let is_new = {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            reported.len() < REPORTS_MAX && reported.insert(line.clone())
        };
        if is_new {
            say!("would be denied: {}", printable(&line));
        }
    }
}

impl Lesson {
    /// Writes what was learnt. Later calls do nothing.
    pub(crate) fn finish(&self) {
        if self.done.swap(true, Ordering::Relaxed) {
            return;
        }
        match &self.learning {
            Some(learning) => {
                if let Err(error) = learning.write() {
                    say!("{}: {error:#}", unwritable(&learning.path));
                }
            }
            None => {
                let count = self.reported.lock().unwrap_or_else(PoisonError::into_inner).len();
                if count >= REPORTS_MAX {
                    say!(
                        "more grants are missing than the {REPORTS_MAX} above; --audit has them all"
                    );
                }
            }
        }
    }
}

impl Learning {
    fn write(&self) -> anyhow::Result<()> {
        let known = self.policy.enforced().unwrap_or(&self.policy);
        let learner = self.learner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let learnt = learner.learnt(known, &self.generalise);
        let mut text = match fs::read_to_string(&self.path) {
            Ok(text) => PolicyText::parse(&self.path, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => PolicyText::new(HEAD),
            Err(error) => return Err(error.into()),
        };
        let new = text.add(&learnt);
        replace(&self.path, &text.to_string())?;
        match new.as_slice() {
            [] => say!("--learn {}: nothing new", self.path.display()),
            new => say!("--learn {}: {} new", self.path.display(), new.len()),
        }
        for entry in &new {
            say!("learnt: {}", printable(entry));
        }
        for sentence in &learnt.unnamed {
            say!("not learnt: {}", printable(sentence));
        }
        if learnt.beyond > 0 {
            say!(
                "not learnt: {} more acts, because there were too many different ones",
                learnt.beyond
            );
        }
        Ok(())
    }
}

/// Makes a file beside another one, which it can replace.
fn new_file(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
}

/// Replaces the contents of a file at once. A link leads to the file that is replaced. The mode of
/// a file that exists stays; a new one is for its owner alone.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut new = new_file(&path)?;
    new.write_all(text.as_bytes())?;
    let mode = path.metadata().map_or(0o600, |there| there.permissions().mode());
    new.as_file().set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
    new.as_file().sync_all()?;
    new.persist(&path)?;
    Ok(())
}
