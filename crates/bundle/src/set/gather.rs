//! From the paths that were named to the folders of volumes, and from a folder to the volume that it is.

use super::finding::{SetError, SetFinding, Weight};
use super::folder::{Folder, FolderError};
use super::{VolumeDir, parent};
use crate::index::Index;
use crate::volume::{VolumeId, names};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Most folders of volumes: twice 999.
const MAX_FOLDERS: usize = 2000;

/// The folders of volumes that the paths mean, each once.
pub(super) fn folders(paths: &[PathBuf]) -> Result<Vec<Folder>, SetError> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for path in paths {
        let read = |source: FolderError| match source {
            FolderError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                SetError::NotThere { path: path.clone() }
            }
            source => SetError::Read { path: path.clone(), source },
        };
        let metadata = fs_err::metadata(path).map_err(|error| read(without_path(&error).into()))?;
        let folder =
            if metadata.is_dir() { Folder::open(path) } else { Folder::open(parent(path)) }.map_err(read)?;
        let entries = folder.entries().map_err(read)?;
        let mut found = Vec::new();
        if is_volume(&entries) {
            found.push(folder);
        } else if metadata.is_dir() {
            for (name, is_folder) in entries {
                let Some(name) = name.to_str().filter(|_| is_folder) else { continue };
                // Others' folders may be closed to us; they are no volumes of ours.
                let Ok(Some(child)) = folder.child(name) else { continue };
                if child.entries().is_ok_and(|entries| is_volume(&entries)) {
                    found.push(child);
                }
            }
        }
        if found.is_empty() {
            return Err(SetError::NoVolume { path: path.clone() });
        }
        for folder in found {
            if seen.insert(folder.identity().map_err(read)?) {
                all.push(folder);
            }
            if all.len() > MAX_FOLDERS {
                return Err(SetError::TooMany { what: "folders of volumes".to_owned(), limit: MAX_FOLDERS });
            }
        }
    }
    Ok(all)
}

/// Whether a path means volumes: a folder of one or of several, its index, its payload. More is asked than to be a volume that
/// was named as one: models have files of their own, and some are called `bundle.json`.
pub(super) fn is_meant(path: &Path) -> bool {
    let Ok(metadata) = fs_err::metadata(path) else { return false };
    if !metadata.is_dir() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        return volume_of(name).is_some()
            || (name == names::INDEX && parent(path).join(names::CHUNKS).is_file());
    }
    let Ok(folder) = Folder::open(path) else { return false };
    let Ok(entries) = folder.entries() else { return false };
    let looks = |entries: &[(OsString, bool)]| {
        let has = |wanted: &str| entries.iter().any(|(name, is_folder)| !is_folder && name == wanted);
        let payload = |(name, is_folder): &(OsString, bool)| {
            !is_folder && name.to_str().is_some_and(|name| volume_of(name).is_some())
        };
        has(names::INDEX) && (has(names::CHUNKS) || entries.iter().any(payload))
    };
    let child = |(name, is_folder): &(OsString, bool)| {
        let name = name.to_str().filter(|_| *is_folder)?;
        folder.child(name).ok()??.entries().ok()
    };
    looks(&entries) || entries.iter().filter_map(child).any(|entries| looks(&entries))
}

/// The system's error alone: the path is told by whoever tells the error.
fn without_path(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Whether a folder looks like a volume, by what lies in it.
fn is_volume(entries: &[(OsString, bool)]) -> bool {
    entries.iter().any(|(name, is_folder)| {
        let Some(name) = name.to_str().filter(|_| !is_folder) else { return false };
        name == names::INDEX || name == names::CHUNKS || volume_of(name).is_some()
    })
}

/// The volume that the name of a payload speaks of, of whatever bundle, and the bundle's name.
fn volume_of(name: &str) -> Option<(&str, VolumeId)> {
    let (rest, end) = name.rsplit_once('.')?;
    let (bundle, id) = rest.rsplit_once('.')?;
    let id: VolumeId = id.parse().ok()?;
    let expected = if id.is_parity() { "parity" } else { "tar" };
    (end == expected).then_some((bundle, id))
}

/// Which volume of the bundle a folder is. Nothing when it is none, which is a finding.
pub(super) fn identify(folder: &Folder, index: &Index, findings: &mut Vec<SetFinding>) -> Option<VolumeDir> {
    let path = folder.path();
    let bundle = index.name();
    let mut say = |weight, kind, volume, path: &Path, detail: String| {
        findings.push(SetFinding::new(weight, kind, volume, path, detail));
    };
    let entries = match folder.entries() {
        Ok(entries) => entries,
        Err(error) => {
            say(Weight::Bytes, "unreadable", None, path, error.to_string());
            return None;
        }
    };
    let payloads = entries.iter().filter_map(|(name, _)| volume_of(name.to_str()?));
    let ours: Vec<VolumeId> =
        payloads.filter(|(of, id)| *of == bundle && index.volume(*id).is_some()).map(|(_, id)| id).collect();
    let named = fs_err::canonicalize(path)
        .ok()
        .and_then(|path| path.file_name()?.to_str()?.strip_prefix(&format!("{bundle}."))?.parse().ok())
        .filter(|id| index.volume(*id).is_some());
    let id = match (named, ours.as_slice()) {
        (Some(id), []) => id,
        (Some(id), ours) if ours.contains(&id) => id,
        (_, [id, ..]) => *id,
        (None, []) => {
            say(Weight::Bytes, "no-volume", None, path, format!("it holds no payload of {bundle}"));
            return None;
        }
    };
    for other in ours.iter().filter(|other| **other != id) {
        let path = path.join(other.payload(&index.stack, index.sequence));
        say(
            Weight::Note,
            "foreign",
            Some(id),
            &path,
            format!("a payload of {other} lies in the folder of {id}"),
        );
    }
    let payload = id.payload(&index.stack, index.sequence);
    let whole = path.join(&payload);
    let size = match folder.file(&payload) {
        Ok(Some((_, size))) => {
            let expected = index.volume(id).map_or(0, |volume| volume.payload.size);
            if size != expected {
                let detail = format!("expected {expected} bytes, found {size}");
                say(Weight::Bytes, "payload-size", Some(id), &whole, detail);
            }
            Some(size)
        }
        Ok(None) => {
            say(Weight::Missing, "payload-missing", Some(id), &whole, "it is not there".to_owned());
            None
        }
        Err(error) => {
            say(Weight::Bytes, "unreadable", Some(id), &whole, error.to_string());
            None
        }
    };
    Some(VolumeDir { id, path: path.to_owned(), size, payload })
}
