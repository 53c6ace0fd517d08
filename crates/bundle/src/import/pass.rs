//! One pass over a payload: one thread reads and computes BLAKE3, one writes, one computes SHA-256, one waits for the disk.
//!
//! Blocks go from the reader to the writer and to the hash, and back to the reader when both are done with them: so memory is
//! that of the blocks. After the blocks of a chunk comes the word whether its bytes were right. Only then does the writer note
//! them, and only then does the hash of a file move on.

use super::plan::{Segment, VolumePlan};
use super::target::{Target, lock};
use super::{Damage, Fault, Import, ImportError, Payload, Shared, Taken};
use crate::volume::VolumeId;
use sovai_core::{Event, Step};
use sovai_store::Ranges;
use sovai_verifier::Hasher;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes that are read at once, and how many of these there are.
const BLOCK: usize = 1 << 20;
const BLOCKS: usize = 12;
/// A file of at most so many bytes that lies in one chunk is kept in memory until the chunk is known to be right.
const SMALL: u64 = 64 << 10;
/// Bytes of a file after which what was written is brought to the disk, so that a power cut costs no more.
const SYNC_BYTES: u64 = 128 << 20;
/// How much waits for the disk before the writer waits, too.
const WAITING: usize = 2;
/// So many chunks in a row that cannot be read at all, and the disk is taken to be gone.
const GIVE_UP: u32 = 3;
/// Least time between two progress events.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// A piece of a payload; its memory goes back to the reader when the last one lets it go.
struct Block {
    at: u64,
    length: usize,
    bytes: Vec<u8>,
    free: Sender<Vec<u8>>,
}

impl Block {
    fn range(&self) -> Range<u64> {
        self.at..self.at.saturating_add(self.length as u64)
    }

    /// The bytes of a segment that was cut to this block.
    fn of(&self, segment: &Segment) -> &[u8] {
        let start = usize::try_from(segment.at.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = usize::try_from(segment.length).unwrap_or(usize::MAX);
        self.bytes.get(start..start.saturating_add(length)).unwrap_or_default()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // Nobody takes it when the reader has ended.
        drop(self.free.send(std::mem::take(&mut self.bytes)));
    }
}

/// What goes to the writer and to the hash.
#[derive(Clone)]
enum Message {
    /// A chunk begins: which bytes of the payload it is.
    Begin(Range<u64>),
    Block(Arc<Block>),
    /// It is over, and was right or not.
    End(bool),
}

/// What is left to whoever waits for the disk.
enum Wait {
    /// The file with this number has all its bytes.
    Commit(usize),
    Sync(Shared),
}

/// What the threads share.
struct Pass<'a> {
    import: &'a Import<'a>,
    plan: &'a VolumePlan,
    stop: AtomicBool,
    failed: Mutex<Option<ImportError>>,
}

pub(super) fn run(
    import: &Import<'_>,
    plan: &VolumePlan,
    payload: &dyn Payload,
) -> Result<Taken, ImportError> {
    let pass = Pass { import, plan, stop: AtomicBool::new(false), failed: Mutex::default() };
    let taken = std::thread::scope(|scope| {
        let (write, to_write) = sync_channel(BLOCKS);
        let (hash, to_hash) = sync_channel(BLOCKS);
        let (wait, waiting) = sync_channel(WAITING);
        let to_wait = wait.clone();
        let pass = &pass;
        scope.spawn(move || Writer::new(pass, wait).run(&to_write));
        scope.spawn(move || pass.hash(&to_hash, &to_wait));
        scope.spawn(move || pass.wait(&waiting));
        pass.read(payload, &[write, hash])
    });
    match pass.failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error),
        None if import.options.cancel.is_cancelled() => Err(ImportError::Cancelled),
        None => Ok(taken),
    }
}

