//! What verification has to say about a source, as data.

use serde::{Deserialize, Serialize};
use sovai_core::Sha256;
use std::fmt;

/// What kind of thing lies in the file system where a regular file is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    File,
    Folder,
    Symlink,
    Fifo,
    Socket,
    BlockDevice,
    CharDevice,
    Unknown,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Symlink => "a symbolic link",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::BlockDevice => "a block device",
            Self::CharDevice => "a character device",
            Self::Unknown => "something unknown",
        })
    }
}

/// A range of bytes in a file: from `start` on, up to and without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "said above")]
pub struct ByteRange {
    pub start: u64,
    pub end: u64,
}

impl fmt::Display for ByteRange {
    /// First and last byte, with the digits in groups: `961,851,392-966,045,695`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", grouped(self.start), grouped(self.end.saturating_sub(1)))
    }
}

/// `961,851,392`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One thing that is not as it was pinned.
///
/// `path` is relative to the source, `/`-separated; where it is no valid path, with its odd characters and bytes escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "`path`, `expected` and `found` are what they are called")]
pub enum Finding {
    /// A pinned file is not there.
    Missing { path: String },
    /// A file is there that is not pinned.
    Extra { path: String },
    /// A file is shorter or longer than pinned.
    Size { path: String, expected: u64, found: u64 },
    /// A file has the right length and the wrong bytes.
    Digest { path: String, expected: Sha256, found: Sha256 },
    /// A symbolic link; none is followed, wherever it points.
    Symlink { path: String, target: String },
    /// A file or folder on another mount than the source; what lies there can be exchanged as a whole. Not seen on Linux
    /// before 5.6.
    Mount { path: String },
    /// In a hub's cache, a file whose bytes are not those that the blob's name says: a SHA-256, or a git blob ID.
    BlobName { path: String, expected: String, found: String },
    /// A folder where a file is pinned, or a FIFO, socket or device anywhere.
    NotRegular { path: String, found: Kind },
    /// A name that no model may have: not UTF-8, or against a rule of paths.
    BadName { path: String, reason: String },
    /// A name that is the same as another one on a file system that ignores case or normalises.
    Collision { path: String, with: String },
    /// A file changed while it was read.
    ChangedDuringRead { path: String },
    /// A file or folder that the system would not let us read.
    Unreadable { path: String, error: String },
    /// A folder nested deeper than is looked at.
    TooDeep { path: String, limit: u64 },
    /// More files and folders than are looked at; `path` is the folder in which the limit was reached.
    TooMany { path: String, limit: u64 },
    /// A file has the right length and wrong bytes, and a passport says where: the damaged chunks, those side by side as
    /// one range, and the tensors that lie in them. Both lists are cut (`more`, `more_tensors`: how many are left out);
    /// `bytes` counts the damaged chunks whole. No tensors where the file has none, or its header is damaged too.
    Damaged {
        path: String,
        ranges: Vec<ByteRange>,
        more: u64,
        bytes: u64,
        tensors: Vec<String>,
        more_tensors: u64,
    },
    /// A piece of a file has other bytes than a signature says; digests with their algorithm, as `blake2b:...`. Also for
    /// whole files, where that is not SHA-256. At most 20 of one file are told.
    Piece { path: String, range: ByteRange, expected: String, found: String },
    /// The store's own copy of a file has other bytes, and there is no source to take them from again.
    StoredDamaged { path: String, expected: Sha256, found: Option<Sha256> },
}

impl Finding {
    /// Of [`Finding::Damaged`], where: bytes 961,851,392-966,045,695, and the names of the tensors there; nothing of others.
    pub fn damage(&self) -> Option<String> {
        let Self::Damaged { ranges, more, tensors, more_tensors, .. } = self else { return None };
        let mut text = format!("bytes {}", list(ranges.iter().map(ToString::to_string), *more));
        if !tensors.is_empty() {
            let word = if tensors.len() == 1 && *more_tensors == 0 { "tensor" } else { "tensors" };
            // Names come from the file, which anybody may have written.
            let names = tensors.iter().map(|name| format!("`{}`", name.escape_debug()));
            text = format!("{text}: {word} {}", list(names, *more_tensors));
        }
        Some(text)
    }

    /// The file or folder that it is about.
    pub fn subject(&self) -> &str {
        match self {
            Self::Missing { path }
            | Self::Extra { path }
            | Self::Size { path, .. }
            | Self::Digest { path, .. }
            | Self::Damaged { path, .. }
            | Self::Symlink { path, .. }
            | Self::Mount { path }
            | Self::Piece { path, .. }
            | Self::BlobName { path, .. }
            | Self::NotRegular { path, .. }
            | Self::BadName { path, .. }
            | Self::Collision { path, .. }
            | Self::ChangedDuringRead { path }
            | Self::Unreadable { path, .. }
            | Self::TooDeep { path, .. }
            | Self::TooMany { path, .. }
            | Self::StoredDamaged { path, .. } => path,
        }
    }
}

/// At most five of them, and how many more there are.
fn list(items: impl ExactSizeIterator<Item = String>, more: u64) -> String {
    const SHOWN: usize = 5;
    let more = more.saturating_add(items.len().saturating_sub(SHOWN) as u64);
    let text = items.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // File names come from outside: a terminal must not obey them. Valid paths have nothing to escape but quotes.
        let path = self.subject();
        match self {
            Self::Missing { .. } => write!(f, "`{path}` is missing"),
            Self::Extra { .. } => write!(f, "`{path}` is not pinned"),
            Self::Size { expected, found, .. } if found < expected => {
                write!(f, "`{path}` is truncated: expected {expected} bytes, found {found}")
            }
            Self::Size { expected, found, .. } => {
                write!(f, "`{path}` is too long: expected {expected} bytes, found {found}")
            }
            Self::Digest { expected, found, .. } => {
                write!(f, "`{path}` has other bytes: expected {expected}, found {found}")
            }
            Self::Damaged { .. } => write!(f, "`{path}` is damaged at {}", self.damage().unwrap_or_default()),
            Self::Symlink { target, .. } => write!(f, "`{path}` is a symbolic link to `{target}`"),
            Self::Piece { range, expected, found, .. } => {
                write!(f, "`{path}` has other bytes in {range}: expected {expected}, found {found}")
            }
            Self::Mount { .. } => write!(f, "`{path}` is a mount inside the source"),
            Self::BlobName { expected, found, .. } => {
                write!(f, "`{path}` is not what the hub named it: expected {expected}, found {found}")
            }
            Self::NotRegular { found, .. } => write!(f, "`{path}` is {found}, expected a file"),
            Self::BadName { reason, .. } => write!(f, "`{path}` is no valid name: {reason}"),
            Self::Collision { with, .. } => {
                write!(f, "`{path}` is the same name as `{with}` where case does not count")
            }
            Self::ChangedDuringRead { .. } => write!(f, "`{path}` changed while it was read"),
            Self::Unreadable { error, .. } => write!(f, "`{path}` cannot be read: {error}"),
            Self::TooDeep { limit, .. } => write!(f, "`{path}` is nested deeper than {limit} folders"),
            Self::TooMany { limit, .. } => {
                write!(f, "`{path}` brings the source over {limit} files and folders")
            }
            Self::StoredDamaged { expected, found: Some(found), .. } => {
                write!(f, "the store's copy of `{path}` is damaged: expected {expected}, found {found}")
            }
            Self::StoredDamaged { expected, found: None, .. } => {
                write!(f, "the store's copy of `{path}` cannot be read: expected {expected}")
            }
        }
    }
}
