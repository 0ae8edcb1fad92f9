//! `--trace`, `--pcap`, `--stats` and `--audit`, the options to observe guests.

use std::fs::File;
use std::io::{Read as _, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use sandsock_host::SandsockCtxBuilder;
use sandsock_host::observe::{Audit, Observer, Pcap, Stats, Trace, create};

use crate::folders::TrustedPath;
use crate::learn::Lesson;
use crate::output::SharedOutput;
use crate::stderr::Stderr;

/// Options to observe the guest.
#[derive(Args, Default)]
#[command(next_help_heading = "Observing")]
pub(crate) struct ObserveArgs {
    /// Print every call as strace would, on standard error or to a file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    trace: Option<Option<PathBuf>>,

    /// Write what is sent and received to a file that Wireshark opens (pcapng).
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,

    /// Print counters by descriptor and in total at the end, on standard error: a table, a line of
    /// JSON, or JSON to a file.
    #[arg(long, value_name = "table|json|json:FILE", num_args = 0..=1, require_equals = true, default_missing_value = "table")]
    stats: Option<StatsForm>,

    /// Write each decision of the policy to a file, one line of JSON each.
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,

    /// Write only denials to the file of --audit, and what would be denied.
    #[arg(long, requires = "audit")]
    audit_denied: bool,
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

/// How many instances the observers have to distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instances {
    /// One.
    One,
    /// Many. Each line of a trace begins with its instance's number.
    Many,
}

/// The observers of the options. Their files are open.
#[derive(Clone)]
pub(crate) struct Observers(Arc<Opened>);

struct Opened {
    observers: Vec<Arc<dyn Observer>>,
    stats: Option<(Arc<Stats>, StatsForm)>,
    /// The file of `--stats=json:FILE`.
    stats_to: Mutex<Option<File>>,
    lesson: Option<Arc<Lesson>>,
    finished: AtomicBool,
    instances: AtomicU64,
}

/// Opens the file of an option. The flag says that it is a regular file, which needs no reader.
fn open(option: &str, path: &Path) -> anyhow::Result<(File, bool)> {
    let fifo = path.metadata().is_ok_and(|there| there.file_type().is_fifo());
    // man 7 fifo: on Linux, opening both ends does not wait for a reader, and no EPIPE follows when
    // a reader leaves.
    let file = if fifo { File::options().read(true).write(true).open(path) } else { create(path) };
    let file = file.with_context(|| format!("{option} {}: can't write there", path.display()))?;
    let regular = file.metadata().is_ok_and(|there| there.is_file());
    Ok((file, regular))
}

impl ObserveArgs {
    /// Returns the options that name a file to write.
    fn named(&self) -> Vec<(&'static str, &PathBuf)> {
        let stats = match &self.stats {
            Some(StatsForm::JsonTo(path)) => Some(path),
            _ => None,
        };
        let all = [
            ("--trace", self.trace.as_ref().and_then(Option::as_ref)),
            ("--pcap", self.pcap.as_ref()),
            ("--audit", self.audit.as_ref()),
            ("--stats", stats),
        ];
        all.into_iter().filter_map(|(option, path)| Some((option, path?))).collect()
    }

    /// Refuses likely mistakes, before anything is opened: a component in place of a forgotten
    /// FILE, and one file for two options.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let named = self.named();
        for (at, (option, path)) in named.iter().enumerate() {
            // Several options may share a device or a pipe.
            if path.metadata().is_ok_and(|there| !there.is_file()) {
                continue;
            }
            if let Some((other, _)) = named[..at].iter().find(|(_, other)| other == path) {
                bail!(
                    "{option} {}: {other} writes to the same file; give each option a file of its own",
                    path.display()
                );
            }
            if is_wasm(path) {
                bail!(
                    "{option} {}: this is a WebAssembly file, and the command does not overwrite it; {option} takes the name of a file to write",
                    path.display()
                );
            }
        }
        Ok(())
    }

    /// Returns an option that was given without its value, which must follow a `=`.
    pub(crate) fn without_value(&self) -> Option<&'static str> {
        match (&self.trace, &self.stats) {
            (Some(None), _) => Some("--trace"),
            (_, Some(StatsForm::Table)) => Some("--stats"),
            _ => None,
        }
    }

    /// Returns the files that observers write, for [`folders::open`](super::folders::open).
    pub(crate) fn files(&self) -> Vec<TrustedPath> {
        let own = |(option, path): (&str, &PathBuf)| {
            TrustedPath::file(path, format!("which {option} writes"))
        };
        let mut files: Vec<TrustedPath> = self.named().into_iter().map(own).collect();
        // Standard error may be a file too.
        let stderr = Path::new("/proc/self/fd/2");
        let option = self
            .without_value()
            .or(matches!(self.stats, Some(StatsForm::Json)).then_some("--stats"));
        if let Some(option) =
            option.filter(|_| stderr.metadata().is_ok_and(|there| there.is_file()))
        {
            files.push(TrustedPath::file(
                stderr,
                format!("standard error, which {option} writes to"),
            ));
        }
        files
    }

    /// Opens the files. `verbose` is how often -v was given; twice asks for a trace.
    /// `lesson` gets the decisions under a policy that only observes. `restrict` is called when all
    /// files are open, and before an observer starts a thread.
    pub(crate) fn open(
        &self,
        verbose: u8,
        instances: Instances,
        lesson: Option<Arc<Lesson>>,
        restrict: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Observers> {
        let file = |option, path: Option<&PathBuf>| path.map(|path| open(option, path)).transpose();
        let trace = file("--trace", self.trace.as_ref().and_then(Option::as_ref))?;
        let pcap = file("--pcap", self.pcap.as_ref())?;
        let audit = file("--audit", self.audit.as_ref())?;
        // An error is reported now, not at the guest's end.
        let stats_to = match &self.stats {
            Some(StatsForm::JsonTo(path)) => Some(open("--stats", path)?.0),
            _ => None,
        };
        restrict()?;
        let mut observers: Vec<Arc<dyn Observer>> = Vec::new();
        let numbered = instances == Instances::Many;
        // Several guests share one text, and none of them waits for another one's lines.
        let lossless = !numbered;
        match trace {
            Some((to, _)) => {
                observers.push(Arc::new(Trace::new(to).numbered(numbered).lossless(lossless)));
            }
            None if self.trace.is_some() || verbose > 1 => {
                observers.push(Arc::new(Trace::new(Stderr).numbered(numbered).lossless(lossless)));
            }
            None => {}
        }
        if let Some((to, regular)) = pcap {
            observers.push(Arc::new(Pcap::new(to).lossless(lossless || regular)));
        }
        if let Some((to, regular)) = audit {
            let audit = Audit::new(to).lossless(lossless || regular);
            observers.push(Arc::new(audit.denials_alone(self.audit_denied)));
        }
        let stats = self.stats.clone().map(|form| (Arc::new(Stats::new()), form));
        if let Some((stats, _)) = &stats {
            observers.push(Arc::clone(stats) as _);
        }
        observers.extend(lesson.clone().map(|lesson| lesson as Arc<dyn Observer>));
        let (finished, instances) = (AtomicBool::new(false), AtomicU64::new(0));
        Ok(Observers(Arc::new(Opened {
            observers,
            stats,
            stats_to: Mutex::new(stats_to),
            lesson,
            finished,
            instances,
        })))
    }
}

