//! The descriptors that an instance has, to be found without its store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Handle, Open};

/// The descriptors of one instance.
#[derive(Debug, Default)]
pub(crate) struct OpenList(Mutex<Vec<Weak<Handle>>>);

impl OpenList {
    /// Adds a descriptor that the guest gets.
    pub(crate) fn add(&self, handle: &Arc<Handle>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == all.capacity() {
            all.retain(|handle| handle.strong_count() > 0);
            // As much room again, so that a guest whose list stays nearly full pays for this rarely.
            let live = all.len();
            all.reserve(live);
        }
        all.push(Arc::downgrade(handle));
    }

    /// Returns the open file descriptions, each with its descriptors.
    pub(crate) fn descriptions(&self) -> Vec<Vec<Arc<Handle>>> {
        let mut descriptions: HashMap<*const Open, Vec<Arc<Handle>>> = HashMap::new();
        for handle in self.live() {
            descriptions.entry(Arc::as_ptr(&handle.open)).or_default().push(handle);
        }
        descriptions.into_values().collect()
    }

    /// Returns whether some descriptor fits.
    pub(crate) fn any(&self, fits: impl Fn(&Handle) -> bool) -> bool {
        self.live().iter().any(|handle| fits(handle))
    }

    /// The lock is not held while a handle lives here, because its drop may close it.
    fn live(&self) -> Vec<Arc<Handle>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    }
}