impl Pass<'_> {
    fn fail(&self, error: impl Into<ImportError>) {
        lock(&self.failed).get_or_insert(error.into());
        self.stop.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.import.options.cancel.is_cancelled()
    }

    /// The files of a stretch that are not in the store yet.
    fn open(&self, payload: Range<u64>) -> impl Iterator<Item = (Segment, &Target)> {
        let target = |segment: Segment| Some((segment, self.import.targets.get(segment.target)?));
        self.plan.within(payload).filter_map(target).filter(|(_, target)| !target.is_done())
    }

    /// Reads the payload from its start to its end, without the chunks that are in already.
    fn read(&self, payload: &dyn Payload, to: &[SyncSender<Message>]) -> Taken {
        let volume = VolumeId::Data(self.plan.volume);
        let (free, free_blocks) = channel();
        for _ in 0..BLOCKS {
            drop(free.send(vec![0; BLOCK]));
        }
        let mut taken = Taken::default();
        let mut told: Option<Instant> = None;
        let mut unreadable = 0;
        let size = u64::from(self.import.index.chunk_size);
        for (number, expected) in (0_u64..).zip(self.import.chunks.of(volume)) {
            if self.is_stopped() {
                break;
            }
            let at = number.saturating_mul(size);
            let chunk = at..at.saturating_add(size).min(self.plan.size);
            if !self.open(chunk.clone()).any(|(part, target)| target.lacks(self.import.store, &part.range()))
            {
                taken.there = taken.there.saturating_add(chunk.end - chunk.start);
                continue;
            }
            if let Err(error) = self.prepare(&chunk) {
                self.fail(error);
                break;
            }
            send(to, &Message::Begin(chunk.clone()));
            let found = read_chunk(payload, &chunk, to, (&free, &free_blocks), &mut taken.read);
            let fault = match found {
                Ok(found) if found == *expected => None,
                Ok(_) => Some(Fault::Wrong),
                Err(fault) => Some(fault),
            };
            send(to, &Message::End(fault.is_none()));
            unreadable = if matches!(fault, Some(Fault::Unreadable(_))) { unreadable + 1 } else { 0 };
            if let Some(fault) = fault {
                taken.damaged.push(Damage { volume, chunk: number + 1, at, fault });
            }
            if unreadable == GIVE_UP {
                taken.given_up = true;
                break;
            }
            if told.is_none_or(|told| told.elapsed() >= PROGRESS_PAUSE) {
                told = Some(Instant::now());
                self.tell(chunk.end);
            }
        }
        self.tell(taken.there.saturating_add(taken.read).min(self.plan.size));
        taken
    }

    fn tell(&self, done: u64) {
        let volume = VolumeId::Data(self.plan.volume).to_string();
        self.import.reporter.report(Event::progress(Step::Import, volume, done, self.plan.size));
    }

    /// Opens the files that a chunk has bytes of, so that the state of their hashes is known.
    fn prepare(&self, chunk: &Range<u64>) -> Result<(), ImportError> {
        for (segment, target) in self.open(chunk.clone()) {
            if !is_small(target, &segment, chunk) {
                target.open(self.import.store)?;
            }
        }
        Ok(())
    }

    /// Hashes files as far as their bytes come in order.
    fn hash(&self, messages: &Receiver<Message>, wait: &SyncSender<Wait>) {
        let mut chunk = 0..0;
        // Hashes that move on when the chunk was right.
        let mut working: BTreeMap<usize, Hasher> = BTreeMap::new();
        for message in messages {
            match message {
                Message::Begin(range) => chunk = range,
                Message::Block(block) => {
                    for (segment, target) in self.open(block.range()) {
                        if is_small(target, &segment, &chunk) {
                            continue;
                        }
                        let hasher = working.entry(segment.target).or_insert_with(|| target.hasher());
                        if hasher.bytes() == segment.within {
                            hasher.update(block.of(&segment));
                        }
                    }
                }
                Message::End(true) => {
                    for (number, hasher) in std::mem::take(&mut working) {
                        let Some(target) = self.import.targets.get(number) else { continue };
                        target.set_hasher(hasher);
                        if target.claim() {
                            drop(wait.send(Wait::Commit(number)));
                        }
                    }
                }
                Message::End(false) => working.clear(),
            }
        }
    }

    /// Waits for the disk in place of those who have something to do.
    fn wait(&self, waiting: &Receiver<Wait>) {
        for wait in waiting {
            let done = match wait {
                Wait::Commit(number) => {
                    let target = self.import.targets.get(number);
                    target.map_or(Ok(()), |target| target.commit(self.import.store))
                }
                Wait::Sync(partial) => partial.sync().map_err(ImportError::from),
            };
            if let Err(error) = done {
                self.fail(error);
            }
        }
    }
}

