//! Lays files onto volumes: small files first, then blobs by size; a blob that does not fit is split.

use super::{Entry, NewItem, Plan, PlannedVolume, Run, SIGNATURE_ROOM};
use crate::chunk_size;
use crate::index::{Part, Role};
use crate::tar::BLOCK;
use crate::volume::MAX_VOLUMES;

/// Bytes of zeros at the end of a tar archive.
const TRAILER: u64 = 2 * BLOCK;
/// Smallest piece that a blob is split for, in bytes.
const SMALLEST_PIECE: u64 = 64 << 10;
/// Payloads of volumes without a bound end here: sizes beyond are refused by readers.
const NO_BOUND: u64 = 1 << 60;

/// Lays all files onto volumes of `limit` bytes with no file above `file` bytes. Says whether it can be done.
pub(super) fn onto(plan: &mut Plan, limit: u64, file: u64) -> bool {
    plan.chunk_size = chunk_size(carried(plan));
    let program = plan.program.as_ref().map_or(0, |program| program.size);
    // What lies beside the payloads depends on where the files lie, and takes room from them: it is estimated, then measured.
    let mut beside = 8 << 10;
    for _ in 0..16 {
        let room = |number: u16| {
            // A volume of parity has the program too, and a payload as large as the largest.
            let own = if number == 1 || plan.parity > 0 { program } else { 0 };
            let taken = own.saturating_add(beside).saturating_add(SIGNATURE_ROOM);
            limit.checked_sub(taken).map(|room| room.min(file).min(NO_BOUND))
        };
        let Some((volumes, parts)) = fill(&plan.contents.items, room) else { return false };
        (plan.volumes, plan.parts) = (volumes, parts);
        let common = plan.common_size(&plan.unmade());
        let own = plan.ids().map(|id| plan.own_size(id) - if plan.has_program(id) { program } else { 0 });
        let found = common + own.max().unwrap_or(0);
        if found <= beside {
            return true;
        }
        beside = found + found / 32;
    }
    false
}

/// The smallest bound onto which the files can be laid, to within a hundredth; `limit` is too small.
pub(super) fn minimum(plan: &mut Plan, limit: u64) -> u64 {
    let mut low = limit;
    let mut high = limit.max(1 << 20);
    while !onto(plan, high, u64::MAX) {
        low = high;
        match high.checked_mul(2) {
            Some(more) => high = more,
            None => return u64::MAX,
        }
    }
    while high - low > (high / 100).max(1 << 10) {
        let middle = low + (high - low) / 2;
        if onto(plan, middle, u64::MAX) { high = middle } else { low = middle }
    }
    high
}

/// Bytes of all files that are carried.
fn carried(plan: &Plan) -> u64 {
    plan.contents.items.iter().fold(0, |sum: u64, item| sum.saturating_add(item.carried()))
}

impl NewItem {
    /// Which bytes are carried and which are not; all of them where nothing else is said.
    fn all_runs(&self) -> Vec<Run> {
        if self.runs.is_empty() && self.size > 0 {
            return vec![Run::Carried { length: self.size }];
        }
        self.runs.clone()
    }

    fn carried(&self) -> u64 {
        let length = |run: &Run| if let Run::Carried { length } = run { *length } else { 0 };
        self.all_runs().iter().map(length).fold(0, u64::saturating_add)
    }
}

/// Where the next entry goes.
struct Filling<R> {
    volumes: Vec<PlannedVolume>,
    /// Most bytes of the payload of a volume.
    room: R,
}

impl<R: Fn(u16) -> Option<u64>> Filling<R> {
    /// Bytes of data that the current volume still takes.
    fn left(&self) -> u64 {
        let room = u16::try_from(self.volumes.len()).ok().and_then(&self.room).unwrap_or(0);
        let used = self.volumes.last().map_or(0, |volume| volume.size);
        // Data are padded to whole blocks.
        room.saturating_sub(used + BLOCK + TRAILER) / BLOCK * BLOCK
    }

    /// Begins another volume; says whether there can be one.
    fn next(&mut self) -> bool {
        self.volumes.push(PlannedVolume::default());
        self.volumes.len() <= usize::from(MAX_VOLUMES) && self.left() >= SMALLEST_PIECE
    }

    /// Adds an entry to the current volume.
    fn add(&mut self, item: usize, from: u64, length: u64) -> Option<Part> {
        let volume = u16::try_from(self.volumes.len()).ok()?;
        let current = self.volumes.last_mut()?;
        let offset = current.size + BLOCK;
        current.size = offset + length.next_multiple_of(BLOCK);
        current.entries.push(Entry { name: String::new(), item, from, length, offset });
        (length > 0).then_some(Part::Carried { volume, offset, length })
    }
}

/// The volumes and what each file is made of; nothing when it cannot be done.
fn fill(
    items: &[NewItem],
    room: impl Fn(u16) -> Option<u64>,
) -> Option<(Vec<PlannedVolume>, Vec<Vec<Part>>)> {
    let mut filling = Filling { volumes: Vec::new(), room };
    if !filling.next() {
        return None;
    }
    let mut parts = vec![Vec::new(); items.len()];
    for (at, item) in in_order(items) {
        let mut from = 0;
        let mut made = Vec::new();
        if item.size == 0 {
            // So that it is there when the payloads are unpacked; the index needs no part for it.
            filling.add(at, 0, 0);
        }
        for run in item.all_runs() {
            let mut length = match run {
                Run::Based { base, offset, length } => {
                    made.push(Part::Based { base, offset, length });
                    from += length;
                    continue;
                }
                Run::Carried { length } => length,
            };
            while length > 0 {
                let left = filling.left();
                let piece = if length <= left {
                    length
                } else if item.role == Role::Blob && left >= SMALLEST_PIECE {
                    left
                } else if item.role == Role::Blob && filling.next() {
                    continue;
                } else {
                    return None;
                };
                made.extend(filling.add(at, from, piece));
                (from, length) = (from + piece, length - piece);
            }
        }
        if let Some(kept) = parts.get_mut(at) {
            *kept = made;
        }
    }
    let mut volumes = filling.volumes;
    for volume in &mut volumes {
        volume.size += TRAILER;
    }
    name(items, &parts, &mut volumes);
    Some((volumes, parts))
}

/// Small files first, by path; then blobs, small ones first: manifests and configurations are among them.
fn in_order(items: &[NewItem]) -> Vec<(usize, &NewItem)> {
    let mut order: Vec<_> = items.iter().enumerate().collect();
    order.sort_by_key(|(at, item)| {
        let is_blob = item.role == Role::Blob;
        (is_blob, if is_blob { item.size } else { 0 }, *at)
    });
    order
}

/// Names the entries: a whole file by its path, a piece by its number among all parts of its file.
fn name(items: &[NewItem], parts: &[Vec<Part>], volumes: &mut [PlannedVolume]) {
    for (number, volume) in (1_u16..).zip(volumes) {
        for entry in &mut volume.entries {
            let (Some(item), Some(of)) = (items.get(entry.item), parts.get(entry.item)) else { continue };
            let here = |part: &Part| {
                matches!(part, Part::Carried { volume, offset, .. }
                    if *volume == number && *offset == entry.offset)
            };
            entry.name = match of.iter().position(here) {
                Some(at) if of.len() > 1 => piece_name(item, at + 1),
                _ => item.path.as_str().to_owned(),
            };
        }
    }
}

/// `pieces/sha256/HEX/0001`.
fn piece_name(item: &NewItem, number: usize) -> String {
    format!("pieces/sha256/{}/{number:04}", item.sha256.hex())
}
