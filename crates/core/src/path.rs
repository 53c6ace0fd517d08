//! Relative paths that cannot leave their root.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::is_nfc;

/// Longest part of a path in bytes: the limit of ext4, XFS and exFAT file names (`NAME_MAX`).
const MAX_PART: usize = 255;
/// Longest whole path in bytes: Linux's `PATH_MAX` is 4096 and the root needs room too.
const MAX_PATH: usize = 3072;

/// Most parts of a path. Deeper trees are no models, and a set of them would cost the square of their depth.
const MAX_PARTS: usize = 64;

/// A path inside a model: NFC UTF-8, `/`-separated, no empty, `.` or `..` part, not absolute, no backslash, control or
/// bidirectional character, at most 255 bytes a part and 64 parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(String);

/// Which rule a path breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum PathError {
    #[error("a path cannot be empty")]
    Empty,
    #[error("a path is relative: it cannot start with `/`")]
    Absolute,
    #[error("a path cannot have an empty part (`//` or a `/` at its end)")]
    EmptyPart,
    #[error("a path cannot have a `.` part")]
    Dot,
    #[error("a path cannot have a `..` part")]
    DotDot,
    #[error("a path separates its parts with `/`, not with a backslash")]
    Backslash,
    #[error("a path cannot have a control character, found `{}`", .0.escape_unicode())]
    Control(char),
    #[error("a path cannot have a bidirectional or invisible formatting character, found `{}`", .0.escape_unicode())]
    Bidi(char),
    #[error("a path is written in Unicode normal form C (NFC)")]
    NotNfc,
    #[error("a part of a path has at most {MAX_PART} bytes, found {0}")]
    PartTooLong(usize),
    #[error("a path has at most {MAX_PATH} bytes, found {0}")]
    TooLong(usize),
    #[error("a path has at most {MAX_PARTS} parts, found {0}")]
    TooDeep(usize),
}

impl RelPath {
    /// Checks and takes a path.
    pub fn new(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.len() > MAX_PATH {
            return Err(PathError::TooLong(text.len()));
        }
        for c in text.chars() {
            match c {
                '\\' => return Err(PathError::Backslash),
                c if c.is_control() => return Err(PathError::Control(c)),
                c if is_format(c) => return Err(PathError::Bidi(c)),
                _ => {}
            }
        }
        if text.starts_with('/') {
            return Err(PathError::Absolute);
        }
        for part in text.split('/') {
            match part {
                "" => return Err(PathError::EmptyPart),
                "." => return Err(PathError::Dot),
                ".." => return Err(PathError::DotDot),
                long if long.len() > MAX_PART => return Err(PathError::PartTooLong(long.len())),
                _ => {}
            }
        }
        let parts = text.split('/').count();
        if parts > MAX_PARTS {
            return Err(PathError::TooDeep(parts));
        }
        if !is_nfc(text) {
            return Err(PathError::NotNfc);
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as text, parts separated by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path for the file system; join it to a root.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The parts, outermost folder first.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// The path as a case-insensitive, normalising file system sees it: two paths with equal folds collide there.
    pub fn fold(&self) -> String {
        if self.0.is_ascii() {
            // What the other way comes to, for most names of most models.
            return self.0.to_ascii_lowercase();
        }
        self.0.nfkc().flat_map(char::to_lowercase).nfc().collect()
    }
}

/// Unicode's bidirectional controls (UAX #9) and other characters that reorder or hide text.
fn is_format(c: char) -> bool {
    matches!(c, '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for RelPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl Serialize for RelPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RelPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A set of paths in which no two collide, also not on a case-insensitive file system, and no file is another's folder.
#[derive(Debug, Default)]
pub struct PathSet {
    /// Fold of each file and folder, with the path that first used it.
    seen: HashMap<String, (String, Use)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    File,
    Folder,
}

impl PathSet {
    /// Adds a file; on a collision, gives back the file or folder that was there first.
    pub fn insert(&mut self, path: &RelPath) -> Result<(), String> {
        let fold = path.fold();
        if let Some((first, _)) = self.seen.get(&fold) {
            return Err(first.clone());
        }
        for (at, _) in fold.match_indices('/') {
            if let Some((first, Use::File)) = self.seen.get(&fold[..at]) {
                return Err(first.clone());
            }
        }
        for (at, _) in fold.match_indices('/') {
            self.seen.entry(fold[..at].to_owned()).or_insert_with(|| (path.0.clone(), Use::Folder));
        }
        self.seen.insert(fold, (path.0.clone(), Use::File));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_short_way_to_fold_is_the_long_way() {
        for byte in 0x20..0x7f_u8 {
            let Ok(path) = RelPath::new(&format!("A{}z", char::from(byte))) else { continue };
            let long: String = path.0.nfkc().flat_map(char::to_lowercase).nfc().collect();
            assert_eq!(path.fold(), long);
        }
    }

    #[test]
    fn each_rule_has_its_error() {
        let long = "x".repeat(256);
        let deep = "a/".repeat(64) + "a";
        let cases: [(&str, PathError); 14] = [
            ("", PathError::Empty),
            ("/etc/passwd", PathError::Absolute),
            ("a//b", PathError::EmptyPart),
            ("a/", PathError::EmptyPart),
            ("./a", PathError::Dot),
            ("a/../b", PathError::DotDot),
            ("a\\b", PathError::Backslash),
            ("a\nb", PathError::Control('\n')),
            ("a\u{85}b", PathError::Control('\u{85}')),
            ("a\u{202e}b", PathError::Bidi('\u{202e}')),
            ("a\u{200b}b", PathError::Bidi('\u{200b}')),
            ("e\u{301}", PathError::NotNfc),
            (&long, PathError::PartTooLong(256)),
            (&deep, PathError::TooDeep(65)),
        ];
        for (text, error) in cases {
            assert_eq!(RelPath::new(text), Err(error), "{text:?}");
        }
        assert_eq!(RelPath::new("tokenizer/é.json").unwrap().file_name(), "é.json");
        assert!(RelPath::new(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn collisions_are_found_whatever_the_case_or_order() {
        let path = |text| RelPath::new(text).unwrap();
        let mut set = PathSet::default();
        set.insert(&path("A/b")).unwrap();
        set.insert(&path("a/c")).unwrap();
        assert_eq!(set.insert(&path("a/B")), Err("A/b".into()));
        assert_eq!(set.insert(&path("A/b/c")), Err("A/b".into()));
        assert_eq!(set.insert(&path("a")), Err("A/b".into()));
        set.insert(&path("straße")).unwrap();
        assert_eq!(set.insert(&path("STRASSE")), Ok(()), "simple folding, as exFAT and NTFS do it");
    }

    proptest! {
        #[test]
        fn an_accepted_path_never_leaves_its_root(text in "[a./\\\\]{0,12}") {
            if let Ok(path) = RelPath::new(&text) {
                let joined = Path::new("/root").join(path.as_path());
                prop_assert!(joined.starts_with("/root"));
                prop_assert!(joined.components().all(|c| c != std::path::Component::ParentDir));
            }
        }
    }
}
