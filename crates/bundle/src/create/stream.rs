//! One payload: headers, files and padding, in order, from where an earlier run ended.

use super::journal::Journal;
use super::pipe::{self, Expected, Feed, Start, Stop, Target, restore};
use super::{CreateError, Options};
use crate::index::Payload;
use crate::plan::{Entry, NewItem, Origin, Plan, PlannedVolume};
use crate::progress::Progress;
use crate::tar::{BLOCK, tar_header};
use crate::volume::VolumeId;
use sovai_core::Sha256;
use sovai_store::Store;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A payload to write.
pub(super) struct Task<'a> {
    pub(super) plan: &'a Plan,
    /// Name of the bundle, for progress.
    pub(super) name: &'a str,
    pub(super) id: VolumeId,
    pub(super) volume: &'a PlannedVolume,
    pub(super) path: &'a Path,
    pub(super) store: &'a Store,
    pub(super) options: &'a Options<'a>,
}

/// Writes a payload, or what an earlier run left to write of it. Gives its digest and its chunks.
pub(super) fn write(
    task: &Task<'_>,
    journal: &mut Journal,
    progress: &Progress<'_>,
) -> Result<(Payload, Vec<[u8; 32]>), CreateError> {
    let number = task.id.number();
    let fail = |error: std::io::Error| CreateError::io("write", task.path, error);
    let mut open = fs_err::OpenOptions::new();
    open.read(true).write(true).create(true).truncate(false);
    let file = open.open(task.path).map_err(fail)?.into_parts().0;
    let before = journal.volume(number);
    if let Some(payload) = before.payload
        && payload.size == task.volume.size
        && file.metadata().map_err(fail)?.len() == payload.size
    {
        progress.add(task.name, payload.size);
        return Ok((payload, before.chunks));
    }
    let start = resumed(task, journal, &file).unwrap_or_else(|| {
        journal.forget(number);
        Start { file: carried_over(journal, number), ..Start::default() }
    });
    progress.add(task.name, start.position);
    file.set_len(start.position).map_err(fail)?;
    (&file).seek(SeekFrom::Start(start.position)).map_err(fail)?;
    super::seal::sync_parent(task.path)?;
    let chunk = u64::from(task.plan.chunk_size);
    let target = Target {
        volume: number,
        path: task.path,
        file: &file,
        size: task.volume.size,
        chunk_size: task.plan.chunk_size,
        step: task.options.step.max(1).next_multiple_of(chunk),
    };
    let made = pipe::run(&target, start, journal, |feed| all(task, feed, progress))?;
    file.sync_all().map_err(fail)?;
    Ok(made)
}

/// The hash of a file that the volume before began.
fn carried_over(journal: &Journal, number: u16) -> Option<sha2::Sha256> {
    restore(journal.volume(number.checked_sub(1)?).mark?.file.as_deref()?)
}

/// Where an earlier run ended, if its last chunk is still what it wrote.
fn resumed(task: &Task<'_>, journal: &Journal, file: &File) -> Option<Start> {
    let volume = journal.volume(task.id.number());
    let mark = volume.mark?;
    let chunk = u64::from(task.plan.chunk_size);
    let is_here = mark.position < task.volume.size
        && mark.position % chunk == 0
        && volume.chunks.len() as u64 == mark.position / chunk
        && file.metadata().ok()?.len() >= mark.position;
    if !is_here {
        return None;
    }
    let mut hash = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut at = mark.position - chunk;
    while at < mark.position {
        let most = usize::try_from((mark.position - at).min(buffer.len() as u64)).ok()?;
        let part = buffer.get_mut(..most)?;
        file.read_exact_at(part, at).ok()?;
        hash.update(part);
        at += most as u64;
    }
    if volume.chunks.last() != Some(hash.finalize().as_bytes()) {
        return None;
    }
    let state = match &mark.file {
        Some(state) => Some(restore(state)?),
        None => None,
    };
    Some(Start {
        position: mark.position,
        payload: restore(&mark.payload)?,
        file: state,
        chunks: volume.chunks,
    })
}

/// Feeds the whole payload, without what is there.
fn all(task: &Task<'_>, feed: &mut Feed<'_>, progress: &Progress<'_>) -> Result<(), Stop> {
    for entry in &task.volume.entries {
        let Some(item) = task.plan.contents.items.get(entry.item) else { continue };
        fixed(task, feed, entry.offset - BLOCK, &tar_header(&entry.name, entry.length), progress)?;
        data(task, entry, item, feed, progress)?;
        zeros(task, feed, (entry.offset + entry.length).next_multiple_of(BLOCK), progress)?;
    }
    zeros(task, feed, task.volume.size, progress)
}