/// Returns whether a file is WebAssembly.
fn is_wasm(path: &Path) -> bool {
    let mut magic = [0; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"\0asm"
}

impl Observers {
    /// Lets the observers observe the context that this builder makes, which is the next instance.
    pub(crate) fn attach(&self, builder: &mut SandsockCtxBuilder) {
        builder.instance(self.0.instances.fetch_add(1, Ordering::Relaxed) + 1);
        for observer in &self.0.observers {
            builder.observe(Arc::clone(observer));
        }
    }

    /// Flushes the observers and prints the statistics. Later calls do nothing.
    pub(crate) fn finish(&self, until: Instant) {
        if self.0.finished.swap(true, Ordering::Relaxed) {
            return;
        }
        self.0.observers.iter().for_each(|observer| observer.flush());
        if let Some(lesson) = &self.0.lesson {
            lesson.finish();
        }
        if let Some((stats, form)) = &self.0.stats {
            match form {
                // As with `say`, a closed standard error is not an error.
                StatsForm::Table => drop(Stderr.write_all(stats.table().as_bytes())),
                StatsForm::Json => drop(Stderr.write_all(format!("{}\n", stats.json()).as_bytes())),
                StatsForm::JsonTo(path) => {
                    let Some(to) =
                        self.0.stats_to.lock().unwrap_or_else(PoisonError::into_inner).take()
                    else {
                        return;
                    };
                    let json = format!("{}\n", stats.json());
                    // A pipe may have no reader.
                    let written = SharedOutput::new(to).and_then(|outlet| {
                        outlet.post(json.as_bytes())?;
                        outlet.drain(until)
                    });
                    if let Err(error) = written {
                        say!("--stats {}: {error}", path.display());
                    }
                }
            }
        }
    }
}
