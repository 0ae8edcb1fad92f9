//! `sandsock policy covers`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use sandsock_host::policy::{Excess, PolicyBuilderExt as _};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::policy::{NO, YES, answer, answer_json, bad, read};

/// What `policy covers` takes.
#[derive(Args)]
pub(crate) struct CoversArgs {
    /// The policy file that is to grant nothing more.
    a: PathBuf,

    /// The policy file that it is compared with.
    b: PathBuf,

    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Compares two policies. Its status is 0 if the first one grants nothing that the second one does
/// not, 1 if it does, and 2 if that can't be said.
pub(crate) fn covers(args: &CoversArgs) -> Result<ExitCode, Exit> {
    let (left, right) = (read(&args.a)?.build(), read(&args.b)?.build());
    let excess = left.excess_over(&right, Instant::now()).map_err(bad)?;
    let status = if excess.is_empty() { YES } else { NO };
    if args.json {
        let excess: Vec<Value> = excess.iter().map(shown).collect();
        return answer_json(status, &json!({ "covered": status == YES, "excess": excess }));
    }
    let (a, b) = (args.a.display(), args.b.display());
    if excess.is_empty() {
        return answer(status, &format!("{a} grants nothing that {b} does not\n"));
    }
    let mut text = format!("{a} grants more than {b}, for example:\n");
    for excess in &excess {
        let written = match excess {
            Excess::Act(act) => {
                let by = match &act.rule {
                    Some(rule) => format!("{a} allows it by {rule}"),
                    None => format!("{a} needs no rule for it"),
                };
                writeln!(text, "  {act}\n    {by}\n    {b}: {}", act.denial)
            }
            Excess::Budget(budget) => {
                let by = match &*budget.rules {
                    [] => format!("{a} allows it without a budget"),
                    rules => format!("{a} allows it by {}", rules.join(", ")),
                };
                writeln!(text, "  {}\n    {by}\n    {b}: {}", budget.act, budget.reason)
            }
            Excess::Limit { name, value, bound } => {
                writeln!(text, "  the limit {name}={value}; {b} has {bound}")
            }
        };
        // A string takes everything.
        let _ = written;
    }
    answer(status, &text)
}

/// Returns an excess as JSON.
fn shown(excess: &Excess) -> Value {
    match excess {
        Excess::Act(act) => {
            let text = match &*act.target {
                "" => act.verb.name().to_owned(),
                target => format!("{}={target}", act.verb),
            };
            json!({
                "act": text,
                "condition": act.condition,
                "rule": act.rule,
                "denial": act.denial.reason,
            })
        }
        Excess::Budget(budget) => json!({
            "act": budget.act,
            "rules": budget.rules,
            "budget": budget.bound,
            "reason": budget.reason,
        }),
        Excess::Limit { name, value, bound } => {
            json!({ "limit": name, "value": value, "bound": bound })
        }
    }
}
