//! One connection at work on one stretch of a file.

use super::engine::Engine;
use super::file::{File, blocking, may_pass};
use super::plan::Lane;
use crate::{Body, ByteRange, SourceError};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep, sleep_until};

/// Bytes that are written at once, where they come fast.
const BATCH: usize = 512 << 10;
/// Bytes that wait while others are written; then no more are taken from the network.
const MOST_WAITING: usize = 2 << 20;
/// What came is written after this, also where it comes slowly: a kill costs no more.
const AGE: Duration = Duration::from_millis(5);
/// A note tells a person of waits that are at least so long.
const WORTH_A_NOTE: Duration = Duration::from_secs(1);

/// How a request ended.
enum Ended {
    /// The lane has its bytes, or another took the rest.
    Done,
    /// The file's plan changed, or the run is to stop.
    Stopped,
    /// The source sent all of the file where a part was asked for, or says that there is no such part.
    IgnoredRange,
    /// It broke off; more bytes may come with another try.
    Broken(SourceError),
}

/// Bytes that came and are not written yet.
#[derive(Default)]
struct Waiting {
    /// Contiguous bytes from a place on, in order.
    batches: VecDeque<(u64, Vec<Bytes>, usize)>,
    bytes: usize,
    since: Option<Instant>,
}

impl Waiting {
    fn push(&mut self, at: u64, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.since.get_or_insert_with(Instant::now);
        self.bytes += piece.len();
        match self.batches.back_mut() {
            Some((start, pieces, length)) if *start + *length as u64 == at && *length < BATCH => {
                *length += piece.len();
                pieces.push(piece);
            }
            _ => self.batches.push_back((at, vec![piece.clone()], piece.len())),
        }
    }

    /// The next batch, when it is long enough or old enough, or nothing more comes.
    fn ready(&mut self, last: bool) -> Option<(u64, Vec<Bytes>)> {
        let (_, _, length) = self.batches.front()?;
        let is_old = self.since.is_some_and(|since| since.elapsed() >= AGE);
        if *length < BATCH && self.batches.len() == 1 && !is_old && !last {
            return None;
        }
        let (at, pieces, length) = self.batches.pop_front()?;
        self.bytes -= length;
        self.since = (!self.batches.is_empty()).then(Instant::now);
        Some((at, pieces))
    }
}

