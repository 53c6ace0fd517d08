//! `SHA256SUMS` of a volume: what `sha256sum -c` reads.

use crate::index::Index;
use crate::plan::Plan;
use crate::volume::{VolumeId, names};
use sha2::Digest as _;
use sovai_core::Sha256;
use std::fmt::Write as _;

/// Length of a digest and the two spaces after it, and of the line's end.
const LINE: usize = 64 + 2 + 1;

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

/// The sums of a volume's files but the signatures and decisions, sorted by name. `index` is the index's text.
pub fn text(index: &Index, index_text: &[u8], id: VolumeId) -> Option<String> {
    let volume = index.volume(id)?;
    let payload = id.payload(&index.stack, index.sequence);
    let mut lines: Vec<(&str, Sha256)> = vec![
        (names::INDEX, sha256(index_text)),
        (names::CHUNKS, index.chunks),
        (&payload, volume.payload.sha256),
    ];
    lines.extend(volume.files.iter().map(|(name, file)| (name.as_str(), file.sha256)));
    lines.sort_unstable();
    let mut text = String::new();
    for (name, digest) in lines {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}  {name}", digest.hex());
    }
    Some(text)
}

/// How many bytes the sums of a planned volume will have.
pub(crate) fn size(plan: &Plan, id: VolumeId) -> u64 {
    let payload = id.payload(&plan.contents.stack, plan.contents.sequence);
    let mut files = vec![names::README, names::INDEX, names::CHUNKS, &payload];
    files.extend(plan.has_program(id).then_some(names::PROGRAM));
    files.iter().map(|name| (name.len() + LINE) as u64).sum()
}
