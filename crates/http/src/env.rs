//! Settings that adapters take from the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Looks up a variable by name. The command line gives the process's environment, tests a map.
#[derive(Clone)]
pub struct Env(Arc<Lookup>);

impl Env {
    /// Variables by a function.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// Just these variables.
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let map: BTreeMap<String, String> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self::new(move |name| map.get(name).cloned())
    }

    /// The value of a variable; one that is set to nothing counts as not set.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

/// Values may be secrets: none is shown.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}
