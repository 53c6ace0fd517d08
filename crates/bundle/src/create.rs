//! Writing a bundle: each source byte is read once and written once, and hashed on the way.
//!
//! All is written below a hidden folder of the target, with a journal; at the end the volumes' folders are renamed to their
//! names. Whoever is killed is followed by a run that goes on where the journal ends, if it is asked for the same bundle.

mod journal;
mod pipe;
mod seal;
mod stream;

use crate::chunk::ChunkTable;
use crate::index::Index;
use crate::parity::{self, ParityError, Shard};
use crate::plan::{Made, Plan};
use crate::progress::Progress;
use crate::sums;
use crate::volume::VolumeId;
use journal::Journal;
use sovai_core::{Reporter, Sha256, Step};
use sovai_signing::PrivateKey;
use sovai_store::{Store, StoreError, StoreLock};
use sovai_verifier::Cancel;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Name of the hidden folder in which a bundle is made.
const WORK: &str = ".sovai-create";
/// Name of the lock beside it.
const LOCK: &str = ".sovai-create.lock";

/// Why a bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// A folder with a volume's name is there.
    #[error("`{}` is there already", .path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Not enough room.
    #[error("`{}` has {free} bytes free, and {needed} bytes are to be written", .path.display())]
    NoSpace {
        /// The folder that is written to.
        path: PathBuf,
        /// Bytes that are still to be written.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// A file of the store, or another source, is not what it was taken for.
    #[error("`{}` is damaged: expected SHA-256 {expected}, found {found}", .path.display())]
    Rotten {
        /// The file.
        path: PathBuf,
        /// Its digest, as it should be.
        expected: Sha256,
        /// What was found: a digest, or how many bytes.
        found: String,
    },
    /// The file system failed.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The store failed, or another process is making a bundle in this folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Parity could not be computed.
    #[error("parity cannot be computed")]
    Parity(#[source] ParityError),
    /// Interrupted; the same command goes on.
    #[error("interrupted")]
    Cancelled,
}

impl From<ParityError> for CreateError {
    fn from(error: ParityError) -> Self {
        match error {
            ParityError::Cancelled => Self::Cancelled,
            other => Self::Parity(other),
        }
    }
}

impl CreateError {
    fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }
}

/// Who signs, how to stop, and how often the disk is waited for.
#[derive(Debug)]
pub struct Options<'a> {
    /// Signs the index.
    pub key: &'a PrivateKey,
    /// Stops the run.
    pub cancel: Cancel,
    /// Bytes after which what was written so far is made to last, and the journal says so.
    pub step: u64,
    /// Threads that compute parity.
    pub threads: NonZeroUsize,
}

impl<'a> Options<'a> {
    /// The usual way.
    pub fn new(key: &'a PrivateKey) -> Self {
        Self { key, cancel: Cancel::default(), step: 128 << 20, threads: NonZeroUsize::MIN }
    }
}

/// A bundle that an earlier run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Its sequence number.
    pub sequence: u64,
    /// Its time of creation.
    pub created: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Created {
    /// The index.
    pub index: Index,
    /// SHA-256 of the index's bytes: what was signed.
    pub digest: Sha256,
    /// The volumes' folders.
    pub volumes: Vec<PathBuf>,
    /// Bytes that an earlier run had written already.
    pub resumed: u64,
}

/// A folder that bundles are written into, held by this process.
#[derive(Debug)]
pub struct Workshop {
    out: PathBuf,
    work: PathBuf,
    journal: Option<Journal>,
    _lock: StoreLock,
}

impl Workshop {
    /// Takes the folder `out`, and makes it when it is not there; busy while another process writes into it.
    pub fn open(out: &Path, holder: &str) -> Result<Self, CreateError> {
        fs_err::create_dir_all(out).map_err(|error| CreateError::io("create", out, error))?;
        let out = fs_err::canonicalize(out).map_err(|error| CreateError::io("find", out, error))?;
        let lock = StoreLock::take_passing(&out.join(LOCK), holder)?;
        let work = out.join(WORK);
        let journal = Journal::read(&work);
        Ok(Self { out, work, journal, _lock: lock })
    }

    /// The hidden folder, as an absolute path: what a root of the store can be named by.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The bundle that an earlier run has not finished.
    pub fn begun(&self) -> Option<Begun> {
        self.journal.as_ref().map(Journal::begun)
    }

