//! Giving up rights.

use crate::raw::rights;
use crate::{Error, ErrorKind, Result};

/// Gives up every right that none of these rules allows, for good, as OpenBSD's `pledge` does.
///
/// A rule is a text as in the policy. From now on, an act needs both the policy's grant and a rule of
/// each call of this function. So a rule can't widen anything, and an empty list gives up everything
/// that needs a grant. Open sockets stay open. Each further act with them that needs a grant is
/// checked, and is a `PermissionError` if no rule allows it.
///
/// ```no_run
/// # fn main() -> sandsock::Result<()> {
/// // Everything is set up. From here on, the program only talks to its database.
/// sandsock::restrict(&["tcp-connect=db.example:5432"])?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// `ValueError`: a text is no rule, or has a budget. `OSError`: there are more than 1,024 rules, a
/// rule has more than 4,096 bytes, or rights were given up 16 times (E2BIG). No rights were given up
/// then.
pub fn restrict<T: AsRef<str>>(keep: &[T]) -> Result<()> {
    let rules: Vec<&str> = keep.iter().map(AsRef::as_ref).collect();
    rights::restrict(&rules).map_err(|error| match error {
        rights::RestrictError::Rule(error) => {
            let rule = rules.get(error.rule as usize).copied().unwrap_or_default();
            let text = format!("{rule:?}: at character {}: {}", error.character, error.reason);
            Error::text(ErrorKind::Value, text)
        }
        rights::RestrictError::Other(error) => Error::from(error),
    })
}
