//! The whole store: every blob read again, every tree and entry looked at; and what is removed from it.

use crate::Options;
use crate::error::VerifyError;
use crate::hash::{Outcome, Progress, Reading, hash, pool};
use crate::identity::{Identity, settle};
use crate::receipts::BlobReceipts;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use sovai_core::{Reporter, Sha256};
use sovai_store::{Artifact, Content, Marked, Removed, Store, StoreAlone, StoreError, StoreHold};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::Path;

/// How often a blob is read again whose link count changes while it is read.
const TRIES: u32 = 5;

/// What is wrong in a store. Which models and images it hits follows from the digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum StoreFinding {
    /// A blob has other bytes than its name says.
    BlobDamaged {
        /// Its name.
        digest: Sha256,
        /// The digest of its bytes.
        found: Sha256,
    },
    /// A blob cannot be read to its end.
    BlobUnreadable {
        /// Its name.
        digest: Sha256,
        /// What the system said.
        error: String,
    },
    /// What has a blob's name is no regular file: a link, a folder, a pipe.
    BlobKind {
        /// Its name.
        digest: Sha256,
    },
    /// Something refers to a blob that is not there.
    BlobMissing {
        /// The blob.
        digest: Sha256,
    },
    /// A manifest refers to a blob with another length than it has.
    BlobSize {
        /// The blob.
        digest: Sha256,
        /// Length by the manifest, in bytes.
        expected: u64,
        /// Length of the file, in bytes.
        found: u64,
    },
    /// The bytes of a manifest are right, and it is no manifest: what it refers to is not known.
    Manifest {
        /// Its digest.
        digest: Sha256,
        /// Why not.
        reason: String,
    },
    /// An index of platforms is there, and none of its images.
    NoPlatform {
        /// Its digest.
        digest: Sha256,
    },
    /// The tree of a model lacks files, has others, or can be written; the next deploy makes it anew.
    Tree {
        /// The model.
        digest: Sha256,
    },
}

impl StoreFinding {
    /// The blob or the model that it is about.
    pub const fn digest(&self) -> Sha256 {
        match self {
            Self::BlobDamaged { digest, .. }
            | Self::BlobUnreadable { digest, .. }
            | Self::BlobKind { digest }
            | Self::BlobMissing { digest }
            | Self::BlobSize { digest, .. }
            | Self::Manifest { digest, .. }
            | Self::NoPlatform { digest }
            | Self::Tree { digest } => *digest,
        }
    }

    /// Whether the blob itself is wrong, so that it helps nobody: it can be removed, and a pull brings it again.
    pub const fn is_damaged_blob(&self) -> bool {
        matches!(self, Self::BlobDamaged { .. } | Self::BlobUnreadable { .. } | Self::BlobKind { .. })
    }
}

/// What a verification of a store came to.
#[derive(Debug)]
pub struct StoreReport {
    /// What is wrong, sorted.
    pub findings: Vec<StoreFinding>,
    /// What the index refers to.
    pub artifacts: Vec<Artifact>,
    /// Blobs that were read.
    pub blobs: usize,
    /// Bytes that were read.
    pub bytes: u64,
    /// Trees that were looked at.
    pub trees: usize,
    /// Names in `blobs/sha256` and `trees` that are no digest: not sovai's, and not looked at.
    pub foreign: BTreeSet<String>,
    /// The state of blobs that were found damaged, for [`remove_damaged`].
    damaged: BTreeMap<Sha256, Option<Identity>>,
}

