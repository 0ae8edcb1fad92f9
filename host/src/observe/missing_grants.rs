//! Reports the grants that calls of `wasi:sockets` lack, each of them once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The most reports. A guest can cause any number of different denials.
const REPORTS_MAX: usize = 1000;

/// A denial of a call whose error has no text.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct MissingGrant<'a> {
    /// The instance that called, as observers know it.
    pub instance: u64,
    /// The grant that would allow the call, `VERB=TARGET`. None if no single grant would.
    pub grant: Option<&'a str>,
    /// The denial as a sentence. It contains the grant as an option of the command.
    pub reason: &'a str,
}

type Report = Arc<dyn Fn(&MissingGrant<'_>) + Send + Sync>;

/// Reports each denial once.
#[derive(Clone, Default)]
pub(crate) struct MissingGrants {
    instance: u64,
    report: Option<Report>,
    /// The reasons that were reported. All contexts of a builder share them.
    seen: Arc<Mutex<HashSet<String>>>,
}

impl MissingGrants {
    pub(crate) fn set_report(&mut self, report: Report) {
        self.report = Some(report);
    }

    /// The same reports, by this instance.
    pub(crate) fn of_instance(&self, instance: u64) -> Self {
        Self { instance, ..self.clone() }
    }

    /// Reports a denial, unless it was reported before.
    pub(crate) fn denied(&self, grant: Option<&str>, reason: &str) {
        let Some(report) = &self.report else { return };
        let is_new = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.len() < REPORTS_MAX && seen.insert(reason.to_owned())
        };
        if is_new {
            report(&MissingGrant { instance: self.instance, grant, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_denial_is_reported_once_and_their_number_is_bounded() {
        let reported = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&reported);
        let mut grants = MissingGrants::default();
        grants.set_report(Arc::new(move |missing| {
            own.lock().unwrap().push((missing.instance, missing.reason.to_owned()));
        }));
        let (first, second) = (grants.of_instance(1), grants.of_instance(2));
        first.denied(None, "a");
        second.denied(None, "a");
        second.denied(None, "b");
        assert_eq!(*reported.lock().unwrap(), [(1, "a".to_owned()), (2, "b".to_owned())]);
        for number in 0..2 * REPORTS_MAX {
            first.denied(None, &number.to_string());
        }
        assert_eq!(reported.lock().unwrap().len(), REPORTS_MAX);
    }
}
