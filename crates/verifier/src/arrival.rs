//! What comes from outside: hashed while it arrives, and known from then on.

use crate::Options;
use crate::compare::{checked, largest_first};
use crate::error::VerifyError;
use crate::hash::{Outcome, Progress, Reading, hash, pool};
use crate::identity::{FsId, Identity};
use crate::receipts::BlobReceipts;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use sha2::digest::common::hazmat::SerializableState as _;
use sovai_core::{FilePin, Reporter, Sha256};
use sovai_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

/// Hashes a file's bytes in their order, while they arrive.
#[derive(Clone, Default)]
pub struct Hasher {
    inner: sha2::Sha256,
    bytes: u64,
}

impl Hasher {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }

    /// How many bytes it took.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is needed to go on in another run: how far it came, and the state of the file that holds those bytes, which nobody
    /// may write meanwhile. Nothing where the file system cannot vouch for its files.
    pub fn save(&self, file: impl AsFd) -> Option<SavedHasher> {
        let fs = FsId::of(&file)?;
        let look = || Some(Identity::new(fs, &rustix::fs::fstat(&file).ok()?));
        // A change within the same tick of the clock would not show.
        crate::identity::settle(look().iter());
        let state = look().filter(|state| state.is_settled(SystemTime::now()))?;
        Some(SavedHasher { bytes: self.bytes, inner: self.inner.serialize().to_vec(), state })
    }

    /// Goes on from where [`Self::save`] was; nothing when the file is not in the state that it had then.
    pub fn resume(saved: &SavedHasher, file: impl AsFd) -> Option<Self> {
        let state = Identity::new(FsId::of(&file)?, &rustix::fs::fstat(&file).ok()?);
        let inner = sha2::Sha256::deserialize(&saved.inner.as_slice().try_into().ok()?).ok()?;
        (state == saved.state).then_some(Self { inner, bytes: saved.bytes })
    }

    /// The digest of all bytes.
    pub fn finish(self) -> Hashed {
        Hashed { sha256: Sha256::from_bytes(self.inner.finalize().into()), bytes: self.bytes }
    }
}

/// A [`Hasher`] between two runs, bound to the state of the file that it read, as a receipt is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedHasher {
    /// How many bytes it took.
    bytes: u64,
    /// The state of the hash function.
    inner: Vec<u8>,
    state: Identity,
}

impl SavedHasher {
    /// How many bytes it took.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Proof that bytes were hashed. Only a [`Hasher`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Hashed {
    sha256: Sha256,
    bytes: u64,
}

impl Hashed {
    /// Their digest.
    pub const fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// How many they were.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A blob that was hashed on its way into the store, and the state of its file just after it got its name.
#[derive(Debug)]
pub struct Arrival {
    sha256: Sha256,
    state: Option<Identity>,
}

impl Arrival {
    /// To be made right after the very bytes that were hashed got their name in the store, so that no change in the meantime
    /// is taken for the state that was written.
    pub fn new(store: &Store, hashed: &Hashed) -> Self {
        let sha256 = hashed.sha256;
        // A file of another length is not what was hashed.
        let is_same =
            fs_err::symlink_metadata(store.blob(&sha256)).is_ok_and(|meta| meta.len() == hashed.bytes);
        let state = if is_same { crate::receipts::blob_state(store, &sha256) } else { None };
        Self { sha256, state }
    }
}

/// Writes receipts of blobs that arrived, so that no later run reads them for their digest. A store that is busy is
/// [`StoreError::Busy`]; what is not written down costs a later run its speed, and nothing else.
pub fn record_arrivals(store: &Store, arrivals: &[Arrival]) -> Result<(), VerifyError> {
    if arrivals.iter().all(|arrival| arrival.state.is_none()) {
        return Ok(());
    }
    let _lock = store.lock_patiently("sovai, writing receipts of what arrived", PATIENCE)?;
    let mut blobs = BlobReceipts::load(store);
    for arrival in arrivals {
        // One that changed since is known to nobody.
        if arrival.state.is_some() && blobs.state(&arrival.sha256) == arrival.state {
            blobs.set_good(&arrival.sha256, arrival.state);
        }
    }
    blobs.save()?;
    Ok(())
}

/// What the store has of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Nothing.
    Missing,
    /// Its bytes: a receipt says so, or they were read just now.
    Good,
    /// Something else under its name.
    Damaged,
}

