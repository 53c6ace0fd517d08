//! Files that are on their way into the store: written in place, kept from one run to the next.

mod journal;
mod ranges;

pub use ranges::Ranges;

use crate::Store;
use crate::error::{Context as _, StoreError};
use crate::{atomic, layout, temp};
use journal::{Journal, record};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use sovai_core::Sha256;
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A journal that grew beyond this is written anew, short.
const LONG_JOURNAL: u64 = 256 << 10;
/// How often a file is opened again that its last holder just gave its real name.
const TRIES: u32 = 100;
/// How often, and how long, whoever finds a file held waits for one who only looks whether it is.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(2);

/// A blob that is not whole yet: `partial/<sha256 hex>`, and beside it its journal, which says which bytes are there.
///
/// It is held by `flock` on the file of bytes, which dies with its holder. Bytes are written at their place, once. What is
/// written is kept when this is dropped, and when the process is killed; after a power cut, what [`Partial::sync`] had
/// returned for is kept. Its methods may be called from several threads.
#[derive(Debug)]
pub struct Partial {
    digest: Sha256,
    size: u64,
    path: PathBuf,
    target: PathBuf,
    holder: String,
    boot: Option<String>,
    file: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    have: Ranges,
    synced: Ranges,
    journal: File,
    length: u64,
}

/// A file of `partial/`, as a look at the folder shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartialFile {
    /// The digest that it is to have.
    pub sha256: Sha256,
    /// Bytes that it takes on the disk.
    pub bytes: u64,
}

/// An unfinished download, as its journal tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// The digest that it is to have.
    pub sha256: Sha256,
    /// Bytes that are there; what another process writes at this moment may be missing.
    pub have: u64,
    /// Bytes that it is to have; `None` where no journal says it.
    pub size: Option<u64>,
    /// Who is writing it now, as in `process 123 (sovai pull)`; `None` when nobody is.
    pub holder: Option<String>,
}

impl Store {
    /// Opens the partial file of a blob, or begins one. [`StoreError::Busy`] when another process, or another part of this
    /// one, is writing it; `holder` is the command, for the one who is told so.
    pub fn partial(&self, digest: &Sha256, size: u64, holder: &str) -> Result<Partial, StoreError> {
        let path = self.partials().join(digest.hex());
        let boot = boot_id();
        let file = hold(&path, |path| {
            let text = layout::read_bounded(path, journal::MAX_BYTES).ok().flatten().unwrap_or_default();
            Journal::read(&text, digest, size, boot.as_deref()).and_then(|journal| journal.holder)
        })?;
        let found = layout::read_bounded(&journal_of(&path), journal::MAX_BYTES);
        let is_new = matches!(found, Ok(None));
        let mut journal = found
            .ok()
            .flatten()
            .and_then(|text| Journal::read(&text, digest, size, boot.as_deref()))
            .unwrap_or_default();
        let length = file.metadata().context("look at", &path)?.len();
        // Somebody else's hand: what the journal says is there is not.
        for ranges in [&mut journal.have, &mut journal.synced] {
            ranges.remove(&(length..u64::MAX));
        }
        if journal.have.is_empty() && length > 0 {
            file.set_len(0).context("shorten", &path)?;
        }
        let text = journal.text(digest, size, boot.as_deref(), holder);
        let (journal_file, length) = if is_new {
            // Nothing is there that a crash could take.
            (begin(&journal_of(&path), &text)?, text.len() as u64)
        } else {
            atomic::write(&journal_of(&path), text.as_bytes(), 0o600)?;
            (append(&journal_of(&path))?, text.len() as u64)
        };
        let state = State { have: journal.have, synced: journal.synced, journal: journal_file, length };
        Ok(Partial {
            digest: *digest,
            size,
            target: self.blob(digest),
            holder: holder.to_owned(),
            path,
            boot,
            file,
            state: Mutex::new(state),
        })
    }

