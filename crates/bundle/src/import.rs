//! Bringing a bundle into a store: straight in, verified in the same pass, one volume after the other and in any order.
//!
//! [`Import::begin`] writes down what is to come; from then on nothing of it is pruned. [`Import::take`] reads a payload once,
//! from its start to its end. A chunk's bytes are written at their places while its BLAKE3 is computed, and count when that is the
//! one of the table. Files are hashed by SHA-256 in the same pass as far as their bytes come in order; what came out of order is
//! read once more when it is whole. A file becomes a blob when its digest is right, and gets its receipt then.
//! [`Import::install`] makes models, images and the files of the stack of it.
//!
//! What is in is known by the store's own files (blobs, and partial files with their journals), so a run that was cut off at any
//! moment is completed by the next one. This module trusts the index that it is given: who signed it is asked before.

mod base;
mod install;
mod pass;
mod plan;
mod state;
mod target;

pub use install::{Installed, installed, is_complete};
pub use state::{Brought, Unfinished, forget, unfinished};

use crate::chunk::ChunkTable;
use crate::index::{Index, Part};
use crate::volume::VolumeId;
use plan::{Segment, VolumePlan};
use sovai_core::{FilePin, Name, RelPath, Reporter, Sha256};
use sovai_store::{Store, StoreError, StoreLock};
use sovai_verifier::{Cancel, Options, Stored, VerifyError, check_stored};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use target::{Target, Targets};

/// What others are told who find something busy.
pub(crate) const HOLDER: &str = "sovai bundle import";
/// Free space that is left over for journals and small files, in bytes.
const SPARE: u64 = 16 << 20;

/// Why a bundle cannot be brought in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store failed, is full, or is busy.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Blobs of the store could not be verified.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// It does not fit.
    #[error("not enough space in {}: {needed} bytes are needed, {free} are free", .path.display())]
    NoSpace {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// The store.
        path: PathBuf,
    },
    /// The store lacks blobs of the base, or has other bytes under their names.
    #[error("the store lacks {} of the bundle's base", count(.missing.len()))]
    Base {
        /// The blobs that are needed and not there, or damaged.
        missing: Vec<Sha256>,
    },
    /// Another bundle of this stack with this number is half brought in.
    #[error("another bundle {stack}-{sequence} is half brought in: its index is {found}, not {expected}")]
    Other {
        /// The stack.
        stack: Name,
        /// The number of both.
        sequence: u64,
        /// Digest of the index that is to be brought in.
        expected: Sha256,
        /// Digest of the one that is in the store.
        found: Sha256,
    },
    /// What was signed contradicts itself.
    #[error("the bundle contradicts itself: {0}")]
    Contradiction(String),
    /// It is not whole yet.
    #[error("the bundle is not whole yet")]
    NotWhole,
    /// It was stopped.
    #[error("stopped")]
    Cancelled,
}

fn count(blobs: usize) -> String {
    format!("{blobs} blob{}", if blobs == 1 { "" } else { "s" })
}

/// Where a payload is read from. A file is one.
pub trait Payload: Sync {
    /// Reads bytes at a place; fewer than asked for only where there are no more.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
}

impl Payload for File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match std::os::unix::fs::FileExt::read_at(self, rest, at.saturating_add(read as u64)) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}

/// What is wrong with a chunk.
#[derive(Debug)]
pub enum Fault {
    /// Its bytes are not those of the table.
    Wrong,
    /// The payload ends before it does.
    Short,
    /// The system could not read it.
    Unreadable(io::Error),
}

/// A chunk that could not be brought in.
#[derive(Debug)]
pub struct Damage {
    /// The volume.
    pub volume: VolumeId,
    /// Its number, from 1.
    pub chunk: u64,
    /// Where it begins in the payload, in bytes.
    pub at: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What came of reading one payload.
#[derive(Debug, Default)]
pub struct Taken {
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that were in before, by the chunks that were not read again.
    pub there: u64,
    /// Chunks that were not brought in, in their order.
    pub damaged: Vec<Damage>,
    /// Whether the reading was given up before the end: chunk after chunk could not be read.
    pub given_up: bool,
}

/// How to bring in.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Files that are hashed at once where they are read again.
    pub threads: NonZeroUsize,
    /// Stops the run; what is in stays for the next one.
    pub cancel: Cancel,
}

/// A bundle on its way into a store. Whoever has one holds the stack's lock.
pub struct Import<'a> {
    store: &'a Store,
    index: &'a Index,
    chunks: &'a ChunkTable,
    options: ImportOptions,
    reporter: &'a dyn Reporter,
    targets: Targets,
    plans: Vec<VolumePlan>,
    /// Bytes of all files that are to be in the store, each counted once.
    total: u64,
}

impl std::fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("bundle", &self.index.name()).finish_non_exhaustive()
    }
}

