//! `sandsock policy why`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use clap::Args;
use sandsock_host::policy::Explanation;

use crate::exit::Exit;
use crate::guest::{PolicyArgs, add_host_networks};
use crate::policy::{BAD_INPUT, NO, YES, answer, answer_json, bad, builder};

/// What `policy why` takes.
#[derive(Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct WhyArgs {
    #[command(flatten)]
    policy: PolicyArgs,

    /// A policy file, as with --policy.
    file: Option<PathBuf>,

    /// An act, for example tcp-connect=192.0.2.1:443 or tcp-connect=db.example:443.
    #[arg(required = true, value_name = "VERB=TARGET")]
    act: String,

    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Explains a decision. Its status is 0 if the act is allowed, and 1 if it is denied.
pub(crate) fn why(args: &WhyArgs) -> Result<ExitCode, Exit> {
    let explained = explain(args).map_err(|exit| Exit { status: BAD_INPUT, ..exit })?;
    let status = if explained.allowed { YES } else { NO };
    if args.json {
        let value = serde_json::to_value(&explained).context("can't write JSON")?;
        return answer_json(status, &value);
    }
    answer(status, &sentences(&explained))
}

fn explain(args: &WhyArgs) -> Result<Explanation, Exit> {
    let mut builder = builder()?;
    args.policy.add_sets(&mut builder)?;
    args.policy.add_rules(&mut builder, args.file.as_slice())?;
    add_host_networks(&mut builder)?;
    let real_path = |path: &std::path::Path| path.canonicalize();
    if args.file.is_none() && !args.act.contains('=') && std::path::Path::new(&args.act).is_file() {
        let file = &args.act;
        return Err(bad(anyhow!(
            "{file} is a file; write the act after it, as in `policy why {file} tcp-connect=192.0.2.1:443`"
        )));
    }
    let explained = builder.explain(&args.act, &real_path, Instant::now());
    explained.with_context(|| args.act.clone()).map_err(bad)
}

/// Returns an explanation as text.
fn sentences(explained: &Explanation) -> String {
    let Explanation { act, allowed, reason, rules, missing, notes } = explained;
    let mut text = format!("{}: {reason}\n", if *allowed { "allowed" } else { "denied" });
    let mut line = |words: String| {
        let _ = writeln!(text, "  {words}");
    };
    match (allowed, rules.as_slice(), missing) {
        (true, [], _) => {}
        (true, [rule], _) => line(format!("to deny it: remove the rule {rule}, or deny {act}")),
        (true, rules, _) => {
            line(format!(
                "to deny it: remove all of the rules {}, or deny {act}",
                rules.join(", ")
            ));
        }
        (false, [], None) => line("no rule can allow it".to_owned()),
        (false, [], Some(missing)) => line(format!("to allow it: add the rule {missing}")),
        (false, rules, missing) => {
            let denials = if rules.len() == 1 { "the denial" } else { "the denials" };
            let add = missing.as_ref().map(|rule| format!(", and add the rule {rule}"));
            let add = add.unwrap_or_default();
            line(format!("to allow it: remove {denials} {}{add}", rules.join(", ")));
        }
    }
    notes.iter().for_each(|note| line(note.clone()));
    text
}
