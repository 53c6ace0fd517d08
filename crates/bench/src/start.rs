//! Size and start of the binary.

use crate::error::{BenchError, io};
use crate::process::run;
use crate::report::{Bar, Figure, Unit};
use crate::stats::{float, median, millis};
use crate::{Measured, Setting};
use std::process::Command;
use std::time::Duration;

/// This part's name.
pub(crate) const PART: &str = "start";

/// Starts behind the median.
const STARTS: usize = 50;
const LIMIT: Duration = Duration::from_secs(10);
/// The bars.
const MAX_START_MS: f64 = 10.0;
const MAX_SIZE_MIB: f64 = 25.0;

/// Measures.
pub(crate) fn measure(setting: &Setting) -> Result<Measured, BenchError> {
    let bytes = fs_err::read(&setting.sovai).map_err(io("the binary"))?;
    if needs_loader(&bytes) != Some(false) {
        return Err(BenchError::Unfit(format!("{} is no static program", setting.sovai.display())));
    }
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    let store = setting.dir.join("sovai-bench-none");
    setting.begin(PART, 0)?;
    for _ in 0..if setting.quick { 5 } else { STARTS } {
        ours.push(millis(run(setting.sovai(&store).arg("--version"), LIMIT)?.wall));
        floor.push(millis(run(&mut Command::new("/bin/true"), LIMIT)?.wall));
    }
    let size = float(bytes.len() as u64) / f64::from(1 << 20);
    let detail = format!(
        "median of {}; `/bin/true`, a dynamic program, takes {:.2} ms in the same way",
        ours.len(),
        median(&floor)
    );
    Ok((
        vec![
            Figure::new(PART, "`sovai --version`", Unit::Milliseconds, ours)
                .bar(Bar::Below(MAX_START_MS))
                .detail(detail),
            Figure::new(PART, "size of the binary", Unit::Mebibytes, vec![size])
                .bar(Bar::Below(MAX_SIZE_MIB))
                .detail("static: it names no loader and needs no library"),
        ],
        Vec::new(),
    ))
}

/// Whether a 64-bit little-endian ELF file names a program loader (`PT_INTERP` of `elf(5)`), as only dynamic programs
/// do. `None` when it is no such file.
fn needs_loader(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let half = |at: usize| Some(usize::from(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?)));
    let table = usize::try_from(u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?)).ok()?;
    let (size, count) = (half(54)?, half(56)?);
    for entry in 0..count {
        let at = table.checked_add(entry.checked_mul(size)?)?;
        let kind = elf.get(at..at.checked_add(4)?)?;
        if u32::from_le_bytes(kind.try_into().ok()?) == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&u16::try_from(kinds.len()).unwrap().to_le_bytes());
        for kind in kinds {
            let mut entry = [0; 56];
            entry[..4].copy_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(&entry);
        }
        bytes
    }

    #[test]
    fn a_program_that_names_a_loader_is_dynamic() {
        assert_eq!(needs_loader(&elf(&[6, 3, 1])), Some(true));
        assert_eq!(needs_loader(&elf(&[1, 1, 2])), Some(false));
        assert_eq!(needs_loader(&fs_err::read("/bin/true").unwrap()), Some(true));
    }

    #[test]
    fn what_is_cut_short_or_something_else_is_neither() {
        let whole = elf(&[1, 1]);
        assert_eq!(needs_loader(&whole[..100]), None);
        assert_eq!(needs_loader(b"#!/bin/sh\n"), None);
        assert_eq!(needs_loader(b""), None);
    }
}
