//! `sandsock policy show`.

use std::process::ExitCode;

use clap::Args;
use sandsock_host::policy::PolicyBuilderExt as _;

use crate::exit::Exit;
use crate::guest::GuestArgs;
use crate::policy::{YES, builder, print};

/// What `policy show` takes: a command line of `run`.
#[derive(Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    guest: GuestArgs,

    /// A component and its arguments, which change nothing.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMPONENT [ARGS]")]
    program: Vec<String>,
}

/// Prints the policy of a command line.
pub(crate) fn show(args: &ShowArgs) -> Result<ExitCode, Exit> {
    let mut builder = builder()?;
    args.guest.policy.add_sets(&mut builder)?;
    args.guest.policy.add_rules(&mut builder, &[])?;
    for number in args.guest.handed()?.numbers() {
        builder.allow(&format!("inherit={number}"))?;
    }
    print(&builder.build().to_toml())?;
    Ok(ExitCode::from(YES))
}