/// Looks which blobs the store has. Those without a receipt are hashed, and get one unless the store is busy. A blob that is
/// damaged is left where it is. `pins` that contradict one another are [`VerifyError::Pins`] only where one digest has
/// two sizes: several models may have files of one path.
pub fn check_stored(
    store: &Store,
    pins: &[FilePin],
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<BTreeMap<Sha256, Stored>, VerifyError> {
    let mut by_digest: BTreeMap<Sha256, FilePin> = BTreeMap::new();
    for pin in pins {
        let other = by_digest.entry(pin.sha256).or_insert_with(|| pin.clone());
        if other.size != pin.size {
            // Gives the error, with both paths.
            checked(store.root(), &[other.clone(), pin.clone()])?;
        }
    }
    let blobs = BlobReceipts::load(store);
    let mut found = BTreeMap::new();
    let mut jobs = Vec::new();
    for (digest, pin) in &by_digest {
        if !store.has_blob(digest) {
            found.insert(*digest, Stored::Missing);
        } else if options.uses_receipts() && blobs.is_good(digest) {
            found.insert(*digest, Stored::Good);
        } else {
            jobs.push(pin);
        }
    }
    if jobs.is_empty() {
        return Ok(found);
    }
    largest_first(&mut jobs, |pin| pin);
    crate::identity::settle(
        jobs.iter().filter_map(|pin| blobs.state(&pin.sha256)).collect::<Vec<_>>().iter(),
    );
    let progress = Progress::new(reporter, FilePin::total(jobs.iter().copied()));
    let results = pool(&jobs, options, |pin, buffer| {
        let (digest, state) = hash_steady(&blobs, store, pin, buffer, options, &progress)?;
        Ok((pin.sha256, digest == Some(pin.sha256), state))
    })?;
    progress.finish(&store.root().to_string_lossy());
    let mut arrivals = Vec::new();
    for (sha256, is_good, state) in results {
        found.insert(sha256, if is_good { Stored::Good } else { Stored::Damaged });
        if is_good {
            arrivals.push(Arrival { sha256, state });
        }
    }
    match record_arrivals(store, &arrivals) {
        Err(VerifyError::Store(StoreError::Busy { .. })) | Ok(()) => Ok(found),
        Err(error) => Err(error),
    }
}

/// How long the store's lock is waited for: what is at stake is the speed of a later run.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a blob is read again whose links change while it is read.
const TRIES: u32 = 5;

/// As [`hash_blob`], with the state that the blob had from before to after its reading. Another process may link the blob
/// meanwhile, which changes its state and not its bytes: then it is read again. Nothing when it changed in another way, too.
pub(crate) fn hash_steady(
    blobs: &BlobReceipts<'_>,
    store: &Store,
    pin: &FilePin,
    buffer: &mut [u8],
    options: &Options,
    progress: &Progress<'_>,
) -> Result<(Option<Sha256>, Option<Identity>), VerifyError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let before = blobs.state(&pin.sha256);
        let found = hash_blob(store, pin, buffer, options, progress)?;
        let after = blobs.state(&pin.sha256);
        if before == after {
            return Ok((found, before));
        }
        let is_linked = matches!((&before, &after), (Some(old), Some(new)) if old.same_but_links(new));
        if !is_linked || tries == TRIES {
            return Ok((None, before));
        }
    }
}

/// The digest of a blob's bytes; nothing when it is no readable file of the right length.
pub(crate) fn hash_blob(
    store: &Store,
    pin: &FilePin,
    buffer: &mut [u8],
    options: &Options,
    progress: &Progress<'_>,
) -> Result<Option<Sha256>, VerifyError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(fd) = rustix::fs::open(store.blob(&pin.sha256), flags, Mode::empty()) else {
        return Ok(None);
    };
    let file = File::from(fd);
    let reading = Reading { options, progress, subject: pin.path.as_str() };
    let outcome = hash(&file, pin.size, None, buffer, reading)?;
    Ok(match outcome {
        Outcome::Digest(digest) => Some(digest),
        Outcome::OtherLength | Outcome::Failed(_) => None,
    })
}
