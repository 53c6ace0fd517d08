//! The small files of a volume: written again from the other volumes, from the index, or from a patch.

use super::finish::sync_folder;
use super::{RepairError, RepairOptions};
use crate::index::VolumeFile;
use crate::set::folder::{BUFFER, Folder};
use crate::set::{Found, MAX_TABLE, VolumeSet, sha256};
use crate::verify::read_range;
use crate::volume::{VolumeId, names};
use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};
use sha2::Digest as _;
use sovai_core::Sha256;
use std::io::Write as _;
use std::path::Path;

/// Largest README that is made again, in bytes.
const MAX_README: u64 = 1 << 20;

/// Writes what is missing or other than the index says. Gives back the names of what was written, and of what could not be.
pub(super) fn restore(
    set: &VolumeSet,
    id: VolumeId,
    path: &Path,
    options: &RepairOptions<'_>,
) -> Result<(Vec<String>, Vec<String>), RepairError> {
    let index = set.index();
    let (mut written, mut lacking) = (Vec::new(), Vec::new());
    let Some(volume) = index.volume(id) else { return Ok((written, lacking)) };
    let folder =
        Folder::open(path).map_err(|error| RepairError::Io(std::io::Error::other(error.to_string())))?;
    let mut put = |name: &str, bytes: &[u8]| -> Result<(), RepairError> {
        let is_there =
            folder.read(name, bytes.len() as u64).is_ok_and(|there| there.as_deref() == Some(bytes));
        if !is_there {
            put_file(&path.join(name), bytes)?;
            written.push(name.to_owned());
        }
        Ok(())
    };
    put(names::INDEX, set.index_bytes())?;
    match table_bytes(set) {
        Some(bytes) => put(names::CHUNKS, &bytes)?,
        None => lacking.push(names::CHUNKS.to_owned()),
    }
    put(names::SUMS, crate::sums::text(index, set.index_bytes(), id).unwrap_or_default().as_bytes())?;
    let is_good = |name: &str, file: &VolumeFile| {
        folder
            .digest(name, file.size)
            .is_ok_and(|found| found.is_some_and(|found| found == (file.sha256, file.size)))
    };
    for (name, file) in &volume.files {
        if is_good(name, file) {
            continue;
        }
        let done = if name == names::README {
            let text = readme_again(set, id).or_else(|| from_patch(options, id, name, file));
            if let Some(text) = &text {
                put_file(&path.join(name), text)?;
            }
            text.is_some()
        } else {
            program(set, id, file, path, options)?
        };
        if done {
            written.push(name.clone());
        } else {
            lacking.push(name.clone());
        }
    }
    let fit = |found: &&Found| found.fit.is_ok();
    for (below, all) in [(names::SIGNATURES, set.signatures()), (names::DECISIONS, set.decisions())] {
        let all: Vec<&Found> = all.iter().filter(fit).collect();
        if all.is_empty() {
            continue;
        }
        let below = path.join(below);
        fs_err::create_dir_all(&below).map_err(|error| RepairError::at(&below, error))?;
        for found in all {
            let target = below.join(&found.name);
            if !target.exists() {
                put_file(&target, &found.bytes)?;
                written.push(format!(
                    "{}/{}",
                    below.file_name().unwrap_or_default().to_string_lossy(),
                    found.name
                ));
            }
        }
    }
    written.sort();
    Ok((written, lacking))
}

/// Whether something here, beside patches, has a small file of a volume.
pub fn can_restore(set: &VolumeSet, id: VolumeId, name: &str) -> bool {
    let Some(file) = set.index().volume(id).and_then(|volume| volume.files.get(name)) else { return false };
    if name == names::README {
        return readme_again(set, id).is_some();
    }
    set.present().any(|here| {
        let found = Folder::open(&here.path).and_then(|folder| folder.digest(name, file.size));
        found.is_ok_and(|found| found == Some((file.sha256, file.size)))
    })
}

