//! The folders of a store, how it is opened, and its index.

use crate::error::{Context as _, StoreError};
use crate::lock::{StoreAlone, StoreHold, StoreLock};
use crate::model::Descriptor;
use crate::stack::StackDir;
use crate::stage::Stage;
use crate::{atomic, temp};
use rustix::fs::Mode;
use serde::Deserialize as _;
use serde_json::{Value, json};
use sovai_core::{Name, Sha256};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Folders below the root, all with mode 0700. `tmp` holds blobs on their way in, `partial` those
/// that are downloaded.
const FOLDERS: [&str; 10] =
    ["blobs", "blobs/sha256", "trees", "receipts", "stacks", "trust", "evidence", "tmp", "roots", "partial"];
/// Folders in which a process that died may have left a temporary file.
const SWEPT: [&str; 9] =
    ["", "blobs/sha256", "trees", "receipts", "trust", "evidence", "tmp", "roots", "partial"];
/// Content of `oci-layout` (OCI image layout specification 1.0).
const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// End of the name of a model's lock in `tmp/`.
pub(crate) const MODEL_LOCK: &str = ".lock";
/// How long after one try the next one for a lock comes.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Largest JSON file of the store that is read, in bytes.
pub(crate) const MAX_JSON: u64 = 64 << 20;

