//! What the embedder gives its guests for TLS.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

pub use sandsock_tls::{Identity, IdentityError, Roots, RootsError};

/// The roots that guests' sessions are verified by, and the identities that they may show.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    roots: Option<Arc<Roots>>,
    /// The roots of rules, by their paths as the rules have them.
    rule_roots: Arc<BTreeMap<String, Arc<Roots>>>,
    identities: Arc<BTreeMap<String, Arc<Identity>>>,
    /// The system's roots, which are read when they are first needed.
    system: Arc<OnceLock<Result<Arc<Roots>, RootsError>>>,
}

impl TlsSettings {
    /// Sets the roots. Without them, the system's count.
    pub fn roots(&mut self, roots: Roots) -> &mut Self {
        self.roots = Some(Arc::new(roots));
        self
    }

    /// Reads the roots now, and not when a guest first needs them.
    ///
    /// # Errors
    ///
    /// No roots were set, and the system has none.
    pub fn read_roots(&self) -> Result<(), RootsError> {
        self.trusted().map(drop)
    }

    /// Adds the roots that a rule names by `;roots=PATH`. A session on a socket that the rule allows
    /// is verified by them. Without this call it is refused.
    pub fn rule_roots(&mut self, path: &str, roots: Roots) -> &mut Self {
        Arc::make_mut(&mut self.rule_roots).insert(path.to_owned(), Arc::new(roots));
        self
    }

    /// Adds an identity under a name. A guest may show it if `tls-identity=NAME` is granted, or where
    /// a rule of `tls-listen` lends it.
    pub fn identity(&mut self, name: &str, identity: Identity) -> &mut Self {
        Arc::make_mut(&mut self.identities).insert(name.to_owned(), Arc::new(identity));
        self
    }

    /// Returns whether there is an identity of this name.
    pub fn has_identity(&self, name: &str) -> bool {
        self.identities.contains_key(name)
    }

    /// Returns the roots that count.
    pub(crate) fn trusted(&self) -> Result<Arc<Roots>, RootsError> {
        match &self.roots {
            Some(roots) => Ok(Arc::clone(roots)),
            None => self.system.get_or_init(|| Roots::system().map(Arc::new)).clone(),
        }
    }

    /// Returns the roots of a rule. None if the embedder has not read them.
    pub(crate) fn of_rule(&self, path: &str) -> Option<Arc<Roots>> {
        self.rule_roots.get(path).cloned()
    }

    /// Returns an identity by its name.
    pub(crate) fn find_identity(&self, name: &str) -> Option<Arc<Identity>> {
        self.identities.get(name).cloned()
    }
}
