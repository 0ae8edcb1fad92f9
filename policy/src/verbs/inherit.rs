//! The verb `inherit`: take a descriptor that was handed over at the start.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Display as _};
use std::str::FromStr;

use crate::covers::{Compared, Excess, Found};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::Allowed;
use crate::error::{GrantError, ParseError};
use crate::index::RuleId;
use crate::rules::VerbRules;
use crate::text::decimal;
use crate::verbs::{Request, verb};

/// The number under which a descriptor was handed over: `fd:N`, or `stdin` for 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DescriptorNumber(pub i32);

impl DescriptorNumber {
    const MAX: i32 = 1 << 20;

    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let hint = "write fd:NUMBER, as in fd:3, or stdin";
        if text == "stdin" {
            return Ok(Self(0));
        }
        let Some(number) = text.strip_prefix("fd:") else {
            return Err(ParseError::new(
                0,
                format!("`{}` is not a descriptor", text.escape_debug()),
                hint,
            ));
        };
        match decimal(number).and_then(|number| i32::try_from(number).ok()) {
            Some(number) if number <= Self::MAX => Ok(Self(number)),
            _ => Err(ParseError::new(
                3,
                format!("`{}` is not a descriptor's number", number.escape_debug()),
                hint,
            )),
        }
    }
}

impl FromStr for DescriptorNumber {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        Self::parse(text).map_err(|error| GrantError::new(text, error))
    }
}

impl fmt::Display for DescriptorNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.pad("stdin"),
            number => write!(f, "fd:{number}"),
        }
    }
}

impl Capability for verb::Inherit {
    const EXAMPLES: &'static [&'static str] = &["fd:3", "stdin"];
    const ABOUT: &'static str = "take a descriptor that was handed over at the start";
    const PREPOSITION: &'static str = " of";

    type Index = HashMap<DescriptorNumber, RuleId>;

    fn parse(target: &str) -> Result<DescriptorNumber, ParseError> {
        DescriptorNumber::parse(target)
    }

    fn index(rules: &VerbRules<'_, DescriptorNumber>) -> Self::Index {
        rules.rules.iter().map(|&(rule, &number)| (number, rule)).collect()
    }

    fn show(asked: DescriptorNumber, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: DescriptorNumber) -> Option<&'p str> {
        query.policy.deny.inherit.get(&asked).map(|rule| query.policy.deny.text(*rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: DescriptorNumber) -> Option<Allowed<'p>> {
        query.policy.allow.inherit.get(&asked).map(|rule| query.policy.by(*rule))
    }

    fn grant(asked: DescriptorNumber) -> Option<String> {
        Some(asked.to_string())
    }

    fn ask<'a>(
        pattern: &'a DescriptorNumber,
        _: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        Ok((*pattern, None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        let named = compared.rules().into_iter().flat_map(|rules| rules.inherit.keys());
        let mut numbers: BTreeSet<DescriptorNumber> = named.copied().collect();
        // Standard input, output and error come first.
        let mut others = (3..).map(DescriptorNumber);
        let other = others.find(|number| !numbers.contains(number));
        numbers.extend(other);
        compared.first(numbers.into_iter().map(Request::Inherit))
    }

    #[cfg(test)]
    fn samples() -> Vec<DescriptorNumber> {
        vec![DescriptorNumber(0), DescriptorNumber(3), DescriptorNumber(-1)]
    }
}
