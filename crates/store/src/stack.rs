//! The state of one stack: small JSON files, its key, its published folders, its lock.

use crate::error::{Context as _, StoreError};
use crate::layout::{MAX_JSON, own_folder, read_bounded};
use crate::lock::StoreLock;
use crate::tree::TreeBuilder;
use crate::{atomic, temp};
use rustix::fs::Mode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sovai_core::RelPath;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How the default key begins, so that secret scanners can know it.
const KEY_PREFIX: &str = "sk-sovai-";
/// Longest key file that is read, in bytes.
const MAX_KEY: u64 = 4096;

/// The folder of a stack, `stacks/NAME`.
#[derive(Debug, Clone)]
pub struct StackDir {
    path: PathBuf,
}

impl StackDir {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder; it may not be there yet.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the stack's lock without waiting, and sweeps what dead processes have left; see [`crate::Store::lock`].
    pub fn lock(&self, holder: &str) -> Result<StoreLock, StoreError> {
        own_folder(&self.path)?;
        let lock = StoreLock::take(&self.path.join("lock"), holder)?;
        sweep_all(&self.path)?;
        Ok(lock)
    }

    /// Reads a JSON file, at most 64 MiB; nothing when it is not there.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let path = self.file(name)?;
        let Some(bytes) = read_bounded(&path, MAX_JSON)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| StoreError::Corrupt { path, reason: error.to_string() })
    }

    /// Writes a JSON file in one step, mode 0600. `name` may have folders in it, as in `generations/3.json`.
    pub fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let path = self.file(name)?;
        self.folder_of(name)?;
        let mut bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| StoreError::Corrupt { path: path.clone(), reason: error.to_string() })?;
        bytes.push(b'\n');
        atomic::write(&path, &bytes, 0o600)
    }

    /// Writes a file as it is in one step. `name` may have folders in it. One that has these bytes already is left alone.
    pub fn put(&self, name: &str, bytes: &[u8], mode: u32) -> Result<PathBuf, StoreError> {
        let path = self.file(name)?;
        self.folder_of(name)?;
        if read_bounded(&path, bytes.len() as u64).ok().flatten().as_deref() != Some(bytes) {
            atomic::write(&path, bytes, mode)?;
        }
        Ok(path)
    }

    /// Reads a file of at most `limit` bytes as it is; nothing when it is not there.
    pub fn get(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        read_bounded(&self.file(name)?, limit)
    }

    /// Gives a folder another name, in one step. What has that name goes first.
    pub fn rename(&self, from: &str, to: &str) -> Result<PathBuf, StoreError> {
        let (from, target) = (self.file(from)?, self.file(to)?);
        self.folder_of(to)?;
        temp::remove_any(&target)?;
        rustix::fs::rename(&from, &target).context("rename into place", &target)?;
        temp::sync_parent(&target)?;
        Ok(target)
    }

    /// Removes a file or a published folder; fine when it is not there.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.file(name)?;
        temp::remove_any(&path)?;
        match path.parent() {
            Some(parent) if parent.is_dir() => temp::sync_folder(parent),
            _ => Ok(()),
        }
    }

    /// The names in a folder of the stack (`""` is the stack's own), sorted; temporary ones left out.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let path = if folder.is_empty() { self.path.clone() } else { self.file(folder)? };
        let entries = match fs_err::read_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.context("read the folder", &path)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.context("read the folder", &path)?.file_name();
            if let Some(name) = name.to_str().filter(|name| !name.starts_with(temp::PREFIX)) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The stack's default key: its file (`keys/default.key`, mode 0600, the key and a line feed), the key, and whether
    /// it was made now. 32 random bytes in hex after `sk-sovai-`. Made once; an existing file is never changed.
    pub fn default_key(&self) -> Result<(PathBuf, String, bool), StoreError> {
        self.folder_of("keys/default.key")?;
        let path = self.path.join("keys/default.key");
        let mut made = false;
        if !path.exists() {
            let key = format!("{KEY_PREFIX}{}\n", temp::random_hex::<32>()?);
            made = atomic::write_new(&path, key.as_bytes(), 0o600)?;
        }
        let corrupt = |reason: &str| StoreError::Corrupt { path: path.clone(), reason: reason.to_owned() };
        let bytes = read_bounded(&path, MAX_KEY)?.ok_or_else(|| corrupt("it is gone"))?;
        let key = std::str::from_utf8(&bytes).map(str::trim_end).unwrap_or_default();
        if !key.starts_with(KEY_PREFIX)
            || key.len() < KEY_PREFIX.len() + 32
            || !key.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(corrupt("it does not hold a key of the form `sk-sovai-...`"));
        }
        if fs_err::metadata(&path).context("look at", &path)?.mode() & 0o077 != 0 {
            rustix::fs::chmod(&path, Mode::RUSR | Mode::WUSR).context("set the mode of", &path)?;
        }
        Ok((path.clone(), key.to_owned(), made))
    }

    /// Makes a read-only folder (mode 0555, files 0444) in one step, to be mounted. If `name` is there with the same
    /// files, nothing is written; if it is there with others, it is replaced: so let the name follow from the content.
    pub fn publish_dir(&self, name: &str, files: &[(RelPath, Vec<u8>)]) -> Result<PathBuf, StoreError> {
        let target = self.file(name)?;
        if published(&target, files) {
            return Ok(target);
        }
        let parent = self.folder_of(name)?;
        let folder = TreeBuilder::new(&parent)?;
        for (relative, bytes) in files {
            atomic::write(&folder.place(relative.as_path())?, bytes, 0o444)?;
        }
        folder.finish(&target)?;
        Ok(target)
    }

    fn file(&self, name: &str) -> Result<PathBuf, StoreError> {
        let relative =
            RelPath::new(name).map_err(|source| StoreError::BadName { name: name.to_owned(), source })?;
        Ok(self.path.join(relative.as_path()))
    }

    /// Makes the folders above a file, each with mode 0700, and gives the last one.
    fn folder_of(&self, name: &str) -> Result<PathBuf, StoreError> {
        own_folder(&self.path)?;
        let mut folder = self.path.clone();
        if let Some((parents, _)) = name.rsplit_once('/') {
            for part in parents.split('/') {
                folder.push(part);
                own_folder(&folder)?;
            }
        }
        Ok(folder)
    }
}

