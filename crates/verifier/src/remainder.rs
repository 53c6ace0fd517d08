//! What a verification did not cover. A result that does not say so says too much.

use crate::Options;
use crate::compare::{checked, compare};
use crate::error::VerifyError;
use crate::layout::is_hub_metadata;
use crate::walk::{Entry, Link, Source, Walked};
use serde::{Deserialize, Serialize};
use sovai_core::FilePin;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// Most that are listed for one reason; [`Remainders::counts`] has them all.
pub const MAX_LISTED: usize = 100;

/// What no digest and no signature of files covers, of any source.
pub const GENERAL: &[&str] = &[
    "owners and groups",
    "times",
    "extended attributes and access-control lists",
    "permission bits",
    "where on the disk the bytes lie, and holes in files",
];

/// Why something of a source is not covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A file under a path that the signature says to ignore.
    Ignored,
    /// A file of a version control system (`.git`, `.github`, `.gitattributes`, `.gitignore` at the root), which every
    /// signature of OpenSSF Model Signing v1.0 ignores.
    Vcs,
    /// A note that a hub's tool keeps beside the files.
    HubMetadata,
    /// The signature itself, where it does not say to ignore itself.
    Signature,
    /// An empty file, where the signature lists pieces of files: an empty one has none.
    EmptyFile,
    /// A folder without a file in it.
    EmptyFolder,
    /// A file that may be executed, runs with other rights than those of who runs it, or may be written by everybody.
    Mode,
    /// A file with more than one name; whoever can write it under another can write it here. Names inside the store that the
    /// source lies in do not count.
    HardLink,
    /// A file that was reached over a link inside the source: the bytes are covered, that it is a link is not.
    Link,
}

impl Reason {
    /// Whether it is a file whose very bytes nobody vouches for, although a signature was asked for. What else is not
    /// covered belongs to files that are, or is no file.
    pub const fn is_unsigned(self) -> bool {
        match self {
            Self::Ignored | Self::Vcs | Self::HubMetadata | Self::Signature | Self::EmptyFile => true,
            Self::EmptyFolder | Self::Mode | Self::HardLink | Self::Link => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ignored => "the signature says to ignore it",
            Self::Vcs => "files of version control are ignored by every signature",
            Self::HubMetadata => "a note of a hub's tool",
            Self::Signature => "the signature itself",
            Self::EmptyFile => "an empty file has no piece to sign",
            Self::EmptyFolder => "an empty folder",
            Self::Mode => "its permission bits",
            Self::HardLink => "it has more than one name",
            Self::Link => "it is a link inside the source",
        })
    }
}

/// One thing that was not covered.
///
/// `path` is relative to the source, `/`-separated, and valid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Remainder {
    /// The file or folder.
    pub path: String,
    /// Why.
    pub reason: Reason,
    /// Permission bits in octal, or where a link leads.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

impl fmt::Display for Remainder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not covered: {}", self.path, self.reason)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

/// All that was not covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remainders {
    /// At most [`MAX_LISTED`] for each reason, sorted by path.
    pub items: Vec<Remainder>,
    /// How many there are for each reason; reasons without any are left out.
    pub counts: BTreeMap<Reason, u64>,
    /// What is never covered ([`GENERAL`]).
    pub general: &'static [&'static str],
}

impl Default for Remainders {
    fn default() -> Self {
        Self { items: Vec::new(), counts: BTreeMap::new(), general: GENERAL }
    }
}

impl Remainders {
    /// What of a walked source is not covered; `reason` says why a file's bytes are not, if they are not.
    pub(crate) fn of(walked: &Walked, reason: impl Fn(&Entry) -> Option<Reason>) -> Self {
        let mut all = Self::default();
        for entry in walked.files.values() {
            match reason(entry) {
                Some(reason) => all.add(entry.path.as_str(), reason, None),
                None => all.add_traits(entry),
            }
        }
        for folder in empty_folders(walked) {
            all.add(folder, Reason::EmptyFolder, None);
        }
        all.items.sort_unstable();
        all
    }

    fn add(&mut self, path: &str, reason: Reason, detail: Option<String>) {
        let count = self.counts.entry(reason).or_insert(0);
        if *count < MAX_LISTED as u64 {
            self.items.push(Remainder { path: path.to_owned(), reason, detail });
        }
        *count += 1;
    }

    /// What is not covered of a file whose bytes are.
    fn add_traits(&mut self, entry: &Entry) {
        let path = entry.path.as_str();
        if entry.mode & (0o6111 | 0o002) != 0 {
            self.add(path, Reason::Mode, Some(format!("{:04o}", entry.mode)));
        }
        if entry.shared.is_some() {
            self.add(path, Reason::HardLink, None);
        }
        if let Some(Link::Inside(target)) = entry.link.as_deref() {
            self.add(path, Reason::Link, Some(target.clone()));
        }
    }
}

/// Folders that hold no file, also not further down.
fn empty_folders(walked: &Walked) -> impl Iterator<Item = &str> {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for entry in walked.files.values() {
        let mut path = entry.path.as_str();
        // Once a folder is known, so are those above it.
        while let Some((parent, _)) = path.rsplit_once('/')
            && used.insert(parent)
        {
            path = parent;
        }
    }
    walked.folders.iter().map(String::as_str).filter(move |folder| !used.contains(folder))
}

/// What a verification of a source against its pins does not cover; reads no file. [`crate::Report`] has it too.
///
/// Errors are those of [`crate::verify`].
pub fn remainder(source: &Path, pins: &[FilePin], options: &Options) -> Result<Remainders, VerifyError> {
    let pins = checked(source, pins)?;
    Ok(compare(&Source::open(source)?, &pins, options)?.remainder)
}

/// What of a source without pins is not covered by the digests that [`crate::digest_source`] makes of it; reads no file.
///
/// # Errors
///
/// Where the source is not there or cannot be opened, or when the run is stopped.
pub fn remainder_unpinned(source: &Path, options: &Options) -> Result<Remainders, VerifyError> {
    let walked = Source::open(source)?.walk(&options.cancel)?;
    Ok(Remainders::of(&walked, |entry| is_hub_metadata(entry.path.as_str()).then_some(Reason::HubMetadata)))
}
