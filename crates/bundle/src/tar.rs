//! The archive headers of payloads. Whoever writes a payload and whoever reads one asks here, so that nothing can hide between
//! the files.

use crate::index::{Index, Item, Part};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a header, and what all files are padded to.
pub const BLOCK: u64 = 512;
/// Permission bits of every file in a payload.
const MODE: u32 = 0o444;

/// The header of a file in a payload: mode 0444, owner and time 0.
///
/// The path has at most 100 bytes, as the index asks of its items; of a longer one the header has the first 100.
pub fn tar_header(path: &str, size: u64) -> [u8; 512] {
    let mut header = tar::Header::new_gnu();
    // Set by hand: the writer's own way changes some paths and refuses others, and a header must be the same everywhere.
    if let Some(gnu) = header.as_gnu_mut() {
        let bytes = path.as_bytes();
        let bytes = bytes.get(..gnu.name.len()).unwrap_or(bytes);
        for (to, from) in gnu.name.iter_mut().zip(bytes) {
            *to = *from;
        }
    }
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(MODE);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    *header.as_bytes()
}

/// Zero bytes between the end of a file and the next header.
pub const fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

/// Name in a payload of part `number` (from 1) of an item: its path when it is whole, else `pieces/sha256/HEX/NNNN`.
pub fn entry_name(item: &Item, number: usize) -> String {
    if item.parts.len() == 1 {
        item.path.as_str().to_owned()
    } else {
        format!("pieces/sha256/{}/{number:04}", item.sha256.hex())
    }
}

/// A file in a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The item that it belongs to.
    pub item: &'a Item,
    /// Which of the item's parts it is, from 1.
    pub number: usize,
    /// Where its bytes begin in the payload.
    pub offset: u64,
    /// How many there are.
    pub length: u64,
}

impl Entry<'_> {
    /// Its header.
    pub fn header(&self) -> [u8; 512] {
        tar_header(&entry_name(self.item, self.number), self.length)
    }
}

/// The files in the payload of each volume of data, sorted by place.
pub fn entries(index: &Index) -> BTreeMap<u16, Vec<Entry<'_>>> {
    let mut all: BTreeMap<u16, Vec<Entry<'_>>> = BTreeMap::new();
    for item in &index.items {
        for (number, part) in (1..).zip(&item.parts) {
            if let Part::Carried { volume, offset, length } = *part {
                all.entry(volume).or_default().push(Entry { item, number, offset, length });
            }
        }
    }
    for entries in all.values_mut() {
        entries.sort_by_key(|entry| entry.offset);
    }
    all
}

/// Headers of the files without bytes. The index gives them no place: they may stand in any gap.
pub fn empty_headers(index: &Index) -> BTreeSet<[u8; 512]> {
    let empty = index.items.iter().filter(|item| item.size == 0);
    empty.map(|item| tar_header(item.path.as_str(), 0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn headers_are_read_by_another_reader() {
        let long = format!("pieces/sha256/{}/0001", "a".repeat(64));
        for (path, size) in [("stack/demo.yaml", 3), (long.as_str(), 9 << 30)] {
            let bytes = tar_header(path, size);
            let mut archive = tar::Archive::new(bytes.as_slice().chain(std::io::repeat(0)));
            let entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(entry.path().unwrap().to_str(), Some(path));
            assert_eq!(entry.size(), size);
            assert_eq!(entry.header().mode().unwrap(), 0o444);
            assert_eq!(entry.header().mtime().unwrap(), 0);
        }
        assert_eq!((padding(0), padding(1), padding(512)), (0, 511, 0));
    }
}
