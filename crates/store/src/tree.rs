//! Trees: what is mounted. Read-only folders of hard links to blobs.

use crate::error::{Context as _, StoreError};
use crate::layout::Store;
use crate::lock::StoreLock;
use crate::temp::{self, Temp};
use rustix::fs::{AtFlags, CWD, Mode};
use sovai_core::{FilePin, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// `r-xr-xr-x`: the container's user reads it, nobody writes it.
const FOLDER: u32 = 0o555;
/// `r--r--r--`, the mode of a blob, which a hard link shares.
const FILE: u32 = 0o444;

/// Where the tree of a model lies, or would lie, in the store at `root`. For looking ahead, before the store is there.
pub fn tree_path(root: &Path, model: &Sha256) -> PathBuf {
    root.join("trees").join(model.hex())
}

impl Store {
    /// Where the tree of a model lies, or would lie.
    pub fn tree(&self, model: &Sha256) -> PathBuf {
        tree_path(self.root(), model)
    }

    /// Whether the tree is whole: exactly these files, each a hard link to its blob, read-only. Reads no file.
    pub fn tree_is_whole(&self, model: &Sha256, files: &[FilePin]) -> bool {
        let mut found = BTreeSet::new();
        let expected: BTreeMap<&str, &FilePin> = files.iter().map(|pin| (pin.path.as_str(), pin)).collect();
        let root = self.tree(model);
        self.same_tree(&root, &root, &expected, &mut found) && found.len() == expected.len()
    }

    fn same_tree(
        &self,
        root: &Path,
        folder: &Path,
        expected: &BTreeMap<&str, &FilePin>,
        found: &mut BTreeSet<PathBuf>,
    ) -> bool {
        let Ok(meta) = fs_err::symlink_metadata(folder) else { return false };
        if !meta.is_dir() || meta.mode() & 0o7777 != FOLDER {
            return false;
        }
        let Ok(entries) = fs_err::read_dir(folder) else { return false };
        for entry in entries {
            let Ok(path) = entry.map(|entry| entry.path()) else { return false };
            let Ok(meta) = fs_err::symlink_metadata(&path) else { return false };
            if meta.is_dir() {
                if !self.same_tree(root, &path, expected, found) {
                    return false;
                }
                continue;
            }
            let Some(pin) = path
                .strip_prefix(root)
                .ok()
                .and_then(Path::to_str)
                .and_then(|relative| expected.get(relative))
            else {
                return false;
            };
            let Ok(blob) = fs_err::symlink_metadata(self.blob(&pin.sha256)) else { return false };
            if !meta.is_file()
                || meta.mode() & 0o7777 != FILE
                || meta.len() != pin.size
                || (meta.dev(), meta.ino()) != (blob.dev(), blob.ino())
            {
                return false;
            }
            found.insert(path);
        }
        true
    }

    /// Those of the files (device and inode) all of whose names are the store's own: blobs, and files of trees.
    pub fn known_by_all_names(&self, files: BTreeSet<(u64, u64)>) -> BTreeSet<(u64, u64)> {
        // Names that were found, of names that there are.
        let mut names: BTreeMap<(u64, u64), (u64, u64)> =
            files.into_iter().map(|file| (file, (0, 0))).collect();
        let mut folders = vec![self.root().join("blobs/sha256"), self.root().join("trees")];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(&folder).into_iter().flatten().flatten() {
                let Ok(meta) = fs_err::symlink_metadata(entry.path()) else { continue };
                if meta.is_dir() {
                    folders.push(entry.path());
                } else if let Some((found, all)) = names.get_mut(&(meta.dev(), meta.ino())) {
                    (*found, *all) = (*found + 1, meta.nlink());
                }
            }
        }
        names.into_iter().filter(|(_, (found, all))| found == all).map(|(file, _)| file).collect()
    }

    /// Makes a blob read-only again, if somebody changed that.
    fn seal(&self, digest: &Sha256) -> Result<(), StoreError> {
        let blob = self.blob(digest);
        let meta = fs_err::symlink_metadata(&blob).context("look at", &blob)?;
        if meta.is_file() && meta.mode() & 0o7777 != FILE {
            rustix::fs::chmod(&blob, Mode::from_raw_mode(FILE)).context("set the mode of", &blob)?;
        }
        Ok(())
    }

    /// Makes the tree of a model from its blobs, all of which must be there; puts it in the place of one that is not
    /// whole. Changes the link counts, and so the change times, of the blobs.
    pub fn make_tree(
        &self,
        _lock: &StoreLock,
        model: &Sha256,
        files: &[FilePin],
    ) -> Result<PathBuf, StoreError> {
        let target = self.tree(model);
        if self.tree_is_whole(model, files) {
            return Ok(target);
        }
        let folder = TreeBuilder::new(&self.root().join("trees"))?;
        for pin in files {
            self.seal(&pin.sha256)?;
            let (blob, path) = (self.blob(&pin.sha256), folder.place(pin.path.as_path())?);
            rustix::fs::linkat(CWD, &blob, CWD, &path, AtFlags::empty()).context("link", &path)?;
        }
        folder.finish(&target)?;
        Ok(target)
    }
}

/// A read-only folder in the making.
pub(crate) struct TreeBuilder {
    temp: Temp,
}

impl TreeBuilder {
    /// `parent` is the folder in which the finished folder will lie too: a read-only folder cannot change its parent.
    pub(crate) fn new(parent: &Path) -> Result<Self, StoreError> {
        Ok(Self { temp: Temp::folder(parent)? })
    }

    /// Makes the folders that a file needs, and says where the file goes.
    pub(crate) fn place(&self, relative: &Path) -> Result<PathBuf, StoreError> {
        let path = self.temp.path().join(relative);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent).context("create", parent)?;
        }
        Ok(path)
    }

    /// Makes it read-only and lasting, and gives it its name; a folder that has that name is replaced in one step.
    pub(crate) fn finish(self, target: &Path) -> Result<(), StoreError> {
        close(self.temp.path(), true)?;
        let mode = Mode::from_raw_mode(FOLDER);
        if fs_err::symlink_metadata(target).is_ok() {
            self.temp.exchange(target, mode)
        } else {
            self.temp.persist(target, mode)
        }
    }
}

/// Sets the mode of the folders below and writes them to the disk, deepest first.
fn close(folder: &Path, is_top: bool) -> Result<(), StoreError> {
    for entry in fs_err::read_dir(folder).context("read the folder", folder)? {
        let entry = entry.context("read the folder", folder)?;
        if entry.file_type().context("look at", folder)?.is_dir() {
            close(&entry.path(), false)?;
        }
    }
    if !is_top {
        rustix::fs::chmod(folder, Mode::from_raw_mode(FOLDER)).context("set the mode of", folder)?;
    }
    temp::sync_folder(folder)
}
