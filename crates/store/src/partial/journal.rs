//! The journal of a partial file: text, one record a line, only appended to.
//!
//! ```text
//! sovai-partial/v1 <sha256 hex> <size>
//! boot <boot ID of the kernel>
//! holder <process ID> <command>
//! w <first byte> <after the last byte>      written; survives the process, not a power cut
//! s <first byte> <after the last byte>      on the disk
//! ```
//!
//! Nothing in it is trusted to be right: a file that is whole by its journal is still hashed from its first byte to its last
//! before it becomes a blob. So a damaged journal costs bytes, never truth: reading stops at the first line that is none.

use super::Ranges;
use sovai_core::Sha256;
use std::fmt::Write as _;
use std::ops::Range;

const MAGIC: &str = "sovai-partial/v1";
/// Longest journal that is read, in bytes.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// What a journal says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Journal {
    pub(super) have: Ranges,
    pub(super) synced: Ranges,
    /// `process 123 (sovai pull)`.
    pub(super) holder: Option<String>,
}

impl Journal {
    /// Reads a journal; nothing when it is of another file. `boot` is the kernel's boot ID now, where it is known.
    pub(super) fn read(text: &[u8], digest: &Sha256, size: u64, boot: Option<&str>) -> Option<Self> {
        // The last line may be cut off; then it has no end.
        let lines = text.split_inclusive(|byte| *byte == b'\n').map_while(|line| line.strip_suffix(b"\n"));
        let mut lines = lines.map_while(|line| std::str::from_utf8(line).ok());
        if lines.next()? != format!("{MAGIC} {} {size}", digest.hex()) {
            return None;
        }
        let same_boot = lines.next()?.strip_prefix("boot ").is_some_and(|id| Some(id) == boot);
        let mut journal = Self::default();
        for line in lines {
            let Some((kind, rest)) = line.split_once(' ') else { break };
            if kind == "holder" {
                if let Some((pid, command)) = rest.split_once(' ')
                    && pid.bytes().all(|byte| byte.is_ascii_digit())
                {
                    journal.holder = Some(format!("process {pid} ({})", command.escape_debug()));
                }
                continue;
            }
            let Some(range) = range(rest, size) else { break };
            match kind {
                "w" if same_boot => drop(journal.have.insert(range)),
                "w" => {}
                "s" => {
                    journal.have.insert(range.clone());
                    journal.synced.insert(range);
                }
                _ => break,
            }
        }
        Some(journal)
    }

    /// The shortest journal that says the same, with the holder's name.
    pub(super) fn text(&self, digest: &Sha256, size: u64, boot: Option<&str>, holder: &str) -> String {
        let holder: String = holder.chars().filter(|c| !c.is_control()).take(200).collect();
        let mut text = format!("{MAGIC} {} {size}\nboot {}\n", digest.hex(), boot.unwrap_or("unknown"));
        let _ = writeln!(text, "holder {} {holder}", std::process::id());
        for range in self.synced.iter() {
            text.push_str(&record('s', &range));
        }
        for range in self.have.iter() {
            text.push_str(&record('w', &range));
        }
        text
    }
}

/// The length of the file that a journal is of; nothing when it is of another file.
pub(super) fn size(text: &[u8], digest: &Sha256) -> Option<u64> {
    let line = text.split(|byte| *byte == b'\n').next()?;
    let (magic_and_digest, size) = std::str::from_utf8(line).ok()?.rsplit_once(' ')?;
    (magic_and_digest == format!("{MAGIC} {}", digest.hex())).then(|| size.parse().ok())?
}

/// One line.
pub(super) fn record(kind: char, range: &Range<u64>) -> String {
    format!("{kind} {} {}\n", range.start, range.end)
}

fn range(text: &str, size: u64) -> Option<Range<u64>> {
    let (start, end) = text.split_once(' ')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    (start < end && end <= size).then_some(start..end)
}
