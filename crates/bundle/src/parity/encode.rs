//! Computes all payloads of parity in one pass over those of data.

use super::column::Shard;
use super::lanes::Lanes;
use super::{MAX_SLICE, ParityError, Run, WORK, check_counts, parity_size, read_padded, slice_bytes};
use crate::index::Payload;
use fs_err::File;
use reed_solomon_simd::ReedSolomonEncoder;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a payload of parity turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Its size and SHA-256.
    pub payload: Payload,
    /// BLAKE3 of each of its chunks.
    pub chunks: Vec<[u8; 32]>,
}

/// Reads the payloads of data, in order, and writes as many payloads of parity as there are files in `out`, from their
/// beginnings on, hashing them on the way. The files are on the disk when it returns; their names are for the caller.
///
/// Every byte of data is read once. Memory: some 6 MiB a thread.
pub fn encode(
    data: &[Shard<'_>],
    out: &[File],
    chunk_size: u32,
    run: &Run<'_>,
) -> Result<Vec<Encoded>, ParityError> {
    check_counts(data.len(), out.len())?;
    let width = parity_size(data.iter().map(|shard| shard.size));
    let slice = slice_bytes(work_shards(data.len(), out.len()), WORK, MAX_SLICE);
    let slices = width.div_ceil(slice as u64);
    let threads = u64::try_from(run.threads.get()).unwrap_or(1).min(slices.max(1));
    let lanes = Lanes::new(out, slice, chunk_size, threads * 2);
    let next = AtomicU64::new(0);
    let failed: Mutex<Option<ParityError>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut worker = Worker { data, parity: out.len(), width, slice, encoder: None };
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= slices || !lanes.wait_for(number) {
                        break;
                    }
                    let step = worker.slice(number, run).and_then(|bytes| lanes.deliver(number, bytes));
                    if let Err(error) = step {
                        lock(&failed).get_or_insert(error);
                        lanes.stop();
                        break;
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Err(error);
    }
    for file in out {
        file.sync_all()?;
    }
    Ok(lanes.finish())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// How many shards the library works on: what decides how long a slice may be.
pub(super) fn work_shards(data: usize, parity: usize) -> usize {
    (parity.next_power_of_two() + data).max(data.next_power_of_two() + parity)
}

struct Worker<'a> {
    data: &'a [Shard<'a>],
    parity: usize,
    width: u64,
    slice: usize,
    encoder: Option<(usize, ReedSolomonEncoder)>,
}

impl Worker<'_> {
    /// The slices of all payloads of parity, one after the other.
    fn slice(&mut self, number: u64, run: &Run<'_>) -> Result<Vec<u8>, ParityError> {
        let start = number * self.slice as u64;
        let left = usize::try_from(self.width - start).unwrap_or(usize::MAX);
        let length = left.min(self.slice);
        let encoder = match &mut self.encoder {
            Some((made_for, encoder)) => {
                if *made_for != length {
                    encoder.reset(self.data.len(), self.parity, length)?;
                    *made_for = length;
                }
                encoder
            }
            none => {
                let encoder = ReedSolomonEncoder::new(self.data.len(), self.parity, length)?;
                &mut none.insert((length, encoder)).1
            }
        };
        let mut buffer = vec![0; length];
        let mut read = 0;
        for shard in self.data {
            if run.cancel.is_cancelled() {
                return Err(ParityError::Cancelled);
            }
            read += read_padded(shard.file, shard.size, start, &mut buffer)?;
            encoder.add_original_shard(&buffer)?;
        }
        (run.progress)(read);
        let result = encoder.encode()?;
        let mut bytes = Vec::with_capacity(length * self.parity);
        for parity in result.recovery_iter() {
            bytes.extend_from_slice(parity);
        }
        Ok(bytes)
    }
}
