//! `sandsock policy check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use sandsock_host::policy::{Policy, PolicyBuilderExt as _, PolicyFileError, Warning};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::policy::{NO, YES, answer, answer_json, builder};

/// What `policy check` takes.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// Policy files.
    #[arg(required = true)]
    file: Vec<PathBuf>,

    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks policy files. Its status is 1 if one of them has an error.
pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode, Exit> {
    let mut all = Vec::new();
    for file in &args.file {
        all.push((file, checked(file)?));
    }
    let status = if all.iter().all(|(_, result)| result.is_ok()) { YES } else { NO };
    if args.json {
        let files: Vec<Value> = all.iter().map(|(file, result)| shown(file, result)).collect();
        return answer_json(status, &json!({ "valid": status == YES, "files": files }));
    }
    let mut text = String::new();
    for (file, result) in &all {
        match result {
            Err(error) => text.push_str(&format!("{}\n", whole(error))),
            Ok(policy) => {
                let file = file.display();
                let allow = match policy.allowed().len() {
                    1 => "1 rule allows".to_owned(),
                    count => format!("{count} rules allow"),
                };
                let deny = match policy.denied().len() {
                    1 => "1 denies".to_owned(),
                    count => format!("{count} deny"),
                };
                text.push_str(&format!("{file}: valid, {allow} and {deny}\n"));
                for warning in policy.warnings() {
                    text.push_str(&format!("{file}: warning: {warning}\n"));
                }
            }
        }
    }
    answer(status, &text)
}

/// Makes the policy of a file.
fn checked(file: &Path) -> Result<Result<Policy, PolicyFileError>, Exit> {
    let mut builder = builder()?;
    Ok(match builder.file(file) {
        Ok(_) => Ok(builder.build()),
        Err(error) => Err(error),
    })
}

/// Returns an error with its cause.
fn whole(error: &PolicyFileError) -> String {
    match error {
        PolicyFileError::Read { source, .. } => format!("{error}: {source}"),
        PolicyFileError::Invalid { .. } => error.to_string(),
    }
}

/// Returns the answer about a file as JSON.
fn shown(file: &Path, result: &Result<Policy, PolicyFileError>) -> Value {
    let file = file.display().to_string();
    match result {
        Ok(policy) => json!({
            "file": file,
            "valid": true,
            "allow": policy.allowed().len(),
            "deny": policy.denied().len(),
            "warnings": policy.warnings().iter().map(warning).collect::<Vec<_>>(),
        }),
        Err(PolicyFileError::Invalid { line, column, message, .. }) => json!({
            "file": file,
            "valid": false,
            "error": { "line": line, "column": column, "message": message },
        }),
        Err(error) => json!({ "file": file, "valid": false, "error": { "message": whole(error) } }),
    }
}

fn warning(warning: &Warning) -> Value {
    json!({ "rule": warning.rule, "denies": warning.denies, "message": warning.message })
}