/// Reads every blob again and compares its bytes with its name; looks whether everything is there that the index and its
/// manifests refer to, and whether the trees are whole. The blobs that are right get receipts.
///
/// `hold` is for a store that can be written; without one nothing is written down. An index that cannot be read is an error.
pub fn verify_store(
    store: &Store,
    hold: Option<&StoreHold>,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<StoreReport, VerifyError> {
    let mut report = StoreReport {
        findings: Vec::new(),
        artifacts: Vec::new(),
        blobs: 0,
        bytes: 0,
        trees: 0,
        foreign: BTreeSet::new(),
        damaged: BTreeMap::new(),
    };
    // An hour of reading for an index that cannot be read would be an hour lost.
    store.index()?;
    let mut blobs = BlobReceipts::load(store);
    let known = report.read_blobs(store, &mut blobs, options, reporter)?;
    report.artifacts = store.artifacts()?;
    let artifacts = std::mem::take(&mut report.artifacts);
    for artifact in &artifacts {
        report.look_at(artifact, &known);
    }
    report.artifacts = artifacts;
    report.look_at_trees(store)?;
    report.findings.sort();
    report.findings.dedup();
    if hold.is_some() {
        write_down(store, blobs, options)?;
    }
    Ok(report)
}

/// Receipts of what was read. A store that is busy or full costs the next run its speed, and this one nothing.
fn write_down(store: &Store, mut blobs: BlobReceipts<'_>, options: &Options) -> Result<(), VerifyError> {
    let saved = store.lock_patiently("sovai store verify", options.patience).and_then(|_lock| {
        blobs.refresh();
        blobs.save()
    });
    match saved {
        Err(StoreError::Busy { .. } | StoreError::NoSpace { .. } | StoreError::NotWritable { .. })
        | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl StoreReport {
    /// Reads every blob; gives the lengths of those that are there.
    fn read_blobs(
        &mut self,
        store: &Store,
        blobs: &mut BlobReceipts<'_>,
        options: &Options,
        reporter: &dyn Reporter,
    ) -> Result<BTreeMap<Sha256, u64>, VerifyError> {
        let mut known = BTreeMap::new();
        let mut jobs = Vec::new();
        for (digest, meta) in self.names(store, "blobs/sha256")? {
            match meta {
                Some(meta) if meta.is_file() => {
                    known.insert(digest, meta.len());
                    jobs.push((digest, meta.len()));
                }
                Some(_) => {
                    known.insert(digest, 0);
                    self.damaged.insert(digest, None);
                    self.findings.push(StoreFinding::BlobKind { digest });
                }
                // Gone between the look at the folder and the look at the file.
                None => {}
            }
        }
        jobs.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let total = jobs.iter().fold(0, |sum: u64, (_, size)| sum.saturating_add(*size));
        settle(jobs.iter().filter_map(|(digest, _)| blobs.state(digest)).collect::<Vec<_>>().iter());
        let progress = Progress::new(reporter, total);
        let results = {
            let blobs = &*blobs;
            pool(&jobs, options, |(digest, size), buffer| {
                read_blob(
                    store,
                    blobs,
                    digest,
                    *size,
                    buffer,
                    Reading { options, progress: &progress, subject: &digest.hex() },
                )
            })?
        };
        progress.finish(&store.root().to_string_lossy());
        self.bytes = progress.done();
        self.blobs = results.len();
        for (digest, state, finding) in results {
            match finding {
                None => blobs.set_good(&digest, state),
                Some(finding) => {
                    blobs.forget(&digest, state);
                    self.damaged.insert(digest, state);
                    self.findings.push(finding);
                }
            }
        }
        Ok(known)
    }

    /// The entries of a folder whose names are digests; others are noted.
    fn names(
        &mut self,
        store: &Store,
        folder: &str,
    ) -> Result<Vec<(Sha256, Option<std::fs::Metadata>)>, VerifyError> {
        let path = store.root().join(folder);
        let mut found = Vec::new();
        for entry in
            fs_err::read_dir(&path).map_err(|error| StoreError::io("read the folder", &path, error))?
        {
            let entry = entry.map_err(|error| StoreError::io("read the folder", &path, error))?;
            let name = entry.file_name();
            let text = name.to_string_lossy();
            match Sha256::from_hex(&text) {
                Ok(digest) => found.push((digest, entry.metadata().ok())),
                Err(_) if text.starts_with(".tmp-") => {}
                Err(_) => {
                    self.foreign.insert(format!("{folder}/{text}"));
                }
            }
        }
        Ok(found)
    }

    fn look_at(&mut self, artifact: &Artifact, known: &BTreeMap<Sha256, u64>) {
        for (digest, reason) in &artifact.broken {
            // One that is missing or damaged is told as a blob.
            if known.contains_key(digest) && !self.damaged.contains_key(digest) {
                self.findings.push(StoreFinding::Manifest { digest: *digest, reason: reason.clone() });
            }
        }
        for (digest, size) in &artifact.blobs {
            match known.get(digest) {
                None => self.findings.push(StoreFinding::BlobMissing { digest: *digest }),
                Some(found) if found != size && !self.damaged.contains_key(digest) => {
                    let (digest, expected, found) = (*digest, *size, *found);
                    self.findings.push(StoreFinding::BlobSize { digest, expected, found });
                }
                Some(_) => {}
            }
        }
        let is_empty =
            artifact.configs.is_empty() && artifact.broken.is_empty() && !artifact.absent.is_empty();
        if artifact.content == Content::Image && is_empty {
            self.findings.push(StoreFinding::NoPlatform { digest: artifact.digest });
        }
    }

    fn look_at_trees(&mut self, store: &Store) -> Result<(), VerifyError> {
        for (digest, _) in self.names(store, "trees")? {
            self.trees += 1;
            let is_whole = store.model_files(&digest).is_ok_and(|files| store.tree_is_whole(&digest, &files));
            if !is_whole {
                self.findings.push(StoreFinding::Tree { digest });
            }
        }
        Ok(())
    }
}

type ReadBlob = (Sha256, Option<Identity>, Option<StoreFinding>);

fn read_blob(
    store: &Store,
    blobs: &BlobReceipts<'_>,
    digest: &Sha256,
    size: u64,
    buffer: &mut [u8],
    reading: Reading<'_>,
) -> Result<ReadBlob, VerifyError> {
    let path = store.blob(digest);
    let failed =
        |error: &io::Error| Some(StoreFinding::BlobUnreadable { digest: *digest, error: error.to_string() });
    for attempt in 1.. {
        let before = blobs.state(digest);
        let file = match open(&path) {
            Ok(file) => file,
            Err(error) => return Ok((*digest, before, failed(&error))),
        };
        let outcome = hash(&file, size, None, buffer, reading)?;
        let after = blobs.state(digest);
        // Somebody links it, or puts another in its place, while it is read.
        if before != after && attempt < TRIES {
            continue;
        }
        let state = if before == after { after } else { None };
        return Ok(match outcome {
            Outcome::Digest(found) if found == *digest => (*digest, state, None),
            Outcome::Digest(found) => {
                (*digest, state, Some(StoreFinding::BlobDamaged { digest: *digest, found }))
            }
            Outcome::OtherLength => {
                (*digest, state, failed(&io::Error::other("its length changes while it is read")))
            }
            Outcome::Failed(error) => (*digest, state, failed(&error)),
        });
    }
    Ok((*digest, None, None))
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Removes the blobs that [`verify_store`] found damaged, unless they changed since: then somebody has mended them. Says which
/// it removed. What uses them is not whole then, and a pull brings them again.
pub fn remove_damaged(
    store: &Store,
    _alone: &StoreAlone,
    report: &StoreReport,
) -> Result<BTreeSet<Sha256>, VerifyError> {
    let mut removed = BTreeSet::new();
    let lock = store.lock_patiently("sovai store verify", crate::PATIENCE)?;
    let mut blobs = BlobReceipts::load(store);
    let work = |blobs: &mut BlobReceipts<'_>| -> Result<(), StoreError> {
        for (digest, state) in &report.damaged {
            if blobs.state(digest) == *state {
                store.remove_blob(&lock, digest)?;
                removed.insert(*digest);
            }
        }
        Ok(())
    };
    let done = blobs.across(work);
    blobs.save()?;
    done?;
    Ok(removed)
}

/// Removes what nothing names ([`Store::mark`]), and what dead processes have left half-written. The receipts of blobs that
/// stay are written anew, since links of them go; those of blobs that go are gone. Stops between two blobs when `options`
/// say so: [`Removed::stopped`].
pub fn prune_store(
    store: &Store,
    alone: &StoreAlone,
    marked: &Marked,
    options: &Options,
) -> Result<Removed, VerifyError> {
    let lock = store.lock_patiently("sovai store prune", options.patience)?;
    let mut blobs = BlobReceipts::load(store);
    let removed = blobs.across(|_| {
        store.sweep(&lock)?;
        store.remove_marked(alone, &lock, marked, &|| options.cancel.is_cancelled())
    });
    // Also after a failure.
    let saved = blobs.save();
    let removed = removed?;
    match saved {
        // A full disk is what a prune is for: without receipts the next run reads again.
        Err(StoreError::NoSpace { .. }) | Ok(()) => Ok(removed),
        Err(error) => Err(error.into()),
    }
}
