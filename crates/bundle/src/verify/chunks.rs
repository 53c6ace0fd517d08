//! The chunks of one payload, on all threads.

use super::{Stopped, VerifyOptions};
use crate::progress::Progress;
use crate::set::folder::BUFFER;
use crate::set::{SetFinding, VolumeDir, VolumeSet, Weight};
use sha2::Digest as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bad chunks of a payload, by number from 1, with what is wrong.
pub(super) fn check(
    set: &VolumeSet,
    volume: &VolumeDir,
    options: &VerifyOptions,
    progress: &Progress<'_>,
    findings: &mut Vec<SetFinding>,
) -> Result<Vec<(u64, String)>, Stopped> {
    let path = volume.payload_path();
    let Some(expected) = set.index().volume(volume.id).map(|volume| volume.payload) else {
        return Ok(Vec::new());
    };
    let all = set.index().chunk_count(&expected);
    let file = match volume.open_payload() {
        Ok(file) => file,
        Err(error) => {
            findings.push(SetFinding::new(Weight::Bytes, "unreadable", Some(volume.id), path, &error));
            return Ok((1..=all).map(|number| (number, error.to_string())).collect());
        }
    };
    let subject = volume.id.to_string();
    let Some(table) = set.table() else {
        let sound = whole(&file, expected.size, &subject, options, progress)?
            .is_some_and(|found| found == expected.sha256);
        if sound {
            return Ok(Vec::new());
        }
        let detail = "its SHA-256 is not that of the index; where it is bad cannot be told without the table of chunks";
        findings.push(SetFinding::new(Weight::Bytes, "payload-damaged", Some(volume.id), path, detail));
        return Ok((1..=all).map(|number| (number, "somewhere among these chunks".to_owned())).collect());
    };
    let values = table.of(volume.id);
    let size = u64::from(set.index().chunk_size);
    let next = AtomicU64::new(0);
    let bad = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.threads.get().min(usize::try_from(all).unwrap_or(usize::MAX)) {
            scope.spawn(|| {
                let mut buffer = vec![0; BUFFER];
                while !options.cancel.is_cancelled() {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(value) = usize::try_from(at).ok().and_then(|at| values.get(at)) else { break };
                    let start = at * size;
                    let length = size.min(expected.size - start);
                    let mut hasher = blake3::Hasher::new();
                    let each = |bytes: &[u8]| {
                        hasher.update(bytes);
                        progress.add(&subject, bytes.len() as u64);
                        !options.cancel.is_cancelled()
                    };
                    let reason = match read(&file, start, length, &mut buffer, each) {
                        Ok(read) if read < length => "the payload ends here or before".to_owned(),
                        Ok(_) if hasher.finalize().as_bytes() != value => {
                            "other bytes than the bundle was made of".to_owned()
                        }
                        Ok(_) => continue,
                        Err(error) => format!("the disk does not give it: {error}"),
                    };
                    bad.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at + 1, reason));
                }
            });
        }
    });
    if options.cancel.is_cancelled() {
        return Err(Stopped);
    }
    let mut bad = bad.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    bad.sort_unstable();
    Ok(bad)
}

/// Hands the bytes of a range to `each`, in order, until it is over, the file ends, or `each` says no. Gives back how many.
pub(crate) fn read(
    file: &File,
    start: u64,
    length: u64,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8]) -> bool,
) -> io::Result<u64> {
    let mut done = 0;
    while done < length {
        let most = usize::try_from(length - done).unwrap_or(usize::MAX).min(buffer.len());
        let Some(piece) = buffer.get_mut(..most) else { break };
        match file.read_at(piece, start + done) {
            Ok(0) => break,
            Ok(count) => {
                done += count as u64;
                if !each(piece.get(..count).unwrap_or_default()) {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// SHA-256 of the whole payload; nothing where it cannot be read to its end.
fn whole(
    file: &File,
    size: u64,
    subject: &str,
    options: &VerifyOptions,
    progress: &Progress<'_>,
) -> Result<Option<sovai_core::Sha256>, Stopped> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let done = read(file, 0, size, &mut buffer, |bytes| {
        hasher.update(bytes);
        progress.add(subject, bytes.len() as u64);
        !options.cancel.is_cancelled()
    });
    if options.cancel.is_cancelled() {
        return Err(Stopped);
    }
    let is_whole = done.is_ok_and(|done| done == size);
    Ok(is_whole.then(|| sovai_core::Sha256::from_bytes(hasher.finalize().into())))
}