    /// Whether that is the one of this plan, signed by this key.
    pub fn is_begun(&self, plan: &Plan, key: &PrivateKey) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.inputs() == inputs(plan, key))
    }

    /// Bytes that are still to be written.
    pub fn missing(&self, plan: &Plan, key: &PrivateKey) -> u64 {
        let there =
            if self.is_begun(plan, key) { self.journal.as_ref().map_or(0, Journal::written) } else { 0 };
        plan.total().saturating_sub(there)
    }

    /// Refuses what cannot end well: a volume that is there already, too little room. Nothing is written.
    pub fn check(&self, plan: &Plan, key: &PrivateKey) -> Result<(), CreateError> {
        let goes_on = self.is_begun(plan, key);
        if !(goes_on && self.journal.as_ref().is_some_and(Journal::is_sealed)) {
            for id in plan.ids() {
                let path = self.out.join(id.folder(&plan.contents.stack, plan.contents.sequence));
                if fs_err::symlink_metadata(&path).is_ok() {
                    return Err(CreateError::Exists { path });
                }
            }
        }
        let stat = rustix::fs::statvfs(&self.out)
            .map_err(|error| CreateError::io("look at the free space of", &self.out, error))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        // What another plan left behind goes first.
        let left = self.journal.as_ref().filter(|_| !goes_on).map_or(0, Journal::written);
        let needed = self.missing(plan, key);
        if needed > free.saturating_add(left) {
            return Err(CreateError::NoSpace { path: self.out.clone(), needed, free });
        }
        Ok(())
    }

    /// Writes the bundle. What is not the plan's in the hidden folder goes first.
    ///
    /// A blob of the store that is not what its name says ends it, and nothing that was written stays.
    pub fn write(
        mut self,
        plan: &Plan,
        store: &Store,
        options: &Options<'_>,
        reporter: &dyn Reporter,
    ) -> Result<Created, CreateError> {
        self.check(plan, options.key)?;
        let inputs = inputs(plan, options.key);
        let mut journal = self.journal(inputs, plan)?;
        let resumed = journal.written();
        if !journal.is_sealed() {
            let made = match self.data(plan, store, options, &mut journal, reporter) {
                Err(error @ CreateError::Rotten { .. }) => {
                    drop(journal);
                    self.clear()?;
                    return Err(error);
                }
                made => made?,
            };
            let made = self.parity(plan, made, options, reporter)?;
            seal::seal(&self.work, plan, &made, options.key)?;
            journal.seal()?;
        }
        let (index, digest, volumes) = seal::publish(&self.work, &self.out, plan)?;
        drop(journal);
        self.clear()?;
        Ok(Created { index, digest, volumes, resumed })
    }

    /// The journal of an earlier run for the same, or a new one in an empty folder.
    fn journal(&mut self, inputs: Sha256, plan: &Plan) -> Result<Journal, CreateError> {
        if let Some(mut journal) = self.journal.take().filter(|journal| journal.inputs() == inputs) {
            journal.reopen()?;
            return Ok(journal);
        }
        self.clear()?;
        fs_err::create_dir(&self.work).map_err(|error| CreateError::io("create", &self.work, error))?;
        let begun = Begun { sequence: plan.contents.sequence, created: plan.contents.created };
        Journal::begin(&self.work, inputs, begun)
    }

    /// Writes the payloads of data.
    fn data(
        &self,
        plan: &Plan,
        store: &Store,
        options: &Options<'_>,
        journal: &mut Journal,
        reporter: &dyn Reporter,
    ) -> Result<Made, CreateError> {
        let mut made = Made { payloads: Vec::new(), parity: Vec::new(), chunks: ChunkTable::default() };
        let name = plan.name();
        let total = plan.volumes.iter().map(|volume| volume.size).sum();
        let progress = Progress::new(reporter, Step::Bundle, total);
        for (id, volume) in plan.ids().zip(&plan.volumes) {
            let folder = seal::folder(&self.work, plan, id)?;
            let path = folder.join(id.payload(&plan.contents.stack, plan.contents.sequence));
            let task = stream::Task { plan, name: &name, id, volume, path: &path, store, options };
            let (payload, chunks) = stream::write(&task, journal, &progress)?;
            made.payloads.push(payload);
            made.chunks.insert(id, chunks);
        }
        progress.finish(&name);
        Ok(made)
    }

    /// Writes the payloads of parity, computed of those of data, and adds their digests and chunks. The payloads of data lie
    /// under [`Workshop::work`] in the folders of their volumes.
    fn parity(
        &self,
        plan: &Plan,
        mut made: Made,
        options: &Options<'_>,
        reporter: &dyn Reporter,
    ) -> Result<Made, CreateError> {
        if plan.parity == 0 {
            return Ok(made);
        }
        let (data, lost): (Vec<_>, Vec<_>) = plan.ids().partition(|id| !id.is_parity());
        let path = |id: VolumeId| -> Result<PathBuf, CreateError> {
            let payload = id.payload(&plan.contents.stack, plan.contents.sequence);
            Ok(seal::folder(&self.work, plan, id)?.join(payload))
        };
        let open = |id: &VolumeId| {
            let path = path(*id)?;
            fs_err::File::open(&path).map_err(|error| CreateError::io("read", &path, error))
        };
        let create = |id: &VolumeId| {
            let path = path(*id)?;
            // What an earlier run wrote is written once more: it is the same, but whether it lasted is not known.
            fs_err::File::create(&path).map_err(|error| CreateError::io("write", &path, error))
        };
        let files = data.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let out = lost.iter().map(create).collect::<Result<Vec<_>, _>>()?;
        let sizes = made.payloads.iter().map(|payload| payload.size);
        let shards: Vec<_> = files.iter().zip(sizes).map(|(file, size)| Shard { file, size }).collect();
        let name = format!("{} (parity)", plan.name());
        let progress = Progress::new(reporter, Step::Bundle, shards.iter().map(|shard| shard.size).sum());
        let add = |bytes| progress.add(&name, bytes);
        let run = parity::Run { threads: options.threads, cancel: &options.cancel, progress: &add };
        for (id, encoded) in lost.into_iter().zip(parity::encode(&shards, &out, plan.chunk_size, &run)?) {
            made.parity.push(encoded.payload);
            made.chunks.insert(id, encoded.chunks);
        }
        progress.finish(&name);
        Ok(made)
    }

    /// Removes the hidden folder and all in it.
    fn clear(&self) -> Result<(), CreateError> {
        match fs_err::remove_dir_all(&self.work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CreateError::io("remove", &self.work, error))
            }
            _ => seal::sync(&self.out),
        }
    }
}

/// What a plan and a key come to: two runs with the same value write the same bytes.
fn inputs(plan: &Plan, key: &PrivateKey) -> Sha256 {
    let mut text = plan.planned_index();
    text.push_str(&key.public().id().to_string());
    sums::sha256(text.as_bytes())
}