    /// How many bytes of a blob are in its partial file, by its journal. Touches nothing, and asks for no lock.
    pub fn partial_bytes(&self, digest: &Sha256, size: u64) -> u64 {
        self.partial_have(digest, size).total()
    }

    /// Which bytes of a blob are in its partial file, as [`Self::partial_bytes`] counts them.
    pub fn partial_have(&self, digest: &Sha256, size: u64) -> Ranges {
        let path = self.partials().join(digest.hex());
        let read = layout::read_bounded(&journal_of(&path), journal::MAX_BYTES);
        let Ok(Some(text)) = read else { return Ranges::new() };
        let journal = Journal::read(&text, digest, size, boot_id().as_deref());
        let mut have = journal.map(|journal| journal.have).unwrap_or_default();
        let length = fs_err::symlink_metadata(&path).map_or(0, |meta| meta.len());
        have.remove(&(length..u64::MAX));
        have
    }

    /// The partial files, sorted by digest.
    pub fn partial_files(&self) -> Result<Vec<PartialFile>, StoreError> {
        use std::os::unix::fs::MetadataExt as _;
        let folder = self.partials();
        let mut found = Vec::new();
        for entry in fs_err::read_dir(&folder).context("read the folder", &folder)? {
            let entry = entry.context("read the folder", &folder)?;
            let Some(sha256) = entry.file_name().to_str().and_then(|name| Sha256::from_hex(name).ok()) else {
                continue;
            };
            // Gone in the meantime: it is a blob now.
            let Ok(meta) = entry.metadata() else { continue };
            found.push(PartialFile { sha256, bytes: meta.blocks().saturating_mul(512).min(meta.len()) });
        }
        found.sort();
        Ok(found)
    }

    /// The unfinished downloads, sorted by digest. Changes nothing; whether somebody writes one is asked by a shared lock for a
    /// moment, which a download that begins just then waits for.
    pub fn downloads(&self) -> Result<Vec<Download>, StoreError> {
        // A store of an earlier version, or on a medium that cannot be written, may have none.
        if !self.partials().exists() {
            return Ok(Vec::new());
        }
        let boot = boot_id();
        let of = |file: PartialFile| {
            let path = self.partials().join(file.sha256.hex());
            let text = layout::read_bounded(&journal_of(&path), journal::MAX_BYTES).ok().flatten();
            let text = text.unwrap_or_default();
            let size = journal::size(&text, &file.sha256);
            let journal = size.and_then(|size| Journal::read(&text, &file.sha256, size, boot.as_deref()));
            let mut journal = journal.unwrap_or_default();
            let length = fs_err::symlink_metadata(&path).map_or(0, |meta| meta.len());
            journal.have.remove(&(length..u64::MAX));
            let holder =
                is_held(&path).then(|| journal.holder.unwrap_or_else(|| "another process".to_owned()));
            Download { sha256: file.sha256, have: journal.have.total(), size, holder }
        };
        Ok(self.partial_files()?.into_iter().map(of).collect())
    }

    /// Removes the partial file of a blob with its journal; one that somebody writes is [`StoreError::Busy`] and stays. Fine
    /// when it is not there.
    pub fn remove_partial(&self, digest: &Sha256) -> Result<(), StoreError> {
        let path = self.partials().join(digest.hex());
        if fs_err::symlink_metadata(&path).is_ok() {
            let held = hold(&path, |_| None)?;
            temp::remove_any(&path)?;
            drop(held);
        }
        temp::remove_any(&journal_of(&path))
    }

    fn partials(&self) -> PathBuf {
        self.root().join("partial")
    }
}

impl Partial {
    /// The digest that the bytes are to have.
    pub const fn digest(&self) -> &Sha256 {
        &self.digest
    }

    /// The length that it is to have, in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Which bytes are there.
    pub fn have(&self) -> Ranges {
        self.state().have.clone()
    }

