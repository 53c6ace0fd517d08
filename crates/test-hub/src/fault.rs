//! What goes wrong, where, and how often.

use crate::Place;
use crate::content::splitmix;
use globset::{Glob, GlobMatcher};
use std::time::Duration;

/// One thing that goes wrong.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fault {
    /// A range is answered with status 200 and all bytes.
    IgnoreRange,
    /// `Content-Length` is off by this much: above zero the body ends too early, below zero it goes on.
    ContentLength(i64),
    /// No `Content-Length`: the body is chunked.
    NoLength,
    /// The connection breaks after so many bytes of the body.
    CloseAfter(u64),
    /// The connection breaks at a place below `below` bytes that is pseudo-random by `seed` and by how often it happened.
    CloseAtRandom {
        /// Where the sequence starts.
        seed: u64,
        /// Every place is below this.
        below: u64,
    },
    /// Any range is answered with status 416.
    RefuseRange,
    /// `Content-Range` names a start that is off by this much; the bytes are those asked for.
    ContentRangeStart(i64),
    /// `Content-Range` names a total size that is off by this much.
    ContentRangeTotal(i64),
    /// A range that does not start at 0 is answered with other bytes.
    CorruptResume,
    /// Always other bytes.
    Corrupt,
    /// The byte at this offset of the file is another.
    Flip(u64),
    /// This status, with `Retry-After` in seconds.
    Status {
        /// The HTTP status.
        code: u16,
        /// Seconds of `Retry-After`.
        retry_after: Option<u64>,
    },
    /// This status, type and body.
    Answer {
        /// The HTTP status.
        code: u16,
        /// `Content-Type`.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// A redirect (302) to exactly this location.
    Redirect(String),
    /// At most so many bytes a second for each response.
    Throttle(u64),
    /// Silence after so many bytes of the body; the connection stays open.
    Stall(u64),
    /// Silence in place of any answer; the connection stays open.
    Silence,
    /// The answer comes so much later.
    Delay(Duration),
    /// A body that never ends, without a length.
    Endless,
    /// One more header, in place of one with the same name.
    Header(String, String),
}

impl Fault {
    /// Status 429 with `Retry-After`.
    pub fn too_many(retry_after: u64) -> Self {
        Self::Status { code: 429, retry_after: Some(retry_after) }
    }

    /// This status without `Retry-After`.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None }
    }

    /// It acts when the answer is decided, before any body.
    fn is_early(&self) -> bool {
        matches!(
            self,
            Self::Status { .. } | Self::Answer { .. } | Self::Redirect(_) | Self::Silence | Self::Delay(_)
        )
    }

    /// It acts on the answer to a range only.
    fn needs_range(&self) -> bool {
        matches!(
            self,
            Self::IgnoreRange
                | Self::RefuseRange
                | Self::ContentRangeStart(_)
                | Self::ContentRangeTotal(_)
                | Self::CorruptResume
        )
    }
}

/// A fault with the paths that it is for.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: u64,
    pub(crate) glob: GlobMatcher,
    pub(crate) fault: Fault,
    /// How often it may still happen.
    pub(crate) left: Option<u64>,
    /// How many matching answers pass before it starts.
    pub(crate) skip: u64,
    /// Only there.
    pub(crate) place: Option<Place>,
    /// How often it happened.
    pub(crate) hits: u64,
}

impl Rule {
    pub(crate) fn new(id: u64, glob: &str, fault: Fault) -> Result<Self, globset::Error> {
        let glob = Glob::new(glob)?.compile_matcher();
        Ok(Self { id, glob, fault, left: None, skip: 0, place: None, hits: 0 })
    }
}

/// What an answer is about: the names that a rule may match.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) names: &'a [&'a str],
    pub(crate) place: Place,
    /// The first byte asked for, where a range was asked for.
    pub(crate) range: Option<u64>,
    /// The body of a file follows.
    pub(crate) body: bool,
}

/// The faults of one answer: those that match and are left are counted as used.
pub(crate) fn take(rules: &mut [Rule], target: &Target<'_>, early: bool) -> Vec<Fault> {
    let mut taken = Vec::new();
    for rule in rules {
        let fits = rule.fault.is_early() == early
            && (early || target.body)
            && rule.place.is_none_or(|place| place == target.place)
            && (!rule.fault.needs_range() || target.range.is_some())
            && (!matches!(rule.fault, Fault::CorruptResume) || target.range.is_some_and(|start| start > 0))
            && target.names.iter().any(|name| rule.glob.is_match(name));
        if !fits {
            continue;
        }
        if rule.skip > 0 {
            rule.skip -= 1;
            continue;
        }
        match &mut rule.left {
            Some(0) => continue,
            Some(left) => *left -= 1,
            None => {}
        }
        taken.push(match rule.fault {
            Fault::CloseAtRandom { seed, below } => {
                let mut state = seed.wrapping_add(rule.hits.wrapping_mul(0x9e37_79b9));
                Fault::CloseAfter(splitmix(&mut state) % below.max(1))
            }
            ref other => other.clone(),
        });
        rule.hits += 1;
    }
    taken
}
