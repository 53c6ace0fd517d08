//! What lies in a payload between the files of the index: their headers and zeros, and nothing else.
//!
//! A chunk that is what its creator wrote says nothing of what the creator hid. The headers follow from the index, so each gap
//! has one form.

use super::chunks::read;
use crate::set::folder::BUFFER;
use crate::set::{SetFinding, VolumeDir, VolumeSet, Weight};
use crate::tar::{BLOCK, Entry, empty_headers, padding};
use std::collections::BTreeSet;
use std::fs::File;

/// Where something is that must not be there, and what.
type Odd = (u64, String);

/// Checks the gaps of one payload. Where a chunk is bad, a gap in it is, too: that is not told again.
pub(super) fn check(
    set: &VolumeSet,
    volume: &VolumeDir,
    entries: &[Entry<'_>],
    bad: &[u64],
    findings: &mut Vec<SetFinding>,
) {
    let index = set.index();
    let (Ok(file), Some(expected)) = (volume.open_payload(), index.volume(volume.id)) else { return };
    let chunk = u64::from(index.chunk_size);
    let is_bad = |gap: &Gap| {
        let (first, last) = (gap.start / chunk + 1, gap.end.saturating_sub(1) / chunk + 1);
        let next = bad.get(bad.partition_point(|number| *number < first));
        next.is_some_and(|number| *number <= last)
    };
    let mut reader = Reader { file: &file, buffer: vec![0; BUFFER], empty: empty_headers(index) };
    let mut gap = Gap { start: 0, end: 0, pad: 0, header: None };
    for entry in entries.iter().map(Some).chain([None]) {
        gap.end = entry.map_or(expected.payload.size, |entry| entry.offset);
        gap.header = entry.map(Entry::header);
        if !is_bad(&gap)
            && let Err((at, what)) = reader.check(&gap)
        {
            let detail = format!("at byte {at}: {what}");
            let path = volume.payload_path();
            findings.push(SetFinding::new(Weight::Bytes, "not-in-index", Some(volume.id), path, detail));
            // One is enough to refuse it; a payload of another form would give one a file.
            return;
        }
        if let Some(entry) = entry {
            gap.start = entry.offset + entry.length;
            gap.pad = padding(entry.length);
        }
    }
}

/// The bytes between two files.
struct Gap {
    start: u64,
    end: u64,
    /// Zeros that fill the file before to a whole block.
    pad: u64,
    /// The header of the file after; nothing at the end of the payload.
    header: Option<[u8; 512]>,
}

struct Reader<'a> {
    file: &'a File,
    buffer: Vec<u8>,
    empty: BTreeSet<[u8; 512]>,
}

impl Reader<'_> {
    fn check(&mut self, gap: &Gap) -> Result<(), Odd> {
        let header = if gap.header.is_some() { BLOCK } else { 0 };
        let length = gap.end.saturating_sub(gap.start);
        if length < gap.pad + header || !(length - gap.pad).is_multiple_of(BLOCK) {
            return Err((gap.start, format!("{length} bytes between two files are no headers")));
        }
        self.zeros(gap.start, gap.pad)?;
        let mut at = gap.start + gap.pad;
        // Headers of files without bytes; in the last gap zeros follow them.
        while at + header < gap.end && self.empty.contains(&self.block(at)?) {
            at += BLOCK;
        }
        let Some(header) = gap.header else { return self.zeros(at, gap.end - at) };
        if at + BLOCK != gap.end {
            return Err((at, "a header of a file that the index does not have".to_owned()));
        }
        if self.block(at)? != header {
            return Err((at, "a header that is not the one of the file after it".to_owned()));
        }
        Ok(())
    }

    /// Whether a range is all zeros.
    fn zeros(&mut self, from: u64, length: u64) -> Result<(), Odd> {
        let mut at = from;
        let mut odd = None;
        let done = read(self.file, from, length, &mut self.buffer, |bytes| {
            odd = bytes.iter().position(|byte| *byte != 0).map(|found| at + found as u64);
            at += bytes.len() as u64;
            odd.is_none()
        });
        match (done, odd) {
            (Err(error), _) => Err(unread(from, &error)),
            (_, Some(at)) => Err((at, "bytes that no file of the index has".to_owned())),
            (Ok(done), None) if done < length => Err((from + done, "the payload ends".to_owned())),
            (Ok(_), None) => Ok(()),
        }
    }

    fn block(&self, at: u64) -> Result<[u8; 512], Odd> {
        use std::os::unix::fs::FileExt as _;
        let mut block = [0; 512];
        self.file.read_exact_at(&mut block, at).map_err(|error| unread(at, &error))?;
        Ok(block)
    }
}

fn unread(at: u64, error: &std::io::Error) -> Odd {
    (at, format!("it cannot be read: {error}"))
}