/// Reads a chunk, hands it on, and gives its BLAKE3.
fn read_chunk(
    payload: &dyn Payload,
    chunk: &Range<u64>,
    to: &[SyncSender<Message>],
    (free, blocks): (&Sender<Vec<u8>>, &Receiver<Vec<u8>>),
    read: &mut u64,
) -> Result<[u8; 32], Fault> {
    let mut hasher = blake3::Hasher::new();
    let mut at = chunk.start;
    while at < chunk.end {
        // Those who have blocks give them back, also after an error.
        let Ok(bytes) = blocks.recv() else { break };
        let length = usize::try_from(chunk.end - at).unwrap_or(usize::MAX).min(BLOCK);
        let mut block = Block { at, length, bytes, free: free.clone() };
        let Some(space) = block.bytes.get_mut(..length) else { break };
        match payload.read_at(space, at) {
            Ok(count) if count == length => {}
            Ok(_) => return Err(Fault::Short),
            Err(error) => return Err(Fault::Unreadable(error)),
        }
        hasher.update(space);
        *read = read.saturating_add(length as u64);
        at = at.saturating_add(length as u64);
        send(to, &Message::Block(Arc::new(block)));
    }
    Ok(*hasher.finalize().as_bytes())
}

fn send(to: &[SyncSender<Message>], message: &Message) {
    for sender in to {
        // The receivers live as long as the senders.
        drop(sender.send(message.clone()));
    }
}

/// Whether a file lies whole in one chunk and is small.
fn is_small(target: &Target, segment: &Segment, chunk: &Range<u64>) -> bool {
    let start = segment.at.saturating_sub(segment.within);
    target.parts.len() == 1
        && target.size <= SMALL
        && chunk.start <= start
        && start.saturating_add(target.size) <= chunk.end
}

/// Writes what comes, at its place.
struct Writer<'a> {
    pass: &'a Pass<'a>,
    wait: SyncSender<Wait>,
    chunk: Range<u64>,
    /// Of this chunk: files that are open, with the bytes that were written.
    written: BTreeMap<usize, (Shared, Ranges)>,
    /// Of this chunk: small files.
    small: BTreeMap<usize, Vec<u8>>,
    failed: bool,
}

impl<'a> Writer<'a> {
    const fn new(pass: &'a Pass<'a>, wait: SyncSender<Wait>) -> Self {
        Self { pass, wait, chunk: 0..0, written: BTreeMap::new(), small: BTreeMap::new(), failed: false }
    }

    fn run(mut self, messages: &Receiver<Message>) {
        for message in messages {
            // Blocks still go back to the reader.
            if self.failed {
                continue;
            }
            let done = match message {
                Message::Begin(chunk) => {
                    self.chunk = chunk;
                    Ok(())
                }
                Message::Block(block) => self.write(&block),
                Message::End(true) => self.count(),
                Message::End(false) => {
                    self.written.clear();
                    self.small.clear();
                    Ok(())
                }
            };
            if let Err(error) = done {
                self.failed = true;
                self.pass.fail(error);
            }
        }
    }

    fn write(&mut self, block: &Block) -> Result<(), ImportError> {
        let pass = self.pass;
        for (segment, target) in pass.open(block.range()) {
            let bytes = block.of(&segment);
            if is_small(target, &segment, &self.chunk) {
                self.small.entry(segment.target).or_default().extend_from_slice(bytes);
                continue;
            }
            let (partial, written) = match self.written.entry(segment.target) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert((target.open(pass.import.store)?, Ranges::new())),
            };
            let range = segment.range();
            if partial.reach(range.start) >= range.end {
                continue;
            }
            partial.forget_range(&range)?;
            partial.place(segment.within, bytes)?;
            written.insert(range);
        }
        Ok(())
    }

    /// The chunk was right: what was written counts.
    fn count(&mut self) -> Result<(), ImportError> {
        let targets = &self.pass.import.targets;
        for (number, (partial, written)) in std::mem::take(&mut self.written) {
            for range in written.iter() {
                partial.note_range(range)?;
            }
            let is_ready = targets.get(number).is_some_and(Target::claim);
            if is_ready {
                drop(self.wait.send(Wait::Commit(number)));
            } else if partial.unsynced() >= SYNC_BYTES {
                drop(self.wait.send(Wait::Sync(partial)));
            }
        }
        for (number, bytes) in std::mem::take(&mut self.small) {
            if let Some(target) = targets.get(number) {
                target.put(self.pass.import.store, &bytes)?;
            }
        }
        Ok(())
    }
}
