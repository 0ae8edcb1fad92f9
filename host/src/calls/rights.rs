//! WIT `rights`: the guest gives up rights.

use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lower, WasmList};

use crate::bindings::sandsock::socket::types::Error;
use crate::calls::transfers::{LIFT, lift};
use crate::ctx::{SandsockView, StoreView as _};
use crate::observe::{List, ToValue, Value, ValueBuilder, WatchedData, record_to_value};

/// WIT: the most rules of one list, and the most bytes of one rule.
const RULES_MAX: usize = 1024;
const RULE_MAX: usize = 4096;

/// WIT `rule-error`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct RuleError {
    rule: u32,
    character: u32,
    reason: String,
}

/// WIT `restrict-error`.
#[derive(ComponentType, Lower)]
#[component(variant)]
pub(crate) enum RestrictError {
    #[component(name = "rule")]
    Rule(RuleError),
    #[component(name = "other")]
    Other(Error),
}

record_to_value! { RuleError: rule, character, reason }

impl ToValue for RestrictError {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        match self {
            Self::Rule(error) => error.to_value(store, builder),
            Self::Other(error) => Value::Failed(error.into()),
        }
    }
}

impl ToValue for WasmList<String> {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        List::of(self.len(), store, builder, |at, store, builder| {
            // If an element can't be lifted, the call itself traps, or refuses it as too long.
            let element = lift(store, self, at, RULE_MAX + LIFT)?.ok()?;
            Some(element.to_value(store, builder))
        })
    }
}

/// WIT `rights.restrict`.
pub(crate) fn restrict<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (keep,): (WasmList<String>,),
) -> wasmtime::Result<Result<(), RestrictError>> {
    let too_much = || Ok(Err(RestrictError::Other(Errno::TOOBIG.into())));
    if keep.len() > RULES_MAX {
        return too_much();
    }
    let mut rules = Vec::with_capacity(keep.len());
    for at in 0..keep.len() {
        // Many rules may share their bytes in the guest's memory, so each is lifted by itself.
        match lift(store, &keep, at, RULE_MAX + LIFT) {
            Some(Ok(rule)) if rule.len() <= RULE_MAX => rules.push(rule),
            Some(Ok(_)) | None => return too_much(),
            Some(Err(_)) => {
                // A text that is not UTF-8 is a trap. A text that is too long is none.
                keep.get(&mut *store, at).transpose()?;
                return too_much();
            }
        }
    }
    let result = store.view().ctx.restrict(&rules);
    Ok(result.map_err(|error| match error {
        crate::ctx::replacement::RestrictError::Rule(at, error) => RestrictError::Rule(RuleError {
            rule: u32::try_from(at).unwrap_or(u32::MAX),
            character: u32::try_from(error.character()).unwrap_or(u32::MAX),
            reason: error.reason(),
        }),
        crate::ctx::replacement::RestrictError::TooOften => {
            RestrictError::Other(Errno::TOOBIG.into())
        }
    }))
}
