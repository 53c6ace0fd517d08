//! Bytes on their way into a payload: one thread reads, one writes, one makes what was written last, and three hash.
//!
//! The buffers go round: whoever is the last to look at one gives it back. So memory is bounded, and the slowest sets the pace.

use super::CreateError;
use super::journal::{Journal, Mark};
use crate::index::Payload;
use sha2::Digest as _;
use sha2::digest::common::hazmat::SerializableState as _;
use sovai_core::Sha256;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a buffer.
const BUFFER: usize = 256 << 10;
/// How many there are.
const BUFFERS: usize = 24;

/// Bytes under way.
struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
}

/// What goes through the pipe.
enum Message {
    Bytes(Arc<Buffer>),
    /// The file whose bytes came is at its end; this is what it must have been.
    FileEnd(Box<Expected>),
    /// All before this position is to last.
    Mark(u64),
}

/// What a file must be.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) sha256: Sha256,
    /// Where it was read, for the error.
    pub(super) path: PathBuf,
}

/// What the threads say about a mark.
enum Note {
    Written(u64),
    Payload(u64, String),
    File(u64, Option<String>),
    Chunks(u64, Vec<Sha256>),
}

/// Where a payload goes on.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// Bytes that are there.
    pub(super) position: u64,
    /// SHA-256 of them.
    pub(super) payload: sha2::Sha256,
    /// SHA-256 of the file that is under way, also from an earlier volume.
    pub(super) file: Option<sha2::Sha256>,
    /// Chunks of the bytes that are there.
    pub(super) chunks: Vec<[u8; 32]>,
}

/// A payload that is written.
pub(super) struct Target<'a> {
    pub(super) volume: u16,
    pub(super) path: &'a Path,
    /// Open for writing at the position where it goes on.
    pub(super) file: &'a File,
    /// Bytes that it will have.
    pub(super) size: u64,
    pub(super) chunk_size: u32,
    /// Bytes between two marks, a multiple of the chunk size.
    pub(super) step: u64,
}

/// The first failure of any thread; later ones follow from it.
#[derive(Default)]
struct Failure(Mutex<Option<CreateError>>);

impl Failure {
    fn set(&self, error: CreateError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take(&self) -> Option<CreateError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the reading thread puts bytes into.
pub(super) struct Feed<'a> {
    free: Receiver<Buffer>,
    written: Sender<Message>,
    payload: Sender<Message>,
    file: Sender<Message>,
    chunks: Sender<Message>,
    failure: &'a Failure,
    position: u64,
    size: u64,
    next_mark: u64,
    step: u64,
}

/// Why feeding ended early: another thread failed, or the feeding itself did.
#[derive(Debug)]
pub(super) enum Stop {
    Elsewhere,
    Here(CreateError),
}

impl From<CreateError> for Stop {
    fn from(error: CreateError) -> Self {
        Self::Here(error)
    }
}

impl Feed<'_> {
    /// Where the next byte goes in the payload.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Feeds `length` bytes, which `fill` gives piece by piece. Those of a file are hashed as such, too.
    pub(super) fn bytes(
        &mut self,
        mut length: u64,
        of_file: bool,
        mut fill: impl FnMut(&mut [u8]) -> Result<(), CreateError>,
    ) -> Result<(), Stop> {
        while length > 0 {
            let Ok(mut buffer) = self.free.recv() else { return Err(Stop::Elsewhere) };
            if self.failure.is_set() {
                return Err(Stop::Elsewhere);
            }
            let most = length.min(self.next_mark - self.position).min(buffer.bytes.len() as u64);
            let len = usize::try_from(most).unwrap_or(BUFFER);
            buffer.len = len;
            fill(buffer.bytes.get_mut(..len).unwrap_or_default())?;
            let buffer = Arc::new(buffer);
            if of_file {
                self.send(&self.file, Message::Bytes(Arc::clone(&buffer)))?;
            }
            self.send(&self.payload, Message::Bytes(Arc::clone(&buffer)))?;
            self.send(&self.chunks, Message::Bytes(Arc::clone(&buffer)))?;
            self.send(&self.written, Message::Bytes(buffer))?;
            length -= most;
            self.position += most;
            if self.position == self.next_mark {
                self.next_mark += self.step;
                if self.position < self.size {
                    self.mark()?;
                }
            }
        }
        Ok(())
    }

    /// Says that the file whose bytes were fed is at its end.
    pub(super) fn end_file(&self, expected: Expected) -> Result<(), Stop> {
        self.send(&self.file, Message::FileEnd(Box::new(expected)))
    }

    fn mark(&self) -> Result<(), Stop> {
        for to in [&self.written, &self.payload, &self.file, &self.chunks] {
            self.send(to, Message::Mark(self.position))?;
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "only who feeds sends")]
    fn send(&self, to: &Sender<Message>, message: Message) -> Result<(), Stop> {
        to.send(message).map_err(|_| Stop::Elsewhere)
    }
}

