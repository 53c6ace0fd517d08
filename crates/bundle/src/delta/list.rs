//! The list of a store's blobs, as it goes out by hand.

use crate::index::BaseBlob;
use sovai_core::Sha256;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Most blobs of a list.
pub const MAX_LISTED: usize = 1_000_000;

/// First line of a list.
const HEAD: &str = "sovai-blobs/1";

/// Which blobs a store has, with their sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlobList {
    /// The blobs.
    pub blobs: BTreeMap<Sha256, u64>,
}

/// Why a text is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the list of blobs is not as expected: {expected}")]
pub struct ListError {
    /// Its number, from 1.
    pub line: usize,
    /// What must stand there.
    pub expected: &'static str,
}

impl BlobList {
    /// The list as text: `sovai-blobs/1`, then one line a blob, `sha256:HEX SIZE`, sorted. The same blobs always give the
    /// same bytes.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for (digest, size) in &self.blobs {
            let _ = writeln!(text, "{digest} {size}");
        }
        text
    }

    /// Whether a text means to be a list.
    pub fn is_list(text: &[u8]) -> bool {
        text.starts_with(HEAD.as_bytes())
    }

    /// Reads a list: what [`Self::to_text`] writes, at most [`MAX_LISTED`] blobs. Line ends may be those of Windows: such a
    /// list goes through many hands.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        let mut lines = (1..).zip(text.lines());
        if lines.next().map(|(_, head)| head) != Some(HEAD) {
            return Err(ListError { line: 1, expected: "sovai-blobs/1" });
        }
        let mut blobs = BTreeMap::new();
        let mut last = None;
        for (line, row) in lines {
            let wrong = |expected| ListError { line, expected };
            if blobs.len() == MAX_LISTED {
                return Err(wrong("the end: a list has at most 1,000,000 blobs"));
            }
            let (digest, size) = row.split_once(' ').ok_or_else(|| wrong("`sha256:HEX SIZE`"))?;
            let digest: Sha256 = digest.parse().map_err(|_| wrong("a digest, `sha256:` and 64 digits"))?;
            let is_number = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
            let size = size.parse().ok().filter(|_| is_number).ok_or_else(|| wrong("a size in bytes"))?;
            if last.replace(digest).is_some_and(|last| last >= digest) {
                return Err(wrong("the digests in order"));
            }
            blobs.insert(digest, size);
        }
        Ok(Self { blobs })
    }

    /// One blob of the list, as an index names it.
    pub fn get(&self, digest: &Sha256) -> Option<BaseBlob> {
        self.blobs.get(digest).map(|size| BaseBlob { digest: *digest, size: *size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let blobs = [([1; 32], 5), ([0xab; 32], 0)].map(|(bytes, size)| (Sha256::from_bytes(bytes), size));
        let list = BlobList { blobs: blobs.into() };
        let text = list.to_text();
        assert!(text.starts_with("sovai-blobs/1\nsha256:0101"), "{text}");
        assert!(BlobList::is_list(text.as_bytes()));
        assert_eq!(BlobList::parse(&text).as_ref(), Ok(&list));
        assert_eq!(BlobList::parse(&text.replace('\n', "\r\n")), Ok(list));
        for bad in [
            String::new(),
            text.replace("blobs/1", "blobs/2"),
            text.replace(" 5", " -5"),
            text.replace(" 5", " +5"),
            text.replace(" 5", ""),
            text.replace("sha256:ab", "sha256:AB"),
            text.replace("sha256:01", "sha256:ff"),
            format!("{text}\n"),
        ] {
            assert!(BlobList::parse(&bad).is_err(), "{bad}");
        }
    }
}
