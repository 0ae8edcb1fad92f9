//! What to tell of guests: the options that `run` and its like share.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use clap::Args;
use sandsock_host::SandsockCtxBuilder;
use sandsock_host::observe::{Audit, Observer, Pcap, Stats, Trace, create};

/// Options to look on.
#[derive(Args)]
#[command(next_help_heading = "Looking on")]
pub(super) struct ObserveArgs {
    /// Print every call as strace would, on standard error or to a file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    trace: Option<Option<PathBuf>>,

    /// Write what is sent and received to a file that Wireshark opens (pcapng).
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,

    /// Print counters by descriptor and in total at the end, on standard error: a table, a line of JSON, or JSON to a file.
    #[arg(long, value_name = "table|json|json:FILE", num_args = 0..=1, require_equals = true, default_missing_value = "table")]
    stats: Option<StatsForm>,

    /// Write each decision of the policy to a file, one line of JSON each.
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
}

/// How statistics are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StatsForm {
    Table,
    Json,
    JsonTo(PathBuf),
}

impl FromStr for StatsForm {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "table" => Ok(Self::Table),
            None if text == "json" => Ok(Self::Json),
            Some(("json", file)) if !file.is_empty() => Ok(Self::JsonTo(file.into())),
            _ => Err("write --stats, --stats=json or --stats=json:FILE"),
        }
    }
}

/// How many instances there are to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instances {
    /// One.
    One,
    /// Many: each line of a trace says which one it is of.
    Many,
}

/// The observers that were asked for, their files open.
#[derive(Clone)]
pub(super) struct Observers {
    observers: Vec<Arc<dyn Observer>>,
    stats: Option<(Arc<Stats>, StatsForm)>,
    finished: Arc<AtomicBool>,
    instances: Arc<AtomicU64>,
}

impl ObserveArgs {
    /// Refuses files that can't be meant, before anything is opened: the component, where an option's FILE was forgotten, and one
    /// file for two.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let stats = match &self.stats {
            Some(StatsForm::JsonTo(path)) => Some(path),
            _ => None,
        };
        let named = [
            ("--trace", self.trace.as_ref().and_then(Option::as_ref)),
            ("--pcap", self.pcap.as_ref()),
            ("--audit", self.audit.as_ref()),
            ("--stats", stats),
        ];
        let named: Vec<_> = named.into_iter().filter_map(|(option, path)| Some((option, path?))).collect();
        for (at, (option, path)) in named.iter().enumerate() {
            // A device or a pipe takes what it gets.
            if path.metadata().is_ok_and(|there| !there.is_file()) {
                continue;
            }
            if let Some((other, _)) = named[..at].iter().find(|(_, other)| other == path) {
                bail!("{option} {}: {other} writes there already; give each a file of its own", path.display());
            }
            if is_wasm(path) {
                bail!(
                    "{option} {}: this is a WebAssembly file, and it is not overwritten; {option} takes the name of a file to write",
                    path.display()
                );
            }
        }
        Ok(())
    }

    /// An option whose value was left out, which stands behind a `=` alone.
    pub(super) fn without_value(&self) -> Option<&'static str> {
        match (&self.trace, &self.stats) {
            (Some(None), _) => Some("--trace"),
            (_, Some(StatsForm::Table)) => Some("--stats"),
            _ => None,
        }
    }

    /// Opens what is to be written. `verbose` is how often -v was given: twice is a trace.
    pub(super) fn open(&self, verbose: u8, instances: Instances) -> anyhow::Result<Observers> {
        let mut observers: Vec<Arc<dyn Observer>> = Vec::new();
        let numbered = instances == Instances::Many;
        match &self.trace {
            Some(Some(path)) => observers.push(Arc::new(Trace::new(file("--trace", path)?).numbered(numbered))),
            Some(None) => observers.push(Arc::new(Trace::new(std::io::stderr()).numbered(numbered))),
            None if verbose > 1 => observers.push(Arc::new(Trace::new(std::io::stderr()).numbered(numbered))),
            None => {}
        }
        if let Some(path) = &self.pcap {
            observers.push(Arc::new(Pcap::new(file("--pcap", path)?)));
        }
        if let Some(path) = &self.audit {
            observers.push(Arc::new(Audit::new(file("--audit", path)?)));
        }
        let stats = self.stats.clone().map(|form| (Arc::new(Stats::new()), form));
        if let Some((stats, form)) = &stats {
            if let StatsForm::JsonTo(path) = form {
                // Told now, and not at the guest's end.
                file("--stats", path)?;
            }
            observers.push(Arc::clone(stats) as _);
        }
        Ok(Observers { observers, stats, finished: Arc::default(), instances: Arc::default() })
    }
}

/// Whether a file begins as WebAssembly's do.
fn is_wasm(path: &Path) -> bool {
    let mut magic = [0; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\0asm"
}

fn file(option: &str, path: &Path) -> anyhow::Result<std::fs::File> {
    create(path).with_context(|| format!("{option} {}: can't write there", path.display()))
}

impl Observers {
    /// Has them told of the context that this builder makes: the next instance.
    pub(super) fn attach(&self, builder: &mut SandsockCtxBuilder) {
        builder.instance(self.instances.fetch_add(1, Ordering::Relaxed) + 1);
        for observer in &self.observers {
            builder.observe(Arc::clone(observer));
        }
    }

    /// Prints what was counted, once: at the end, or where the command is stopped.
    pub(super) fn finish(&self) {
        let Some((stats, form)) = &self.stats else { return };
        if self.finished.swap(true, Ordering::Relaxed) {
            return;
        }
        match form {
            // As with `say`, whoever has closed standard error does not want it.
            StatsForm::Table => drop(write!(std::io::stderr(), "{}", stats.table())),
            StatsForm::Json => drop(writeln!(std::io::stderr(), "{}", stats.json())),
            StatsForm::JsonTo(path) => {
                let written = create(path).and_then(|mut file| writeln!(file, "{}", stats.json()));
                if let Err(error) = written {
                    say!("--stats {}: {error}", path.display());
                }
            }
        }
    }
}