/// Writes a payload from `start` on; `feed` gives the bytes. Gives its digest and all its chunks, when all of it lasts and the
/// journal says so.
pub(super) fn run(
    target: &Target<'_>,
    start: Start,
    journal: &mut Journal,
    feed: impl FnOnce(&mut Feed<'_>) -> Result<(), Stop>,
) -> Result<(Payload, Vec<[u8; 32]>), CreateError> {
    let failure = Failure::default();
    let Start { position, payload, file, chunks: mut all } = start;
    let first = all.len() as u64;
    let ended = std::thread::scope(|scope| {
        let failure = &failure;
        let (free_in, free) = channel();
        for _ in 0..BUFFERS {
            drop(free_in.send(Buffer { bytes: vec![0; BUFFER].into(), len: 0 }));
        }
        let (notes, heard) = channel();
        let (written, for_writing) = channel();
        let (to_payload, for_payload) = channel();
        let (to_file, for_file) = channel();
        let (to_chunks, for_chunks) = channel();
        let (back, note) = (free_in.clone(), notes.clone());
        scope.spawn(move || writing(target, &for_writing, &back, &note, failure));
        let (back, note) = (free_in.clone(), notes.clone());
        let hashing = scope.spawn(move || hash_payload(payload, &for_payload, &back, &note));
        let (back, note) = (free_in.clone(), notes.clone());
        scope.spawn(move || hash_file(file, &for_file, &back, &note, failure));
        let (back, note) = (free_in, notes);
        scope.spawn(move || hash_chunks(target.chunk_size, &for_chunks, &back, &note));
        let lasting = scope.spawn(move || lasting(target, first, &heard, journal, failure));

        let mut feeding = Feed {
            free,
            written,
            payload: to_payload,
            file: to_file,
            chunks: to_chunks,
            failure,
            position,
            size: target.size,
            next_mark: (position / target.step + 1) * target.step,
            step: target.step,
        };
        let result = feed(&mut feeding).and_then(|()| feeding.mark());
        drop(feeding);
        let sha256 = hashing.join().ok();
        let lasting = lasting.join().ok();
        match (result, sha256, lasting) {
            (Err(Stop::Here(error)), ..) => Err(error),
            (Ok(()), Some(sha256), Some((journal, Some(mark)))) => Ok((journal, sha256, mark)),
            _ => Err(CreateError::Cancelled),
        }
    });
    if let Some(error) = failure.take() {
        return Err(error);
    }
    let (journal, sha256, mark) = ended?;
    let payload = Payload { size: target.size, sha256 };
    journal.done(payload, mark)?;
    let whole = journal.volume(target.volume).chunks;
    all.clear();
    all.extend(whole);
    Ok((payload, all))
}

/// Gives a buffer back, if nobody else looks at it.
fn give_back(buffer: Arc<Buffer>, to: &Sender<Buffer>) {
    if let Some(buffer) = Arc::into_inner(buffer) {
        drop(to.send(buffer));
    }
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn writing(
    target: &Target<'_>,
    messages: &Receiver<Message>,
    back: &Sender<Buffer>,
    notes: &Sender<Note>,
    failure: &Failure,
) {
    let mut file = target.file;
    for message in messages {
        match message {
            Message::Bytes(buffer) => {
                if !failure.is_set()
                    && let Err(error) = file.write_all(buffer.bytes())
                {
                    failure.set(CreateError::io("write", target.path, error));
                }
                give_back(buffer, back);
            }
            Message::Mark(position) if !failure.is_set() => drop(notes.send(Note::Written(position))),
            Message::Mark(_) | Message::FileEnd(_) => {}
        }
    }
}

fn hash_payload(
    mut hash: sha2::Sha256,
    messages: &Receiver<Message>,
    back: &Sender<Buffer>,
    notes: &Sender<Note>,
) -> Sha256 {
    for message in messages {
        match message {
            Message::Bytes(buffer) => {
                hash.update(buffer.bytes());
                give_back(buffer, back);
            }
            Message::Mark(position) => drop(notes.send(Note::Payload(position, save(&hash)))),
            Message::FileEnd(_) => {}
        }
    }
    Sha256::from_bytes(hash.finalize().into())
}

fn hash_file(
    mut hash: Option<sha2::Sha256>,
    messages: &Receiver<Message>,
    back: &Sender<Buffer>,
    notes: &Sender<Note>,
    failure: &Failure,
) {
    let mut good = true;
    for message in messages {
        match message {
            Message::Bytes(buffer) => {
                hash.get_or_insert_default().update(buffer.bytes());
                give_back(buffer, back);
            }
            Message::FileEnd(expected) => {
                let found = Sha256::from_bytes(hash.take().unwrap_or_default().finalize().into());
                if found != expected.sha256 {
                    let Expected { sha256, path } = *expected;
                    failure.set(CreateError::Rotten { path, expected: sha256, found: found.to_string() });
                    good = false;
                }
            }
            // Nothing behind a file that is not what it must be is ever taken for good.
            Message::Mark(position) if good => {
                drop(notes.send(Note::File(position, hash.as_ref().map(save))));
            }
            Message::Mark(_) => {}
        }
    }
}

fn hash_chunks(size: u32, messages: &Receiver<Message>, back: &Sender<Buffer>, notes: &Sender<Note>) {
    let size = u64::from(size);
    let mut hash = blake3::Hasher::new();
    let mut chunks = Vec::new();
    for message in messages {
        match message {
            Message::Bytes(buffer) => {
                let mut bytes = buffer.bytes();
                while !bytes.is_empty() {
                    let left = usize::try_from(size - hash.count()).unwrap_or(usize::MAX);
                    let (now, later) = bytes.split_at(left.min(bytes.len()));
                    hash.update(now);
                    bytes = later;
                    if hash.count() == size {
                        chunks.push(Sha256::from_bytes(*hash.finalize().as_bytes()));
                        hash.reset();
                    }
                }
                give_back(buffer, back);
            }
            Message::Mark(position) => {
                // Marks stand between chunks, but for the one at the end.
                if hash.count() > 0 {
                    chunks.push(Sha256::from_bytes(*hash.finalize().as_bytes()));
                    hash.reset();
                }
                drop(notes.send(Note::Chunks(position, std::mem::take(&mut chunks))));
            }
            Message::FileEnd(_) => {}
        }
    }
}

/// What is known of a mark so far.
#[derive(Default)]
struct Known {
    written: bool,
    payload: Option<String>,
    /// The state of the file under way, where one is; there once the thread has said so.
    file: (bool, Option<String>),
    chunks: Option<Vec<Sha256>>,
}

impl Known {
    fn add(&mut self, note: Note) {
        match note {
            Note::Written(_) => self.written = true,
            Note::Payload(_, state) => self.payload = Some(state),
            Note::File(_, state) => self.file = (true, state),
            Note::Chunks(_, chunks) => self.chunks = Some(chunks),
        }
    }

    fn mark(self, volume: u16, position: u64, first: u64) -> Option<Mark> {
        let (payload, chunks) = (self.payload?, self.chunks?);
        Some(Mark { volume, position, payload, file: self.file.1, first, chunks })
    }

    const fn is_all(&self) -> bool {
        self.written && self.payload.is_some() && self.file.0 && self.chunks.is_some()
    }
}

/// Makes last what all threads have done, and writes it down. Gives the mark at the end, which is not written down yet.
fn lasting<'a>(
    target: &Target<'_>,
    mut first: u64,
    notes: &Receiver<Note>,
    journal: &'a mut Journal,
    failure: &Failure,
) -> (&'a mut Journal, Option<Mark>) {
    let mut open: BTreeMap<u64, Known> = BTreeMap::new();
    let mut end = None;
    for note in notes {
        let (Note::Written(position)
        | Note::Payload(position, _)
        | Note::File(position, _)
        | Note::Chunks(position, _)) = note;
        let known = open.entry(position).or_default();
        known.add(note);
        if !known.is_all() {
            continue;
        }
        let Some(mark) = open.remove(&position).and_then(|known| known.mark(target.volume, position, first))
        else {
            continue;
        };
        first += mark.chunks.len() as u64;
        let synced = target.file.sync_data().map_err(|error| CreateError::io("write", target.path, error));
        let done = synced.and_then(|()| {
            if position == target.size {
                end = Some(mark);
                return Ok(());
            }
            journal.mark(mark)
        });
        if let Err(error) = done {
            failure.set(error);
        }
    }
    (journal, end)
}

/// The state of a hash, in hex.
fn save(hash: &sha2::Sha256) -> String {
    hash.serialize().iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash whose state [`save`] gave.
pub(super) fn restore(state: &str) -> Option<sha2::Sha256> {
    let byte = |at: usize| u8::from_str_radix(state.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..state.len()).step_by(2).map(byte).collect::<Option<_>>()?;
    sha2::Sha256::deserialize(&bytes.as_slice().try_into().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_goes_on_from_its_state() {
        let mut hash =
            sha2::Sha256::new_with_prefix(b"some bytes, more than one block of them: 64 and then a few more");
        let mut again = restore(&save(&hash)).unwrap();
        for hash in [&mut hash, &mut again] {
            hash.update(b"and the rest");
        }
        assert_eq!(hash.finalize(), again.finalize());
        assert!(restore("").is_none());
        assert!(restore("zz").is_none());
        assert!(restore("é").is_none());
    }
}
