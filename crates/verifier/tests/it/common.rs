//! A model in a temporary folder, with a store beside it.

use sha2::Digest as _;
use sovai_core::{FilePin, Name, NullReporter, RelPath, Sha256};
use sovai_store::Store;
use sovai_verifier::{Admission, Finding, Options, Report, Reread, VerifyError, admit, verify};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) struct Model {
    pub(crate) dir: TempDir,
    pub(crate) pins: Vec<FilePin>,
}

pub(crate) fn pin(path: &str, bytes: &[u8]) -> FilePin {
    let sha256 = Sha256::from_bytes(sha2::Sha256::digest(bytes).into());
    FilePin { path: RelPath::new(path).unwrap(), size: bytes.len() as u64, sha256 }
}

/// Bytes that are not all alike, so that a moved block shows too.
pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(len)
    .collect()
}

pub(crate) fn options(reread: Reread) -> Options {
    let patience = std::time::Duration::from_millis(100);
    Options { reread, patience, ..Options::new(NonZeroUsize::new(2).unwrap()) }
}

impl Drop for Model {
    fn drop(&mut self) {
        // Read-only folders cannot be emptied, but by root.
        if let Ok(trees) = fs_err::read_dir(self.dir.path().join("store/trees")) {
            for tree in trees.flatten() {
                for path in walk(&tree.path()).iter().filter(|path| path.is_dir()) {
                    writable(path);
                }
            }
        }
    }
}

impl Model {
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        let model = Self {
            dir: tempfile::tempdir().unwrap(),
            pins: files.iter().map(|(path, bytes)| pin(path, bytes)).collect(),
        };
        fs_err::create_dir(model.source()).unwrap();
        for (path, bytes) in files {
            model.write(path, bytes);
        }
        model
    }

    /// Four files: three levels of folders, one empty, one longer than a buffer.
    pub(crate) fn usual() -> Self {
        Self::new(&[
            ("config.json", b"{}"),
            ("weights/model-00001.safetensors", &bytes(300_000, 1)),
            ("weights/more/model-00002.safetensors", &bytes(5_000, 2)),
            ("empty.txt", b""),
        ])
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.source().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, bytes: &[u8]) {
        let path = self.path(relative);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.dir.path().join("store")).unwrap()
    }

    pub(crate) fn verify(&self) -> Report {
        verify(&self.source(), &self.pins, &options(Reread::Full), None, &NullReporter).unwrap()
    }

    pub(crate) fn try_admit(&self, reread: Reread) -> Result<Admission, VerifyError> {
        admit(&name(), &self.source(), &self.pins, &self.store(), &options(reread), &NullReporter)
    }

    pub(crate) fn admit(&self) -> Admission {
        self.try_admit(Reread::UseReceipts).unwrap()
    }

    /// Admits and wants no finding.
    pub(crate) fn admitted(&self) -> Report {
        let Admission { report, receipt } = self.admit();
        assert_eq!(report.findings, []);
        let receipt = receipt.expect("a clean report comes with a receipt");
        self.assert_tree(receipt.tree());
        report
    }

    /// The tree holds the pinned files and nothing else, read-only.
    pub(crate) fn assert_tree(&self, tree: &Path) {
        use std::os::unix::fs::MetadataExt as _;
        let expected: BTreeMap<PathBuf, Sha256> =
            self.pins.iter().map(|pin| (tree.join(pin.path.as_path()), pin.sha256)).collect();
        let mut found = BTreeMap::new();
        for path in walk(tree) {
            let meta = fs_err::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                assert_eq!(meta.mode() & 0o7777, 0o555, "{}", path.display());
            } else {
                assert_eq!(meta.mode() & 0o7777, 0o444, "{}", path.display());
                let bytes = fs_err::read(&path).unwrap();
                found.insert(path, Sha256::from_bytes(sha2::Sha256::digest(&bytes).into()));
            }
        }
        assert_eq!(found, expected);
    }
}

pub(crate) fn name() -> Name {
    Name::new("assistant").unwrap()
}

/// Everything below a folder, and the folder itself.
pub(crate) fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if fs_err::symlink_metadata(&path).unwrap().is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Nothing half-written lies in the store, every blob is what its name says, and every tree is made of blobs.
pub(crate) fn assert_sound(store: &Store) {
    for path in walk(store.root()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(!name.starts_with(".tmp-"), "{} was left behind", path.display());
    }
    assert_blobs(store);
}

/// Every blob is what its name says.
pub(crate) fn assert_blobs(store: &Store) {
    for entry in fs_err::read_dir(store.root().join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with(".tmp-") {
            let bytes = fs_err::read(&path).unwrap();
            assert_eq!(Sha256::from_bytes(sha2::Sha256::digest(&bytes).into()).hex(), name);
        }
    }
}

/// How many trees there are.
pub(crate) fn trees(store: &Store) -> usize {
    fs_err::read_dir(store.root().join("trees")).unwrap().count()
}

/// Runs a change on one byte of a file, in place.
pub(crate) fn flip(path: &Path, at: usize) {
    use std::os::unix::fs::FileExt as _;
    let mode = fs_err::metadata(path).unwrap().permissions();
    writable(path);
    let file = fs_err::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.file().read_exact_at(&mut byte, at as u64).unwrap();
    byte[0] ^= 1;
    file.file().write_all_at(&byte, at as u64).unwrap();
    fs_err::set_permissions(path, mode).unwrap();
}

/// Lets the owner write, who need not be root.
pub(crate) fn writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs_err::metadata(path).unwrap().permissions().mode();
    if mode & 0o200 == 0 {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode | 0o200)).unwrap();
    }
}

pub(crate) fn kinds(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|finding| {
            let value = serde_json::to_value(finding).unwrap();
            format!("{} {}", value["type"].as_str().unwrap(), value["path"].as_str().unwrap())
        })
        .collect()
}