    /// How far the bytes from `at` on are there without a gap.
    pub fn reach(&self, at: u64) -> u64 {
        self.state().have.reach(at)
    }

    /// Bytes that were written and are not known to be on the disk.
    pub fn unsynced(&self) -> u64 {
        let state = self.state();
        state.have.total().saturating_sub(state.synced.total())
    }

    /// Writes bytes at their place and notes them. Bytes beyond the file's length are an error. Gives how many are new.
    pub fn write(&self, at: u64, pieces: &[impl AsRef<[u8]>]) -> Result<u64, StoreError> {
        let length: u64 = pieces.iter().map(|piece| piece.as_ref().len() as u64).sum();
        let end = at.checked_add(length).filter(|end| *end <= self.size);
        let Some(end) = end else {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "beyond the end of the file");
            return Err(StoreError::io("write", &self.path, error));
        };
        write_at(&self.file, at, pieces).context("write", &self.path)?;
        let mut state = self.state();
        let new = state.have.insert(at..end);
        self.note(&mut state, &record('w', &(at..end)))?;
        Ok(new)
    }

    /// Writes bytes at their place and notes nothing: they count when [`Partial::note_range`] says so. For who learns only
    /// afterwards whether they were right.
    pub fn place(&self, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if at.checked_add(bytes.len() as u64).is_none_or(|end| end > self.size) {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "beyond the end of the file");
            return Err(StoreError::io("write", &self.path, error));
        }
        write_at(&self.file, at, &[bytes]).context("write", &self.path)
    }

    /// Notes that bytes are there, which [`Partial::place`] wrote. Gives how many are new.
    pub fn note_range(&self, range: Range<u64>) -> Result<u64, StoreError> {
        let mut state = self.state();
        let new = state.have.insert(range.clone());
        self.note(&mut state, &record('w', &range))?;
        Ok(new)
    }

    /// Takes back that bytes are there: they will be written again, and may turn out wrong.
    pub fn forget_range(&self, range: &Range<u64>) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.have.gaps(range.clone()) == Ranges::of(range.clone()) {
            return Ok(());
        }
        state.have.remove(range);
        state.synced.remove(range);
        self.renew(&mut state)
    }

    /// The file of bytes, to look at its state.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Reads bytes back that are there.
    pub fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.file.read_exact_at(buffer, at).context("read", &self.path)
    }

    /// Brings to the disk what was written before, and notes that it is there.
    pub fn sync(&self) -> Result<(), StoreError> {
        let written = self.have();
        self.file.sync_data().context("write to the disk", &self.path)?;
        let mut state = self.state();
        let mut text = String::new();
        for range in written.iter() {
            if state.synced.insert(range.clone()) > 0 {
                text.push_str(&record('s', &range));
            }
        }
        self.note(&mut state, &text)
    }

    /// Forgets all bytes.
    pub fn restart(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        (state.have, state.synced) = (Ranges::new(), Ranges::new());
        // The journal first: it must never say more than there is.
        self.renew(&mut state)?;
        self.file.set_len(0).context("shorten", &self.path)
    }

    /// Makes it the blob: mode 0444, on the disk, under its name. A blob that has that name is replaced.
    ///
    /// The digest is taken on trust, as by [`crate::Stage::commit`]: whoever calls this has hashed the bytes. Nothing may be
    /// written afterwards.
    pub fn commit(&self) -> Result<PathBuf, StoreError> {
        let mode = Mode::RUSR | Mode::RGRP | Mode::ROTH;
        rustix::fs::fchmod(&self.file, mode).context("set the mode of", &self.path)?;
        self.file.sync_all().context("write to the disk", &self.path)?;
        rustix::fs::rename(&self.path, &self.target).context("rename into place", &self.target)?;
        temp::sync_parent(&self.target)?;
        temp::remove_any(&journal_of(&self.path))?;
        Ok(self.target.clone())
    }

    /// Removes it with its journal. Nothing may be written afterwards.
    pub fn discard(&self) -> Result<(), StoreError> {
        temp::remove_any(&self.path)?;
        temp::remove_any(&journal_of(&self.path))
    }

    fn note(&self, state: &mut State, text: &str) -> Result<(), StoreError> {
        if text.is_empty() {
            return Ok(());
        }
        if state.length > LONG_JOURNAL {
            return self.renew(state);
        }
        state.length = state.length.saturating_add(text.len() as u64);
        state.journal.write_all(text.as_bytes()).context("write", &journal_of(&self.path))
    }

    /// Writes the journal anew, from what is known.
    fn renew(&self, state: &mut State) -> Result<(), StoreError> {
        let path = journal_of(&self.path);
        let journal = Journal { have: state.have.clone(), synced: state.synced.clone(), holder: None };
        let text = journal.text(&self.digest, self.size, self.boot.as_deref(), &self.holder);
        atomic::write(&path, text.as_bytes(), 0o600)?;
        state.journal = append(&path)?;
        state.length = text.len() as u64;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Closing is not enough: a child that was forked and has not yet run its program holds a copy of the file.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

fn journal_of(path: &Path) -> PathBuf {
    path.with_extension("journal")
}

/// Opens the file of bytes, or makes it, and takes its lock without waiting.
fn hold(path: &Path, holder: impl Fn(&Path) -> Option<String>) -> Result<File, StoreError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut looks = LOOKS;
    for _ in 0..TRIES {
        let fd = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).context("open", path)?;
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            // Perhaps somebody only looks whether it is held.
            Err(Errno::WOULDBLOCK) if looks > 0 => {
                looks -= 1;
                std::thread::sleep(LOOK);
                continue;
            }
            Err(Errno::WOULDBLOCK) => {
                let holder = holder(&journal_of(path)).unwrap_or_else(|| "another process".to_owned());
                return Err(StoreError::Busy { path: path.to_owned(), holder });
            }
            Err(error) => return Err(StoreError::io("lock", path, error)),
        }
        let opened = rustix::fs::fstat(&fd).context("look at", path)?;
        if rustix::fs::FileType::from_raw_mode(opened.st_mode) != rustix::fs::FileType::RegularFile {
            let reason = "it is not a regular file".to_owned();
            return Err(StoreError::Corrupt { path: path.to_owned(), reason });
        }
        // Its last holder may have made it a blob, or thrown it away, before the lock was taken.
        let named = rustix::fs::lstat(path);
        if named.is_ok_and(|named| (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)) {
            return Ok(File::from(fd));
        }
    }
    Err(StoreError::io("open", path, Errno::AGAIN))
}

/// Whether somebody writes it.
fn is_held(path: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(fd) = rustix::fs::open(path, flags, Mode::empty()) else { return false };
    let held = rustix::fs::flock(&fd, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
    let _ = rustix::fs::flock(&fd, FlockOperation::Unlock);
    held
}

fn begin(path: &Path, text: &str) -> Result<File, StoreError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).context("create", path)?;
    let mut file = File::from(fd);
    file.write_all(text.as_bytes()).context("write", path)?;
    Ok(file)
}

fn append(path: &Path) -> Result<File, StoreError> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty()).context("open", path)?))
}

/// Writes all pieces one after the other, from `at` on.
fn write_at(file: &File, mut at: u64, pieces: &[impl AsRef<[u8]>]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece.as_ref())).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        // The kernel takes at most 1024 pieces (IOV_MAX).
        let now = rest.get(..rest.len().min(1024)).unwrap_or_default();
        match rustix::io::pwritev(file, now, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                at = at.saturating_add(count as u64);
                IoSlice::advance_slices(&mut rest, count);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What tells this start of the kernel from all others; nothing where the system does not say.
fn boot_id() -> Option<String> {
    let text = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = text.trim();
    (id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')).then(|| id.to_owned())
}

#[cfg(test)]
mod tests;
