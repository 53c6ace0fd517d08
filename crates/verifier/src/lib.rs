//! Verification of a model's files against pinned digests.
//!
//! [`verify`] reads only; [`admit`] also brings the bytes into the store while it hashes them, and hands out a
//! [`Receipt`], which is the only proof that later steps take; [`digest_source`] makes pins from a source.
//!
//! [`Hasher`] and [`record_arrivals`] are for bytes that come from outside: what was hashed on arrival need not be read again,
//! and [`admit_stored`] makes a model of it.
//!
//! [`verify_signed`] compares a source with the list of files that a signature speaks for.
//!
//! Invariants: findings are data ([`Finding`]), an `Err` means that the check could not be done. No link is followed out
//! of a source (the links of a hub's cache lead to its own blobs), nothing but regular files is read, and no read can
//! block on a pipe. Memory does not grow with the size of files. What is committed to the store is exactly what was
//! hashed. This crate is synchronous, and never prints.

mod admit;
mod arrival;
mod beneath;
mod compare;
mod error;
mod examine;
mod finding;
mod hash;
mod identity;
mod input;
mod layout;
mod pace;
mod passport;
mod receipts;
mod remainder;
mod run;
mod scan;
mod signed;
mod tree;
mod verity;
mod walk;
mod whole;

pub use admit::{Admission, Receipt, admit, admit_stored};
pub use arrival::{Arrival, Hashed, Hasher, SavedHasher, Stored, check_stored, record_arrivals};
pub use error::VerifyError;
pub use examine::{
    CARD, Examination, FileFact, FormatFinding, LicenseText, Scope, TensorsError, Weights, examine,
    examine_scope, model_card, tensors,
};
pub use finding::{ByteRange, Finding, Kind};
pub use pace::{Pace, lower_priority};
pub use passport::{
    Digests, FileDigests, GitBlobId, MAX_GIT_BLOB, Passport, PassportError, PassportFile, TrustedPassport,
    digest_files, git_blobs, make_passport, verify_against, verify_against_trusted,
};
pub use remainder::{GENERAL, MAX_LISTED, Reason, Remainder, Remainders, remainder, remainder_unpinned};
pub use run::{Report, digest_source, digest_source_except, open_file, verify};
pub use scan::{Hint, scan};
pub use signed::{SignedList, SignedReport, uncovered, verify_signed};
pub use tree::Blake3;
pub use walk::Links;
pub use whole::{StoreFinding, StoreReport, prune_store, remove_damaged, verify_store};

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How to verify.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many files are read at once.
    pub threads: NonZeroUsize,
    /// Stops the run from outside.
    pub cancel: Cancel,
    /// Whether files that did not change since they were verified are read again.
    pub reread: Reread,
    /// The most bytes a second, over all threads.
    pub pace: Pace,
    /// Reads go round the system's cache, where the file system lets them, and no receipt is believed. An event of kind
    /// note says where they cannot.
    pub from_disk: bool,
    /// How long a lock of the store is waited for that others hold for a moment only.
    pub patience: Duration,
}

/// Long enough for the tree of a hundred thousand files and a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);

impl Options {
    /// So many files at once, as fast as it goes, from the cache where the system has one, with receipts.
    pub fn new(threads: NonZeroUsize) -> Self {
        Self {
            threads,
            cancel: Cancel::default(),
            reread: Reread::UseReceipts,
            pace: Pace::unlimited(),
            from_disk: false,
            patience: PATIENCE,
        }
    }

    /// Whether a receipt may answer for a file.
    pub(crate) fn uses_receipts(&self) -> bool {
        self.reread == Reread::UseReceipts && !self.from_disk
    }
}

/// Whether files that did not change since they were verified are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reread {
    /// A file whose file system, inode, size, mtime and ctime are those of its receipt is not read.
    UseReceipts,
    /// Every file is read, in the source and in the store.
    Full,
}

/// A switch that stops a run; clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Stops the run: it ends with [`VerifyError::Cancelled`] within one buffer's read.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error when the run is to stop.
    pub(crate) fn check(&self) -> Result<(), VerifyError> {
        if self.is_cancelled() { Err(VerifyError::Cancelled) } else { Ok(()) }
    }
}