/// Feeds what of these bytes, which begin at `start` in the payload, is not there.
fn fixed(
    task: &Task<'_>,
    feed: &mut Feed<'_>,
    start: u64,
    bytes: &[u8],
    progress: &Progress<'_>,
) -> Result<(), Stop> {
    let there = usize::try_from(feed.position().saturating_sub(start)).unwrap_or(usize::MAX);
    let mut left = bytes.get(there..).unwrap_or_default();
    let length = left.len() as u64;
    feed.bytes(length, false, |to| {
        let (now, later) = left.split_at(to.len().min(left.len()));
        to.copy_from_slice(now);
        left = later;
        Ok(())
    })?;
    progress.add(task.name, length);
    Ok(())
}

/// Feeds zeros up to `end`.
fn zeros(task: &Task<'_>, feed: &mut Feed<'_>, end: u64, progress: &Progress<'_>) -> Result<(), Stop> {
    let length = end.saturating_sub(feed.position());
    feed.bytes(length, false, |to| {
        to.fill(0);
        Ok(())
    })?;
    progress.add(task.name, length);
    Ok(())
}

/// Feeds what of a file's bytes is not there.
fn data(
    task: &Task<'_>,
    entry: &Entry,
    item: &NewItem,
    feed: &mut Feed<'_>,
    progress: &Progress<'_>,
) -> Result<(), Stop> {
    let end = entry.offset + entry.length;
    if feed.position() > end {
        return Ok(());
    }
    let there = feed.position() - entry.offset;
    // Of a file of which not all is carried, what is carried does not hash to its digest: who planned it has read it all.
    let is_whole = item.runs.is_empty();
    let length = entry.length - there;
    let path = task.store.blob(&item.sha256);
    match &item.origin {
        Origin::Bytes(bytes) => {
            let mut at = usize::try_from(entry.from + there).unwrap_or(usize::MAX);
            feed.bytes(length, is_whole, |to| {
                let from =
                    bytes.get(at..at + to.len()).ok_or_else(|| shrunk(item, &path, bytes.len() as u64))?;
                to.copy_from_slice(from);
                at += to.len();
                progress.add(task.name, to.len() as u64);
                Ok(())
            })?;
        }
        Origin::Blob => {
            let mut file = open(&path, item, entry.from + there)?;
            feed.bytes(length, is_whole, |to| {
                if task.options.cancel.is_cancelled() {
                    return Err(CreateError::Cancelled);
                }
                file.read_exact(to).map_err(|error| match error.kind() {
                    std::io::ErrorKind::UnexpectedEof => {
                        shrunk(item, &path, file.metadata().map_or(0, |meta| meta.len()))
                    }
                    _ => CreateError::io("read", &path, error),
                })?;
                progress.add(task.name, to.len() as u64);
                Ok(())
            })?;
        }
    }
    if is_whole && entry.from + entry.length == item.size {
        feed.end_file(Expected { sha256: item.sha256, path })?;
    }
    Ok(())
}

/// Opens a blob at a place in it.
fn open(path: &Path, item: &NewItem, at: u64) -> Result<File, CreateError> {
    let fail = |error: std::io::Error| CreateError::io("read", path, error);
    let mut file = match fs_err::File::open(path) {
        Ok(file) => file.into_parts().0,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let (expected, found) = (item.sha256, "no file".to_owned());
            return Err(CreateError::Rotten { path: path.to_owned(), expected, found });
        }
        Err(error) => return Err(fail(error)),
    };
    let length = file.metadata().map_err(fail)?.len();
    if length != item.size {
        return Err(shrunk(item, path, length));
    }
    // Advice only: a file system that does not take it is as good.
    let _ = rustix::fs::fadvise(&file, at, None, rustix::fs::Advice::Sequential);
    file.seek(SeekFrom::Start(at)).map_err(fail)?;
    Ok(file)
}

fn shrunk(item: &NewItem, path: &Path, length: u64) -> CreateError {
    let expected: Sha256 = item.sha256;
    let found = format!("{length} bytes instead of {}", item.size);
    CreateError::Rotten { path: path.to_owned(), expected, found }
}
