//! The payloads of parity while they are made: slices come in any order and are hashed and written in theirs.

use super::ParityError;
use super::encode::Encoded;
use crate::index::Payload;
use fs_err::File;
use fs_err::os::unix::fs::FileExt as _;
use sha2::Digest as _;
use sovai_core::Sha256;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// All payloads of parity of a run.
pub(super) struct Lanes<'a> {
    out: &'a [File],
    slice: usize,
    /// How many slices may be under way beyond the last that all lanes have.
    window: u64,
    shared: Mutex<Shared>,
    moved: Condvar,
}

struct Shared {
    lanes: Vec<Lane>,
    stopped: bool,
}

/// One payload.
struct Lane {
    /// The next slice to be hashed.
    next: u64,
    /// Slices that came before their turn.
    early: BTreeMap<u64, Arc<Vec<u8>>>,
    /// Away while a thread hashes: no other then does.
    hashing: Option<Box<Hashing>>,
}

struct Hashing {
    written: u64,
    sha256: sha2::Sha256,
    chunk_size: u64,
    chunk: blake3::Hasher,
    chunks: Vec<[u8; 32]>,
}

impl<'a> Lanes<'a> {
    pub(super) fn new(out: &'a [File], slice: usize, chunk_size: u32, window: u64) -> Self {
        let lane = |_| {
            let hashing = Hashing {
                written: 0,
                sha256: sha2::Sha256::new(),
                chunk_size: u64::from(chunk_size.max(1)),
                chunk: blake3::Hasher::new(),
                chunks: Vec::new(),
            };
            Lane { next: 0, early: BTreeMap::new(), hashing: Some(Box::new(hashing)) }
        };
        let shared = Shared { lanes: out.iter().map(lane).collect(), stopped: false };
        Self { out, slice, window, shared: Mutex::new(shared), moved: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a slice is near enough to what is written, so that memory stays bounded; false when the run is over. Who
    /// computes the slice that all wait for never waits.
    pub(super) fn wait_for(&self, number: u64) -> bool {
        let mut shared = self.lock();
        loop {
            let behind = shared.lanes.iter().map(|lane| lane.next).min().unwrap_or(number);
            if shared.stopped || number < behind + self.window {
                return !shared.stopped;
            }
            shared = self.moved.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the run; who waits is woken.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.moved.notify_all();
    }

    /// Takes the slices of all payloads at a place, `bytes` one after the other, and hashes and writes what is now in order.
    pub(super) fn deliver(&self, number: u64, bytes: Vec<u8>) -> Result<(), ParityError> {
        let bytes = Arc::new(bytes);
        for at in 0..self.out.len() {
            if let Some(lane) = self.lock().lanes.get_mut(at) {
                lane.early.insert(number, Arc::clone(&bytes));
            }
        }
        // Each thread begins at another lane: with many of them the threads do not queue up.
        for step in 0..self.out.len() {
            let at = (usize::try_from(number).unwrap_or(0) + step) % self.out.len();
            self.drain(at)?;
        }
        Ok(())
    }

    fn drain(&self, at: usize) -> Result<(), ParityError> {
        let Some(file) = self.out.get(at) else { return Ok(()) };
        let mut shared = self.lock();
        loop {
            let Some(lane) = shared.lanes.get_mut(at) else { return Ok(()) };
            // Another thread hashes this lane, and takes what was added before it lets go.
            let Some(mut hashing) = lane.hashing.take() else { return Ok(()) };
            let Some(bytes) = lane.early.remove(&lane.next) else {
                lane.hashing = Some(hashing);
                return Ok(());
            };
            drop(shared);
            let length = bytes.len() / self.out.len().max(1);
            let own = bytes.get(at * length..(at + 1) * length).unwrap_or_default();
            debug_assert!(length <= self.slice);
            let written = hashing.write(file, own);
            drop(bytes);
            shared = self.lock();
            if let Some(lane) = shared.lanes.get_mut(at) {
                lane.hashing = Some(hashing);
                lane.next += 1;
            }
            self.moved.notify_all();
            written?;
        }
    }

    /// What the payloads are, when all slices were delivered.
    pub(super) fn finish(self) -> Vec<Encoded> {
        let shared = self.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        shared.lanes.into_iter().filter_map(|lane| lane.hashing).map(|hashing| hashing.finish()).collect()
    }
}

impl Hashing {
    fn write(&mut self, file: &File, mut bytes: &[u8]) -> Result<(), ParityError> {
        file.write_all_at(bytes, self.written)?;
        self.sha256.update(bytes);
        while !bytes.is_empty() {
            let left = self.chunk_size - self.written % self.chunk_size;
            let (now, rest) = bytes.split_at(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
            self.chunk.update(now);
            self.written += now.len() as u64;
            if self.written.is_multiple_of(self.chunk_size) {
                self.end_chunk();
            }
            bytes = rest;
        }
        Ok(())
    }

    fn end_chunk(&mut self) {
        self.chunks.push(*self.chunk.finalize().as_bytes());
        self.chunk.reset();
    }

    fn finish(mut self) -> Encoded {
        if !self.written.is_multiple_of(self.chunk_size) {
            self.end_chunk();
        }
        let sha256 = Sha256::from_bytes(self.sha256.finalize().into());
        Encoded { payload: Payload { size: self.written, sha256 }, chunks: self.chunks }
    }
}