/// Sweeps a folder and the writable folders below it; published ones are read-only and have nothing to sweep.
fn sweep_all(folder: &Path) -> Result<(), StoreError> {
    temp::sweep(folder)?;
    for entry in fs_err::read_dir(folder).context("read the folder", folder)? {
        let entry = entry.context("read the folder", folder)?;
        let meta = entry.metadata().context("look at", folder)?;
        if meta.is_dir()
            && meta.mode() & 0o200 != 0
            && !entry.file_name().to_string_lossy().starts_with(temp::PREFIX)
        {
            sweep_all(&entry.path())?;
        }
    }
    Ok(())
}

/// Whether a published folder holds exactly these files, read-only.
fn published(folder: &Path, files: &[(RelPath, Vec<u8>)]) -> bool {
    fn count(folder: &Path) -> Option<usize> {
        let meta = fs_err::symlink_metadata(folder).ok()?;
        if !meta.is_dir() || meta.mode() & 0o7777 != 0o555 {
            return None;
        }
        let mut files = 0;
        for entry in fs_err::read_dir(folder).ok()? {
            let entry = entry.ok()?;
            files += if entry.file_type().ok()?.is_dir() { count(&entry.path())? } else { 1 };
        }
        Some(files)
    }
    count(folder) == Some(files.len())
        && files.iter().all(|(relative, bytes)| {
            let path = folder.join(relative.as_path());
            fs_err::symlink_metadata(&path).is_ok_and(|meta| meta.mode() & 0o7777 == 0o444)
                && read_bounded(&path, bytes.len() as u64).ok().flatten().as_ref() == Some(bytes)
        })
}

#[cfg(test)]
mod tests;
