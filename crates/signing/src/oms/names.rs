//! Checks over all names of a signature at once.

use super::{Leniency, OmsError, Resource};
use sovai_core::PathSet;

/// Names in byte order, no two equal and none another's folder.
#[derive(Debug)]
pub(super) struct Names<'a>(Vec<&'a str>);

impl<'a> Names<'a> {
    /// Refuses what names two things by one name. Two names that only differ in case (or in how a case-insensitive
    /// file system folds them) need [`super::Compat::Compat`].
    pub(super) fn check(resources: &'a [Resource], leniency: &mut Leniency) -> Result<Self, OmsError> {
        let mut names: Vec<&str> = resources.iter().map(|resource| resource.name.as_str()).collect();
        names.sort_unstable();
        if let Some([twice, _]) = names.array_windows().find(|[one, next]| one == next) {
            return Err(OmsError::Duplicate((*twice).to_owned()));
        }
        let names = Self(names);
        for name in &names.0 {
            for (at, _) in name.match_indices('/') {
                if names.has(&name[..at]) {
                    return Err(OmsError::FileAndFolder {
                        file: name[..at].to_owned(),
                        inside: (*name).to_owned(),
                    });
                }
            }
        }
        let mut folded = PathSet::default();
        for resource in resources {
            if let Err(first) = folded.insert(&resource.name) {
                leniency.allow("case-collision", || {
                    format!("`{first}` and `{}` are one name where case does not count", resource.name)
                })?;
            }
        }
        Ok(names)
    }

    /// Whether this very name is listed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.binary_search(&name).is_ok()
    }

    /// A listed name inside the folder, if there is one.
    pub(super) fn inside(&self, folder: &str) -> Option<&'a str> {
        let prefix = format!("{folder}/");
        let at = self.0.partition_point(|name| *name < prefix.as_str());
        self.0.get(at).copied().filter(|name| name.starts_with(&prefix))
    }
}