/// An open store.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store in the folder `root`; makes it, and the folders above it, when it is not there.
    ///
    /// The root and its folders get mode 0700 where others could look in or write. A root that belongs to another user is
    /// an error: its owner could change bytes after they were verified. So is a folder that holds something and is no
    /// store: it is left as it is.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        // Mounts and receipts need a path that does not hang on the working folder.
        let root = std::path::absolute(root).context("find", root)?;
        if let Some(parent) = root.parent() {
            fs_err::create_dir_all(parent).context("create", parent)?;
        }
        refuse_foreign(&root)?;
        own_folder(&root)?;
        // One store has one path, whatever links lead to it: mounts and receipts are compared by it.
        let root = fs_err::canonicalize(&root).context("find", &root)?;
        for folder in FOLDERS {
            own_folder(&root.join(folder))?;
        }
        let store = Self { root };
        let layout = store.root.join("oci-layout");
        if !layout.exists() {
            atomic::write_new(&layout, OCI_LAYOUT, 0o644)?;
        }
        let index = store.root.join("index.json");
        if !index.exists() {
            let empty = json!({"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": []});
            atomic::write_new(&index, empty.to_string().as_bytes(), 0o644)?;
        }
        Ok(store)
    }

    /// The store in the folder `root`, to look into; nothing when there is none. Makes and changes nothing, so it does for a
    /// store that cannot be written.
    ///
    /// A store that belongs to another user is an error, as in [`Store::open`].
    pub fn look(root: &Path) -> Result<Option<Self>, StoreError> {
        let Ok(root) = fs_err::canonicalize(root) else { return Ok(None) };
        if !root.join("oci-layout").exists() {
            return Ok(None);
        }
        let (me, owner) =
            (rustix::process::geteuid().as_raw(), fs_err::metadata(&root).context("look at", &root)?.uid());
        if me != owner {
            return Err(StoreError::Owner { path: root, expected: me, found: owner });
        }
        Ok(Some(Self { root }))
    }

    /// The root folder, as an absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the store's lock without waiting; `holder` is the command, for the one who finds it busy. What processes
    /// that died have left half-written is swept away.
    ///
    /// The lock dies with its holder, also on `kill -9`.
    pub fn lock(&self, holder: &str) -> Result<StoreLock, StoreError> {
        let lock = self.lock_unswept(holder)?;
        self.sweep(&lock)?;
        Ok(lock)
    }

    /// Like [`Store::lock`], but sweeps nothing: for who must first look at the link counts and times of blobs.
    pub fn lock_unswept(&self, holder: &str) -> Result<StoreLock, StoreError> {
        StoreLock::take(&self.root.join("lock"), holder)
    }

    /// Like [`Store::lock_unswept`], but waits up to `patience` for a holder to give it back. It is held for moments only:
    /// while links are made and the index and receipts are written.
    pub fn lock_patiently(&self, holder: &str, patience: Duration) -> Result<StoreLock, StoreError> {
        let start = Instant::now();
        loop {
            match self.lock_unswept(holder) {
                Err(StoreError::Busy { .. }) if start.elapsed() < patience => std::thread::sleep(LOCK_PAUSE),
                taken => return taken,
            }
        }
    }

    /// Takes the lock of one model without waiting: for who brings it in, so that no two processes do the same work.
    pub fn lock_model(
        &self,
        _hold: &StoreHold,
        model: &Sha256,
        holder: &str,
    ) -> Result<StoreLock, StoreError> {
        StoreLock::take_passing(&self.model_lock(model), holder)
    }

    pub(crate) fn model_lock(&self, model: &Sha256) -> PathBuf {
        self.root.join("tmp").join(format!("{}{}", model.hex(), MODEL_LOCK))
    }

    /// Says that this process uses or brings in blobs, for as long as what is given back lives: nothing is pruned meanwhile.
    /// Any number of processes may do so at once.
    ///
    /// Taken before roots and blobs are looked at, and without waiting: [`StoreError::Busy`] while somebody prunes. Whoever
    /// takes the store's lock as well takes this first.
    pub fn hold(&self, holder: &str) -> Result<StoreHold, StoreError> {
        StoreHold::shared(&self.root.join("use.lock"), holder)
    }

    /// Says that nobody but this process uses blobs, for as long as what is given back lives: for who removes them.
    /// [`StoreError::Busy`] while anybody else has a hold.
    pub fn hold_alone(&self, holder: &str) -> Result<StoreAlone, StoreError> {
        StoreHold::alone(&self.root.join("use.lock"), holder)
    }

    /// Removes what dead processes have left half-written; says how many files and folders that were.
    pub fn sweep(&self, _lock: &StoreLock) -> Result<usize, StoreError> {
        let mut swept = 0;
        for folder in SWEPT {
            swept += temp::sweep(&self.root.join(folder))?;
        }
        Ok(swept)
    }

    /// Where the blob of a digest lies, or would lie.
    pub fn blob(&self, digest: &Sha256) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Whether there is a regular file under the digest's name. Says nothing about its bytes.
    pub fn has_blob(&self, digest: &Sha256) -> bool {
        fs_err::symlink_metadata(self.blob(digest)).is_ok_and(|meta| meta.is_file())
    }

    /// Begins to bring bytes in.
    pub fn stage(&self) -> Result<Stage, StoreError> {
        Stage::new(&self.root.join("tmp"), self.root.join("blobs/sha256"))
    }

    /// Stores small bytes, for example a manifest, and gives their digest.
    pub fn put(&self, bytes: &[u8]) -> Result<Sha256, StoreError> {
        let digest = crate::model::sha256(bytes);
        let path = self.blob(&digest);
        if read_bounded(&path, bytes.len() as u64).ok().flatten().as_deref() != Some(bytes) {
            atomic::write(&path, bytes, 0o444)?;
        }
        Ok(digest)
    }

    /// Removes a blob; fine when it is not there. For blobs that were found damaged, and for those nothing refers to.
    pub fn remove_blob(&self, _lock: &StoreLock, digest: &Sha256) -> Result<(), StoreError> {
        let path = self.blob(digest);
        temp::remove_any(&path)?;
        temp::sync_parent(&path)
    }

    /// Bytes that this user can still write in the store's file system.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        let stat = rustix::fs::statvfs(&self.root).context("look at the free space of", &self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// The folder in which the verifier keeps its receipts.
    pub fn receipts(&self) -> PathBuf {
        self.root.join("receipts")
    }

    /// The folder in which the trust crate keeps whom this store trusts.
    pub fn trust(&self) -> PathBuf {
        self.root.join("trust")
    }

    /// The folder of the evidence log.
    pub fn evidence(&self) -> PathBuf {
        self.root.join("evidence")
    }

    /// Takes the lock on [`Store::trust`] without waiting. It is held for the time of one small write.
    pub fn lock_trust(&self, holder: &str) -> Result<StoreLock, StoreError> {
        StoreLock::take(&self.trust().join("lock"), holder)
    }

    /// Takes the lock on [`Store::evidence`] without waiting. It is held for the time of one small write.
    pub fn lock_evidence(&self, holder: &str) -> Result<StoreLock, StoreError> {
        StoreLock::take(&self.evidence().join("lock"), holder)
    }

    /// The state of a stack. Touches nothing: the folder is made by the first write or lock.
    pub fn stack(&self, name: &Name) -> StackDir {
        StackDir::new(self.root.join("stacks").join(name.as_str()))
    }

    /// The stacks that have a folder here, sorted.
    pub fn stacks(&self) -> Result<Vec<Name>, StoreError> {
        let folder = self.root.join("stacks");
        let mut names = Vec::new();
        for entry in fs_err::read_dir(&folder).context("read the folder", &folder)? {
            let entry = entry.context("read the folder", &folder)?;
            if let Some(name) = entry.file_name().to_str().and_then(|text| Name::new(text).ok()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// What `index.json` refers to. Entries of other tools that are not named by a SHA-256 digest are left out.
    pub fn index(&self) -> Result<Vec<Descriptor>, StoreError> {
        let value = self.read_index()?;
        let Some(manifests) = value.get("manifests").and_then(Value::as_array) else {
            let path = self.root.join("index.json");
            return Err(StoreError::Corrupt { path, reason: "it has no list `manifests`".to_owned() });
        };
        Ok(manifests.iter().filter_map(|entry| Descriptor::deserialize(entry).ok()).collect())
    }

    /// Refers to a manifest from `index.json`, unless that is done already. Entries of others stay as they are.
    pub fn add_to_index(&self, _lock: &StoreLock, descriptor: &Descriptor) -> Result<(), StoreError> {
        if self.index()?.iter().any(|known| known.digest == descriptor.digest) {
            return Ok(());
        }
        let path = self.root.join("index.json");
        let corrupt = |reason: String| StoreError::Corrupt { path: path.clone(), reason };
        let mut value = self.read_index()?;
        let entry = serde_json::to_value(descriptor).map_err(|error| corrupt(error.to_string()))?;
        value
            .get_mut("manifests")
            .and_then(Value::as_array_mut)
            .ok_or_else(|| corrupt("it has no list `manifests`".to_owned()))?
            .push(entry);
        atomic::write(&path, value.to_string().as_bytes(), 0o644)
    }

    pub(crate) fn read_index(&self) -> Result<Value, StoreError> {
        let path = self.root.join("index.json");
        let Some(bytes) = read_bounded(&path, MAX_JSON)? else {
            return Err(StoreError::Corrupt { path, reason: "it is gone".to_owned() });
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Corrupt { path, reason: error.to_string() })
    }
}

/// Makes a folder with mode 0700, or checks and closes the one that is there.
pub(crate) fn own_folder(path: &Path) -> Result<(), StoreError> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) => return temp::sync_parent(path),
        Err(rustix::io::Errno::EXIST) => {}
        // A read-only file system says so even where the folder exists.
        Err(error) if !path.exists() => return Err(StoreError::io("create", path, error)),
        Err(_) => {}
    }
    let meta = fs_err::metadata(path).context("look at", path)?;
    if !meta.is_dir() {
        return Err(StoreError::NotAFolder { path: path.to_owned() });
    }
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me {
        return Err(StoreError::Owner { path: path.to_owned(), expected: me, found: meta.uid() });
    }
    if meta.mode() & 0o077 != 0 {
        rustix::fs::chmod(path, Mode::RWXU).context("set the mode of", path)?;
    }
    Ok(())
}