impl Engine<'_> {
    /// Works on a lane until it is done, or until its rest must be planned anew.
    pub(super) async fn run(&self, file: &Arc<File>, lane: Lane) -> Result<(), SourceError> {
        let result = self.try_often(file, &lane).await;
        file.plan().give_back(&lane, &file.have());
        let source_lost = result?;
        if let Some((source, error)) = source_lost {
            self.leave(file, source, error).await?;
        }
        self.look(file);
        Ok(())
    }

    /// Gives the source with its error when it is to be given up.
    async fn try_often(
        &self,
        file: &Arc<File>,
        lane: &Lane,
    ) -> Result<Option<(usize, SourceError)>, SourceError> {
        let mut failures = 0;
        let mut at = lane.start;
        loop {
            let source = file.choice().current;
            let before = file.tally.new.load(Ordering::Relaxed);
            let error = match self.stream(file, lane, source, &mut at).await? {
                Ended::Done | Ended::Stopped => return Ok(None),
                Ended::IgnoredRange if !lane.whole => {
                    let mut choice = file.choice();
                    if choice.current == source {
                        choice.ignores_ranges();
                        file.plan().set_whole();
                    }
                    return Ok(None);
                }
                Ended::IgnoredRange => {
                    let reason = "it refused a range that was not asked for".to_owned();
                    SourceError::Malformed { origin: file.origin(source), reason }
                }
                Ended::Broken(error) => error,
            };
            // Bytes of other connections count too: a server that answers some of them is not lost. Those of one that drips
            // do not.
            if !error.is_slow() && file.tally.new.load(Ordering::Relaxed) > before {
                failures = 0;
            }
            failures += 1;
            if !may_pass(&error) {
                return Ok(Some((source, error)));
            }
            let asked = match &error {
                SourceError::Http { source, .. } => source.retry_after(),
                _ => None,
            };
            let Some(wait) = self.options.retry.wait(failures, asked) else {
                let given_up = match error {
                    error @ SourceError::Mismatch { .. } => error,
                    last => SourceError::GivenUp {
                        path: file.subject.clone(),
                        sha256: file.sha256,
                        tries: failures,
                        last: Box::new(last),
                    },
                };
                return Ok(Some((source, given_up)));
            };
            if wait >= WORTH_A_NOTE {
                self.progress.note(
                    &file.subject,
                    format!("{}; tried again in {:.0} s", with_cause(&error), wait.as_secs_f64()),
                );
            }
            self.pause(wait).await;
            if self.stop.is_cancelled() || !file.plan().is_current(lane) {
                return Ok(None);
            }
        }
    }

    /// One request and its body. `at` is where the lane's bytes are there up to.
    async fn stream(
        &self,
        file: &Arc<File>,
        lane: &Lane,
        source: usize,
        at: &mut u64,
    ) -> Result<Ended, SourceError> {
        let Some((from, wanted)) = file.sources.get(source) else { return Ok(Ended::Stopped) };
        let end = file.plan().advance(lane, *at);
        if !lane.whole && *at >= end {
            return Ok(Ended::Done);
        }
        let range = if lane.whole || (*at == 0 && end == file.size) {
            None
        } else {
            Some(ByteRange { start: *at, end })
        };
        file.tally.tries.fetch_add(1, Ordering::Relaxed);
        let body = tokio::select! {
            body = from.open(wanted, range) => body,
            () = self.stopped() => return Ok(Ended::Stopped),
        };
        let body = match body {
            Ok(body) => body,
            Err(error) if is_416(&error) => return Ok(Ended::IgnoredRange),
            Err(error) => return Ok(Ended::Broken(error)),
        };
        if let Some(ended) = unfit(file, source, range, &body) {
            return Ok(ended);
        }
        self.take(file, lane, source, body, at).await
    }

    /// Takes a body's bytes and writes them, both at once.
    async fn take(
        &self,
        file: &Arc<File>,
        lane: &Lane,
        source: usize,
        body: Body,
        at: &mut u64,
    ) -> Result<Ended, SourceError> {
        let Some(partial) = file.partial() else { return Ok(Ended::Stopped) };
        // What is there already is not written again. Only one stream without a range meets such bytes.
        let skip = lane.whole.then(|| partial.have());
        let mut stream = body.stream;
        let mut place = body.start;
        let mut waiting = Waiting::default();
        let mut task = None;
        let mut ended: Option<Ended> = None;
        let mut held: Pin<Box<Sleep>> = Box::pin(sleep(Duration::ZERO));
        let mut is_held = false;
        let mut stopped = std::pin::pin!(self.stopped());
        loop {
            if task.is_none()
                && let Some((from, pieces)) = waiting.ready(ended.is_some())
            {
                let (partial, hashing) = (Arc::clone(&partial), Arc::clone(&file.hashing));
                let pool = self.pool.clone();
                let length: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
                task = Some(Box::pin(async move {
                    let new = blocking(move || File::write(&partial, &hashing, from, pieces, &pool)).await?;
                    Ok::<_, SourceError>((from + length, length, new))
                }));
            }
            if task.is_none() && ended.is_some() {
                break;
            }
            let age = waiting.since.map(|since| since + AGE);
            tokio::select! {
                written = async { match task.as_mut() { Some(task) => task.await, None => std::future::pending().await } } => {
                    task = None;
                    let (to, length, new) = written.map_err(|error| self.full(error))?;
                    file.tally.new.fetch_add(new, Ordering::Relaxed);
                    self.progress.add(&file.subject, new);
                    file.sync_now_and_then(length);
                    if !lane.whole {
                        *at = to;
                        file.plan().written(lane, to);
                    }
                }
                piece = stream.next(), if ended.is_none() && !is_held && waiting.bytes < MOST_WAITING => {
                    let piece = match piece {
                        Some(Ok(piece)) => piece,
                        Some(Err(error)) => { ended = Some(Ended::Broken(error)); continue }
                        None => { ended = Some(early(file, source, place)); continue }
                    };
                    file.came(source, piece.len() as u64);
                    if let Some(due) = self.pace.reserve(piece.len() as u64) {
                        held.set(sleep_until(due.into()));
                        is_held = due > Instant::now();
                    }
                    let end = file.plan().advance(lane, place);
                    let piece_end = place + piece.len() as u64;
                    let useful = usize::try_from(end.saturating_sub(place)).unwrap_or(usize::MAX).min(piece.len());
                    let piece = piece.slice(..useful);
                    match &skip {
                        None => waiting.push(place, piece),
                        Some(have) => {
                            for gap in have.gaps(place..place + useful as u64).iter() {
                                let cut = |to: u64| usize::try_from(to - place).unwrap_or(useful).min(useful);
                                waiting.push(gap.start, piece.slice(cut(gap.start)..cut(gap.end)));
                            }
                        }
                    }
                    let reached = place + useful as u64;
                    place = piece_end;
                    let mut plan = file.plan();
                    if plan.advance(lane, reached) <= reached {
                        ended = Some(Ended::Done);
                    } else if !plan.is_current(lane) {
                        ended = Some(Ended::Stopped);
                    }
                }
                () = &mut held, if is_held => is_held = false,
                () = sleep_until(age.unwrap_or_else(Instant::now).into()), if age.is_some() && task.is_none() => {}
                () = &mut stopped, if ended.is_none() => ended = Some(Ended::Stopped),
            }
        }
        Ok(ended.unwrap_or(Ended::Done))
    }
}

/// What is wrong with an answer before its first byte.
fn unfit(file: &File, source: usize, range: Option<ByteRange>, body: &Body) -> Option<Ended> {
    let asked = range.map_or(0, |range| range.start);
    // The whole file came where a part was asked for.
    let is_whole = body.start == 0 && body.length.is_some() && body.length == body.total;
    if range.is_some_and(|range| range.end - range.start < file.size) && is_whole
        || (body.start == 0 && asked > 0)
    {
        return Some(Ended::IgnoredRange);
    }
    if let Some(total) = body.total.filter(|total| *total != file.size) {
        return Some(Ended::Broken(SourceError::Mismatch {
            origin: file.origin(source),
            path: file.subject.clone(),
            expected: format!("{} bytes", file.size),
            found: format!("{total} bytes"),
        }));
    }
    if body.start != asked {
        let reason = format!("bytes from {asked} on were asked for, it sent those from {} on", body.start);
        return Some(Ended::Broken(SourceError::Malformed { origin: file.origin(source), reason }));
    }
    None
}

/// A body that ended before its last byte.
fn early(file: &File, source: usize, place: u64) -> Ended {
    let reason = format!("the connection ended early, after byte {place} of {}", file.size);
    Ended::Broken(SourceError::Malformed { origin: file.origin(source), reason })
}

fn is_416(error: &SourceError) -> bool {
    matches!(error, SourceError::Http { source, .. } if source.status() == Some(sovai_http::StatusCode::RANGE_NOT_SATISFIABLE))
}

/// An error with what is behind it, in one line.
fn with_cause(error: &SourceError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
