//! Which source is the quickest, by a small request to each.

use super::file::File;
use crate::{ByteRange, Source, SourceError, Wanted};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use sovai_verifier::Cancel;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that are asked for.
const PROBE: u64 = 1 << 20;
/// The longest that an answer is waited for; what takes longer counts as the slowest.
const LONGEST: Duration = Duration::from_secs(5);

/// Sorts the sources of each file: those that gave a piece of a file the soonest come first, those that gave none last.
/// Each source is asked once, for the start of the largest file that it is to have; what it sends is thrown away.
pub(super) async fn sort(files: impl Iterator<Item = &mut File>, cancel: &Cancel) {
    let files: Vec<&mut File> = files.collect();
    let mut probes: BTreeMap<usize, (Arc<dyn Source>, Wanted)> = BTreeMap::new();
    for file in files.iter().filter(|file| file.sources.len() > 1) {
        for (source, wanted) in &file.sources {
            let known = probes.entry(key(source)).or_insert((Arc::clone(source), wanted.clone()));
            if known.1.size < wanted.size {
                known.1 = wanted.clone();
            }
        }
    }
    let asked = probes.iter().map(|(key, (source, wanted))| async move {
        let time = tokio::time::timeout(LONGEST, probe(source.as_ref(), wanted)).await;
        (*key, time.ok().and_then(Result::ok).unwrap_or(Duration::MAX))
    });
    let all = join_all(asked);
    let stopped = async {
        while !cancel.is_cancelled() {
            tokio::time::sleep(super::LOOK).await;
        }
    };
    let times: BTreeMap<usize, Duration> = tokio::select! {
        times = all => times.into_iter().collect(),
        () = stopped => return,
    };
    for file in files {
        // Stable: of two that are alike, the first stays first.
        file.sources.sort_by_key(|(source, _)| times.get(&key(source)).copied());
    }
}

/// The same for the same source: two may be named alike.
fn key(source: &Arc<dyn Source>) -> usize {
    Arc::as_ptr(source).cast::<()>().addr()
}

/// How long the first bytes take.
async fn probe(source: &dyn Source, wanted: &Wanted) -> Result<Duration, SourceError> {
    let start = Instant::now();
    let length = wanted.size.unwrap_or(PROBE).min(PROBE);
    if length == 0 {
        return Ok(Duration::ZERO);
    }
    let mut body = source.open(wanted, Some(ByteRange { start: 0, end: length })).await?;
    let mut came = 0u64;
    while came < length
        && let Some(piece) = body.stream.next().await
    {
        came = came.saturating_add(piece?.len() as u64);
    }
    if came < length {
        let reason = "the first bytes ended early".to_owned();
        return Err(SourceError::Malformed { origin: source.origin().to_owned(), reason });
    }
    Ok(start.elapsed())
}