/// Refuses a folder that is somebody's already: it is not empty and has no store in it. A store whose making was cut off
/// has at least one of its own folders, and nothing that is not its own.
fn refuse_foreign(root: &Path) -> Result<(), StoreError> {
    if fs_err::symlink_metadata(root).is_ok_and(|meta| meta.is_symlink()) && !root.exists() {
        return Err(StoreError::NotAFolder { path: root.to_owned() });
    }
    let Ok(entries) = fs_err::read_dir(root) else { return Ok(()) };
    let mut foreign = None;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "oci-layout" {
            return Ok(());
        }
        let own = name.starts_with(temp::PREFIX)
            || FOLDERS.iter().any(|folder| folder.split('/').next() == Some(&name));
        if !own {
            foreign = Some(name);
        }
    }
    match foreign {
        Some(found) => Err(StoreError::Foreign { path: root.to_owned(), found }),
        None => Ok(()),
    }
}

/// Reads a regular file of at most `limit` bytes, without following a link; nothing when it is not there.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
    use rustix::fs::OFlags;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => {
            let reason = "it is a symbolic link".to_owned();
            return Err(StoreError::Corrupt { path: path.to_owned(), reason });
        }
        opened => opened.context("open", path)?,
    };
    let file = std::fs::File::from(fd);
    let corrupt = |reason: &str| StoreError::Corrupt { path: path.to_owned(), reason: reason.to_owned() };
    if !file.metadata().context("look at", path)?.is_file() {
        return Err(corrupt("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).context("read", path)?;
    if bytes.len() as u64 > limit {
        return Err(corrupt("it is too long"));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests;
