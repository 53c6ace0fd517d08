//! The small files of a volume's folder: the README, the program, the sums; and what is not the bundle's.

use crate::set::folder::Folder;
use crate::set::{SetFinding, VolumeDir, VolumeSet, Weight};
use crate::volume::names;
use sovai_core::Sha256;
use std::collections::BTreeMap;

/// Largest file of sums, in bytes: six lines.
const MAX_SUMS: u64 = 64 << 10;

pub(super) fn check(set: &VolumeSet, here: &VolumeDir, findings: &mut Vec<SetFinding>) {
    let Some(expected) = set.index().volume(here.id) else { return };
    let folder = match Folder::open(&here.path) {
        Ok(folder) => folder,
        Err(error) => {
            findings.push(SetFinding::new(Weight::Bytes, "unreadable", Some(here.id), &here.path, error));
            return;
        }
    };
    let mut say = |weight, kind, name: &str, detail: String| {
        findings.push(SetFinding::new(weight, kind, Some(here.id), here.path.join(name), detail));
    };
    for (name, file) in &expected.files {
        match folder.digest(name, file.size) {
            Ok(Some((sha256, size))) if (sha256, size) == (file.sha256, file.size) => {}
            Ok(Some((found, size))) => {
                let detail =
                    format!("expected {} bytes with {}, found {size} with {found}", file.size, file.sha256);
                say(Weight::Bytes, "file-damaged", name, detail);
            }
            Ok(None) => say(Weight::Bytes, "file-missing", name, "it is not there".to_owned()),
            Err(error) => say(Weight::Bytes, "file-damaged", name, error.to_string()),
        }
    }
    let payload = here.id.payload(&set.index().stack, set.index().sequence);
    let mut sums: BTreeMap<&str, Sha256> =
        expected.files.iter().map(|(name, file)| (name.as_str(), file.sha256)).collect();
    sums.insert(names::INDEX, set.digest());
    sums.insert(names::CHUNKS, set.index().chunks);
    sums.insert(&payload, expected.payload.sha256);
    match folder.read(names::SUMS, MAX_SUMS) {
        Ok(Some(bytes)) => {
            if let Err(detail) = check_sums(&bytes, &sums) {
                say(Weight::Bytes, "sums-damaged", names::SUMS, detail);
            }
        }
        Ok(None) => say(Weight::Bytes, "file-missing", names::SUMS, "it is not there".to_owned()),
        Err(error) => say(Weight::Bytes, "unreadable", names::SUMS, error.to_string()),
    }
    let own = [names::SUMS, names::SIGNATURES, names::DECISIONS];
    let Ok(entries) = folder.entries() else { return };
    for (name, _) in entries {
        let known = name.to_str().is_some_and(|name| own.contains(&name) || sums.contains_key(name));
        if !known {
            say(Weight::Note, "foreign", &name.to_string_lossy(), "it is no file of the bundle".to_owned());
        }
    }
}

/// Whether a file of sums has one line for each file, in any order, with the digests that the index says.
fn check_sums(bytes: &[u8], expected: &BTreeMap<&str, Sha256>) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    let mut left = expected.clone();
    for line in text.strip_suffix('\n').ok_or("its last line has no end")?.split('\n') {
        let (digits, name) = line.split_once("  ").ok_or("a line is not `DIGEST  NAME`")?;
        let shown = name.chars().take(80).collect::<String>();
        let digest =
            left.remove(name).ok_or_else(|| format!("it has a line for `{}`", shown.escape_debug()))?;
        if digits != digest.hex() {
            return Err(format!("the line for `{}` has another digest than the index", shown.escape_debug()));
        }
    }
    match left.keys().next() {
        Some(name) => Err(format!("it has no line for `{name}`")),
        None => Ok(()),
    }
}
