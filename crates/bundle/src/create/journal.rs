//! What an unfinished bundle has on the disk already: one JSON line for each step that lasts.

use super::{Begun, CreateError};
use crate::index::Payload;
use serde::{Deserialize, Serialize};
use sovai_core::Sha256;
use std::collections::BTreeMap;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Its name in the hidden folder.
const NAME: &str = "journal";
/// Longest journal that is read, in bytes: each chunk has 67 of them.
const MAX_JOURNAL: u64 = 64 << 20;

/// A line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// The first one.
    Begun { inputs: Sha256, sequence: u64, created: u64 },
    /// So much of a payload lasts.
    Mark(Mark),
    /// A payload is whole.
    Done { volume: u16, payload: Payload, mark: Mark },
    /// All volumes are whole and signed.
    Sealed,
}

/// A place in a payload up to which all lasts, and the states of the hashes there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The volume of data.
    pub(super) volume: u16,
    /// Bytes of its payload.
    pub(super) position: u64,
    /// State of the payload's SHA-256.
    pub(super) payload: String,
    /// State of the SHA-256 of the file that is under way, if one is.
    pub(super) file: Option<String>,
    /// How many chunks there were at the mark before.
    pub(super) first: u64,
    /// BLAKE3 of the chunks since then.
    pub(super) chunks: Vec<Sha256>,
}

/// A volume as far as it was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Volume {
    /// All chunks up to the last mark.
    pub(super) chunks: Vec<[u8; 32]>,
    /// The last mark.
    pub(super) mark: Option<Mark>,
    /// The payload, when it is whole.
    pub(super) payload: Option<Payload>,
}

/// The journal of a bundle under way.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// Open for writing from [`Journal::reopen`] or [`Journal::begin`] on.
    file: Option<fs_err::File>,
    inputs: Sha256,
    begun: Begun,
    volumes: BTreeMap<u16, Volume>,
    sealed: bool,
    /// Bytes of whole lines.
    length: u64,
}

impl Journal {
    /// Reads the journal in a folder, up to its last whole line; nothing when there is none that makes sense.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let path = folder.join(NAME);
        let text = sovai_store::read_bounded(&path, MAX_JOURNAL).ok().flatten()?;
        let mut lines = text.split_inclusive(|byte| *byte == b'\n');
        let parse = |line: &[u8]| -> Option<Line> { serde_json::from_slice(line.strip_suffix(b"\n")?).ok() };
        let first = lines.next()?;
        let Some(Line::Begun { inputs, sequence, created }) = parse(first) else { return None };
        let begun = Begun { sequence, created };
        let length = first.len() as u64;
        let mut journal =
            Self { path, file: None, inputs, begun, volumes: BTreeMap::new(), sealed: false, length };
        // What was cut off in the middle of a line, or damaged, ends what counts.
        for line in lines {
            let Some(parsed) = parse(line) else { break };
            journal.take(parsed);
            journal.length += line.len() as u64;
        }
        Some(journal)
    }

    /// Begins a journal.
    pub(super) fn begin(folder: &Path, inputs: Sha256, begun: Begun) -> Result<Self, CreateError> {
        let path = folder.join(NAME);
        let mut journal =
            Self { path, file: None, inputs, begun, volumes: BTreeMap::new(), sealed: false, length: 0 };
        journal.reopen()?;
        journal.add(&Line::Begun { inputs, sequence: begun.sequence, created: begun.created })?;
        super::seal::sync(folder)?;
        Ok(journal)
    }

    /// Opens it for writing, behind its last whole line.
    pub(super) fn reopen(&mut self) -> Result<(), CreateError> {
        let fail = |error| CreateError::io("write", &self.path, error);
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let mut file = options.open(&self.path).map_err(fail)?;
        file.set_len(self.length).map_err(fail)?;
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        self.file = Some(file);
        Ok(())
    }

    pub(super) const fn inputs(&self) -> Sha256 {
        self.inputs
    }

    pub(super) const fn begun(&self) -> Begun {
        self.begun
    }

    pub(super) const fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Bytes of payloads that last.
    pub(super) fn written(&self) -> u64 {
        self.volumes.values().filter_map(|volume| volume.mark.as_ref()).map(|mark| mark.position).sum()
    }

    /// A volume as far as it was written.
    pub(super) fn volume(&self, number: u16) -> Volume {
        self.volumes.get(&number).cloned().unwrap_or_default()
    }

    /// Forgets what was written of a volume and of those after it: its file is not what it was.
    pub(super) fn forget(&mut self, number: u16) {
        self.volumes.retain(|other, _| *other < number);
    }

    /// Writes down that a payload lasts up to here; what it says must be on the disk.
    pub(super) fn mark(&mut self, mark: Mark) -> Result<(), CreateError> {
        self.note(Line::Mark(mark))
    }

    /// Writes down that a payload is whole.
    pub(super) fn done(&mut self, payload: Payload, mark: Mark) -> Result<(), CreateError> {
        self.note(Line::Done { volume: mark.volume, payload, mark })
    }

    /// Writes down that all is on the disk, under its hidden names.
    pub(super) fn seal(&mut self) -> Result<(), CreateError> {
        self.note(Line::Sealed)
    }

    fn note(&mut self, line: Line) -> Result<(), CreateError> {
        self.add(&line)?;
        self.take(line);
        Ok(())
    }

    fn take(&mut self, line: Line) {
        let mut at = |mark: Mark, payload| {
            let volume = self.volumes.entry(mark.volume).or_default();
            // A volume that was begun anew has marks before its last one.
            volume.chunks.truncate(usize::try_from(mark.first).unwrap_or(usize::MAX));
            volume.chunks.extend(mark.chunks.iter().map(|chunk| *chunk.as_bytes()));
            volume.mark = Some(mark);
            volume.payload = payload;
        };
        match line {
            Line::Begun { .. } => {}
            Line::Mark(mark) => at(mark, None),
            Line::Done { payload, mark, .. } => at(mark, Some(payload)),
            Line::Sealed => self.sealed = true,
        }
    }

    fn add(&mut self, line: &Line) -> Result<(), CreateError> {
        let fail = |error: std::io::Error| CreateError::io("write", &self.path, error);
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut text = serde_json::to_vec(line).map_err(|error| fail(error.into()))?;
        text.push(b'\n');
        file.write_all(&text).and_then(|()| file.sync_data()).map_err(fail)
    }
}