impl<'a> Import<'a> {
    /// Looks what is in already, that the rest fits, and that the base is there; then writes down what is to come. `text` is the
    /// index byte for byte; `chunks` is the table whose digest stands in it. Nothing is written when this fails.
    pub fn begin(
        store: &'a Store,
        _stack: &StoreLock,
        (index, text): (&'a Index, &[u8]),
        chunks: &'a ChunkTable,
        options: ImportOptions,
        reporter: &'a dyn Reporter,
    ) -> Result<Self, ImportError> {
        for (id, volume) in index.all_volumes() {
            let (found, expected) = (chunks.of(id).len() as u64, index.chunk_count(&volume.payload));
            if found != expected {
                let what = format!("{id} has {expected} chunks, and the table {found}");
                return Err(ImportError::Contradiction(what));
            }
        }
        let items = distinct(index)?;
        let stored = look(store, &items, &options, reporter)?;
        base::check(store, index, &stored, &options, reporter)?;
        state::refuse_other(store, index, text)?;
        let saved = state::load(store, index);
        let targets = Targets::new(items, &stored, saved);
        let total = targets.iter().map(|target| target.size).fold(0, u64::saturating_add);
        let is_new = !state::is_begun(store, index)?;
        let lacking =
            |target: &Target| if is_new && !target.is_done() { target.size } else { target.lacking(store) };
        let needed = targets.iter().map(lacking).fold(0, u64::saturating_add);
        if needed > 0 {
            let (needed, free) = (needed.saturating_add(SPARE), store.free_bytes()?);
            if needed > free {
                return Err(ImportError::NoSpace { needed, free, path: store.root().to_owned() });
            }
        }
        if is_new {
            // What an unfinished download left was verified by nobody.
            for target in targets.iter().filter(|target| !target.is_done()) {
                store.remove_partial(&target.sha256)?;
            }
        }
        state::begin(store, index, text)?;
        let plans = plan::plans(index, &targets);
        let import = Self { store, index, chunks, options, reporter, targets, plans, total };
        import.begin_targets()?;
        Ok(import)
    }

    /// What needs no volume: files of no bytes, and bytes of the base.
    fn begin_targets(&self) -> Result<(), ImportError> {
        for target in
            self.targets.iter().filter(|target| !target.is_done() && target.lacking(self.store) == 0)
        {
            if target.size == 0 {
                target.put(self.store, &[])?;
            } else {
                // A run was cut off between its last byte and its name.
                target.open(self.store)?;
            }
        }
        base::copy(self)?;
        self.settle()
    }

    /// Bytes of the bundle's files that are in, and of all of them.
    pub fn progress(&self) -> (u64, u64) {
        let lacking =
            self.targets.iter().map(|target| target.lacking(self.store)).fold(0, u64::saturating_add);
        (self.total.saturating_sub(lacking), self.total)
    }

    /// The volumes of data of which something is missing.
    pub fn missing(&self) -> Vec<VolumeId> {
        let lacks = |plan: &&VolumePlan| plan.segments.iter().any(|segment| self.lacks(segment));
        self.plans.iter().filter(lacks).map(|plan| VolumeId::Data(plan.volume)).collect()
    }

    /// Whether every file is a blob of the store.
    pub fn is_whole(&self) -> bool {
        self.targets.iter().all(Target::is_done)
    }

    /// Reads the payload of a volume of data and brings in what is missing. Damage does not stop it.
    pub fn take(&self, volume: u16, payload: &dyn Payload) -> Result<Taken, ImportError> {
        let Some(plan) = usize::from(volume).checked_sub(1).and_then(|at| self.plans.get(at)) else {
            return Err(ImportError::Contradiction(format!("there is no volume {volume}")));
        };
        let taken = pass::run(self, plan, payload);
        // Also after an error: what is verified is kept.
        let settled = self.settle();
        let taken = taken?;
        settled?;
        Ok(taken)
    }

    fn lacks(&self, segment: &Segment) -> bool {
        self.targets.get(segment.target).is_some_and(|target| target.lacks(self.store, &segment.range()))
    }

    /// Finishes files whose bytes are all there and were not all hashed; brings the others to the disk, and writes down how far
    /// they are hashed and that blobs arrived.
    fn settle(&self) -> Result<(), ImportError> {
        let finished = target::finish_all(self);
        let mut saved = BTreeMap::new();
        for target in self.targets.iter() {
            if let Some(state) = target.rest()? {
                saved.insert(target.sha256, state);
            }
        }
        let arrivals = self.targets.take_arrivals();
        match sovai_verifier::record_arrivals(self.store, &arrivals) {
            // It costs a later run its speed, and nothing else.
            Err(VerifyError::Store(StoreError::Busy { .. })) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
        state::save(self.store, self.index, &saved)?;
        finished
    }
}

/// The files by their digest: each is brought in once, by the first item that has it.
fn distinct(index: &Index) -> Result<Vec<(Sha256, u64, Vec<Part>)>, ImportError> {
    let mut found: BTreeMap<Sha256, (u64, &[Part])> = BTreeMap::new();
    for item in &index.items {
        let (size, _) = *found.entry(item.sha256).or_insert((item.size, &item.parts));
        if size != item.size {
            let what =
                format!("`{}` has {} bytes, and another file of its digest {size}", item.path, item.size);
            return Err(ImportError::Contradiction(what));
        }
    }
    Ok(found.into_iter().map(|(sha256, (size, parts))| (sha256, size, parts.to_vec())).collect())
}

/// Which of the files the store has.
fn look(
    store: &Store,
    items: &[(Sha256, u64, Vec<Part>)],
    options: &ImportOptions,
    reporter: &dyn Reporter,
) -> Result<BTreeMap<Sha256, Stored>, ImportError> {
    let pins: Vec<FilePin> = items.iter().filter_map(|(sha256, size, _)| pin(*sha256, *size)).collect();
    Ok(check_stored(store, &pins, &options.verify(), reporter)?)
}

/// A blob as a file that is to be verified.
fn pin(sha256: Sha256, size: u64) -> Option<FilePin> {
    let path = RelPath::new(&format!("blobs/sha256/{}", sha256.hex())).ok()?;
    Some(FilePin { path, size, sha256 })
}

impl ImportOptions {
    fn verify(&self) -> Options {
        Options { cancel: self.cancel.clone(), ..Options::new(self.threads) }
    }
}

/// The partial file of a target, shared by the threads of a pass.
type Shared = Arc<sovai_store::Partial>;
