//! What changed at a source since a lock was made of it.

use sovai_core::{FilePin, RelPath};
use std::collections::BTreeMap;

/// What a source says now about a model that is locked.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// The commit that the manifest's branch or tag leads to now; `None` for sources without revisions.
    pub head: Option<&'a str>,
    /// The files at the locked commit, selected as the lock's were; of sources without revisions the files there are now.
    pub files: &'a [FilePin],
}

/// What changed since a lock was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drift {
    /// The branch or tag leads to another commit.
    pub moved: Option<Moved>,
    /// Files that differ from the lock, sorted by path.
    pub changed: Vec<Changed>,
    /// Whether the locked revision is one that cannot change, so that no file of it may differ.
    pub is_pinned: bool,
}

/// A branch that went on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The locked commit.
    pub from: String,
    /// The commit now.
    pub to: String,
}

/// A file that differs from the lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changed {
    /// The file.
    pub path: RelPath,
    /// How it differs.
    pub change: Change,
}

/// How a file differs from the lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is in the lock, and no longer at the source.
    Missing,
    /// It is at the source, and not in the lock.
    Added,
    /// It has other bytes; the locked and the present size and SHA-256.
    Bytes {
        /// In the lock.
        locked: FilePin,
        /// Now.
        now: FilePin,
    },
}

/// What a drift comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All is as it is locked.
    Same,
    /// There is something newer upstream; the lock still holds. `lock --check` ends with 10.
    Moved,
    /// Files changed under a revision that cannot change: the source contradicts what it said before. Ends with 4.
    Changed,
}

impl Drift {
    /// What it comes to.
    pub const fn verdict(&self) -> Verdict {
        if self.changed.is_empty() {
            if self.moved.is_some() { Verdict::Moved } else { Verdict::Same }
        } else if self.is_pinned {
            Verdict::Changed
        } else {
            Verdict::Moved
        }
    }
}

/// Compares a locked model (the commit it is locked at, its files) with what its source says now.
pub fn drift(revision: Option<&str>, locked: &[FilePin], now: &Now<'_>) -> Drift {
    let moved = match (revision, now.head) {
        (Some(from), Some(to)) if from != to => Some(Moved { from: from.to_owned(), to: to.to_owned() }),
        _ => None,
    };
    let mut there: BTreeMap<&RelPath, &FilePin> = now.files.iter().map(|pin| (&pin.path, pin)).collect();
    let mut changed = Vec::new();
    for pin in locked {
        let change = match there.remove(&pin.path) {
            None => Change::Missing,
            Some(found) if found == pin => continue,
            Some(found) => Change::Bytes { locked: pin.clone(), now: found.clone() },
        };
        changed.push(Changed { path: pin.path.clone(), change });
    }
    let added = there.into_keys().map(|path| Changed { path: path.clone(), change: Change::Added });
    changed.extend(added);
    changed.sort();
    Drift { moved, changed, is_pinned: revision.is_some() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovai_core::Sha256;

    fn pin(path: &str, byte: u8) -> FilePin {
        FilePin { path: RelPath::new(path).unwrap(), size: 1, sha256: Sha256::from_bytes([byte; 32]) }
    }

    #[test]
    fn nothing_new_is_the_same() {
        let files = [pin("a", 1), pin("b", 2)];
        let found = drift(Some("c1"), &files, &Now { head: Some("c1"), files: &files });
        assert_eq!((found.verdict(), found.moved, found.changed), (Verdict::Same, None, vec![]));
        assert_eq!(drift(None, &files, &Now { head: None, files: &files }).verdict(), Verdict::Same);
    }

    #[test]
    fn a_branch_that_went_on_has_moved() {
        let files = [pin("a", 1)];
        let found = drift(Some("c1"), &files, &Now { head: Some("c2"), files: &files });
        assert_eq!(found.verdict(), Verdict::Moved);
        assert_eq!(found.moved, Some(Moved { from: "c1".into(), to: "c2".into() }));
    }

    #[test]
    fn another_file_under_the_locked_revision_is_a_change_whether_the_branch_moved_or_not() {
        let locked = [pin("a", 1), pin("gone", 2)];
        let now = [pin("a", 9), pin("new", 3)];
        for head in ["c1", "c2"] {
            let found = drift(Some("c1"), &locked, &Now { head: Some(head), files: &now });
            assert_eq!(found.verdict(), Verdict::Changed);
            let changes: Vec<_> = found.changed.iter().map(|c| (c.path.as_str(), &c.change)).collect();
            let bytes = Change::Bytes { locked: pin("a", 1), now: pin("a", 9) };
            assert_eq!(changes, [("a", &bytes), ("gone", &Change::Missing), ("new", &Change::Added)]);
        }
        let mut longer = pin("a", 1);
        longer.size = 2;
        let found = drift(Some("c1"), &[pin("a", 1)], &Now { head: Some("c1"), files: &[longer] });
        assert_eq!(found.verdict(), Verdict::Changed);
    }

    #[test]
    fn without_revisions_other_files_are_something_newer() {
        let found = drift(None, &[pin("a", 1)], &Now { head: None, files: &[pin("a", 2)] });
        assert_eq!(found.verdict(), Verdict::Moved);
    }
}