/// The README of a volume, if it can be made again from the index or from that of another volume. What is given back has the
/// digest that the index says.
pub fn readme_again(set: &VolumeSet, id: VolumeId) -> Option<Vec<u8>> {
    let expected = set.index().volume(id)?.files.get(names::README)?;
    let fits = |text: &[u8]| text.len() as u64 == expected.size && sha256(text) == expected.sha256;
    let own = crate::readme::text(&crate::plan::Plan::of(set.index()), id);
    if fits(own.as_bytes()) {
        return Some(own.into_bytes());
    }
    // Another version of this program wrote it in other words. Those of two volumes of one kind differ by little more than their
    // numbers.
    for here in set.present() {
        let Some(text) = here.read(names::README, MAX_README).ok().flatten() else { continue };
        let Ok(text) = String::from_utf8(text) else { continue };
        let named = text.replace(&here.id.to_string(), &id.to_string());
        let (number, other) = (here.id.number(), id.number());
        let numbered = named.replace(&format!("volume {number} of"), &format!("volume {other} of"));
        for text in [text, named, numbered] {
            if fits(text.as_bytes()) {
                return Some(text.into_bytes());
            }
        }
    }
    None
}

/// The table of chunks as bytes.
fn table_bytes(set: &VolumeSet) -> Option<Vec<u8>> {
    let text = set.table()?.to_text().into_bytes();
    (text.len() as u64 <= MAX_TABLE && sha256(&text) == set.index().chunks).then_some(text)
}

fn put_file(path: &Path, bytes: &[u8]) -> Result<(), RepairError> {
    use sovai_store::StoreError;
    match sovai_store::atomic::write(path, bytes, 0o644) {
        Err(StoreError::NotWritable { source, .. }) => {
            Err(RepairError::ReadOnly { path: path.to_owned(), source })
        }
        Err(StoreError::NoSpace { source, .. }) => {
            Err(RepairError::NoSpace { path: path.to_owned(), source })
        }
        done => Ok(done?),
    }
}

fn from_patch(options: &RepairOptions<'_>, id: VolumeId, name: &str, file: &VolumeFile) -> Option<Vec<u8>> {
    use fs_err::os::unix::fs::FileExt as _;
    options.patches.iter().find_map(|patch| {
        let (from, start, length) = patch.file(id, name)?;
        if length != file.size || length > MAX_README {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        from.read_exact_at(&mut bytes, start).ok()?;
        (sha256(&bytes) == file.sha256).then_some(bytes)
    })
}

/// Writes the program again, from the first place that has it; says whether one has.
fn program(
    set: &VolumeSet,
    id: VolumeId,
    file: &VolumeFile,
    folder: &Path,
    options: &RepairOptions<'_>,
) -> Result<bool, RepairError> {
    let own = options.program.and_then(|path| File::open(path).ok());
    let own = own.map(|file| (file, 0));
    let theirs = set.present().filter_map(|here| {
        let (file, _) = here.open(names::PROGRAM).ok()?;
        Some((File::from_parts(file, here.path.join(names::PROGRAM)), 0))
    });
    let patched = options.patches.iter().filter_map(|patch| {
        let (file, start, _) = patch.file(id, names::PROGRAM)?;
        Some((file.try_clone().ok()?, start))
    });
    let partial = folder.join(format!(".{}.partial", names::PROGRAM));
    for (from, start) in theirs.chain(own).chain(patched) {
        let mut to = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o755)
            .open(&partial)
            .map_err(|error| RepairError::at(&partial, error))?;
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; BUFFER];
        let mut failed = None;
        let read = read_range(from.file(), start, file.size, &mut buffer, |bytes| {
            hasher.update(bytes);
            failed = to.write_all(bytes).err();
            failed.is_none()
        });
        if let Some(error) = failed {
            return Err(RepairError::at(&partial, error));
        }
        let found = Sha256::from_bytes(hasher.finalize().into());
        if read.is_ok_and(|read| read == file.size) && found == file.sha256 {
            to.sync_all()?;
            let target = folder.join(names::PROGRAM);
            fs_err::rename(&partial, &target).map_err(|error| RepairError::at(&target, error))?;
            sync_folder(&target)?;
            return Ok(true);
        }
    }
    if partial.exists() {
        fs_err::remove_file(&partial)?;
    }
    Ok(false)
}
