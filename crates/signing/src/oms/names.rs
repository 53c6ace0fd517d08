//! Checks over all names of a signature at once.

use super::{Leniency, OmsError, Resource};

/// Names in an order in which a folder's files follow right behind its own name: `/` sorts before everything else. No two
/// are equal and none is another's folder.
#[derive(Debug)]
pub(super) struct Names(Vec<String>);

/// `/` as the lowest byte that there is; no name has a NUL.
fn key(name: &str) -> String {
    name.replace('/', "\0")
}

fn name(key: &str) -> String {
    key.replace('\0', "/")
}

impl Names {
    /// Refuses what names two things by one name. Two names that only differ in case (or in how a case-insensitive
    /// file system folds them) need [`super::Compat::Compat`].
    ///
    /// Sorted, whatever collides stands side by side: the cost does not grow with the depth of names.
    pub(super) fn check(resources: &[Resource], leniency: &mut Leniency) -> Result<Self, OmsError> {
        let mut names: Vec<String> = resources.iter().map(|resource| key(resource.name.as_str())).collect();
        names.sort_unstable();
        for [first, next] in names.array_windows() {
            match collision(first, next) {
                Some(Collision::Same) => return Err(OmsError::Duplicate(name(first))),
                Some(Collision::Inside) => {
                    return Err(OmsError::FileAndFolder { file: name(first), inside: name(next) });
                }
                None => {}
            }
        }
        let mut folded: Vec<(String, &Resource)> =
            resources.iter().map(|resource| (key(&resource.name.fold()), resource)).collect();
        folded.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.name.cmp(&b.1.name)));
        for [(first, one), (next, other)] in folded.array_windows() {
            if collision(first, next).is_some() {
                leniency.allow("case-collision", || {
                    format!("`{}` and `{}` are one name where case does not count", one.name, other.name)
                })?;
            }
        }
        Ok(Self(names))
    }

    /// Whether this very name is listed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.binary_search(&key(name)).is_ok()
    }

    /// A listed name inside the folder, if there is one.
    pub(super) fn inside(&self, folder: &str) -> Option<String> {
        let prefix = key(folder) + "\0";
        let at = self.0.partition_point(|name| *name < prefix);
        self.0.get(at).filter(|name| name.starts_with(&prefix)).map(|inside| name(inside))
    }
}

enum Collision {
    Same,
    Inside,
}

/// How two neighbours of the sorted list collide.
fn collision(first: &str, next: &str) -> Option<Collision> {
    match next.strip_prefix(first) {
        Some("") => Some(Collision::Same),
        Some(rest) if rest.starts_with('\0') => Some(Collision::Inside),
        _ => None,
    }
}
