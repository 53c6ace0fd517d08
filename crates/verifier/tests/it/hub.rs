//! Model folders as hubs leave them: the cache with its links, and folders with a hub's notes.

use crate::common::{Model, bytes, kinds, name, options, pin};
use sha1::Digest as _;
use sovai_core::{EventKind, FilePin, NullReporter, RecordingReporter};
use sovai_verifier::{Finding, Reread, VerifyError, admit, digest_source, verify};
use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER: &str = "76543210fedcba9876543210fedcba9876543210";

fn git_blob(bytes: &[u8]) -> String {
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A hub's cache with one model of three files, one of them in a folder.
struct Cache {
    model: Model,
}

impl Cache {
    fn new() -> Self {
        let cache = Self { model: Model::new(&[]) };
        fs_err::create_dir_all(cache.repository().join("refs")).unwrap();
        fs_err::write(cache.repository().join("refs/main"), COMMIT).unwrap();
        cache.add("config.json", b"{}", &git_blob(b"{}"));
        let weights = bytes(300_000, 1);
        cache.add("model.safetensors", &weights, &pin("x", &weights).sha256.hex());
        cache.add("onnx/deep/model.onnx", b"onnx", &pin("x", b"onnx").sha256.hex());
        cache
    }

    fn repository(&self) -> PathBuf {
        self.model.source().join("models--org--name")
    }

    fn snapshot(&self) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT)
    }

    fn blob(&self, name: &str) -> PathBuf {
        self.repository().join("blobs").join(name)
    }

    fn add(&self, path: &str, bytes: &[u8], blob: &str) {
        let up = "../".repeat(path.matches('/').count() + 2);
        fs_err::create_dir_all(self.repository().join("blobs")).unwrap();
        fs_err::write(self.blob(blob), bytes).unwrap();
        self.link(path, &format!("{up}blobs/{blob}"));
    }

    fn link(&self, path: &str, target: &str) {
        let link = self.snapshot().join(path);
        fs_err::create_dir_all(link.parent().unwrap()).unwrap();
        drop(fs_err::remove_file(&link));
        symlink(target, link).unwrap();
    }

    fn digest(&self) -> Result<Vec<FilePin>, VerifyError> {
        digest_source(&self.repository(), &options(Reread::Full), &NullReporter)
    }

    fn pins() -> Vec<FilePin> {
        vec![
            pin("config.json", b"{}"),
            pin("model.safetensors", &bytes(300_000, 1)),
            pin("onnx/deep/model.onnx", b"onnx"),
        ]
    }

    /// What verification finds when the repository is the source; the same when the snapshot is.
    #[track_caller]
    fn found(&self) -> Vec<Finding> {
        let find = |path: PathBuf| {
            verify(&path, &Self::pins(), &options(Reread::Full), None, &NullReporter).unwrap().findings
        };
        let findings = find(self.repository());
        assert_eq!(find(self.snapshot()), findings);
        findings
    }

    #[track_caller]
    fn snapshot_error(&self) -> String {
        match self.digest() {
            Err(error @ VerifyError::Snapshot { .. }) => {
                error.to_string().replace(&*self.model.source().to_string_lossy(), "CACHE")
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_cache_is_pinned_verified_and_admitted() {
    let cache = Cache::new();
    assert_eq!(cache.digest().unwrap(), Cache::pins());
    assert_eq!(cache.found(), []);
    let store = cache.model.store();
    for (source, hashed) in [(cache.repository(), 300_006), (cache.repository(), 0)] {
        let options = options(Reread::UseReceipts);
        let admission = admit(&name(), &source, &Cache::pins(), &store, &options, &NullReporter).unwrap();
        assert_eq!((kinds(&admission.report.findings), admission.report.hashed), (vec![], hashed));
        let tree = admission.receipt.expect("a receipt").tree().join("onnx/deep/model.onnx");
        let meta = fs_err::symlink_metadata(&tree).unwrap();
        assert!(meta.is_file(), "a tree has files and no links");
        assert_eq!(fs_err::read(tree).unwrap(), b"onnx");
    }
}

#[test]
fn a_flipped_byte_in_a_blob_is_found_with_receipts_too() {
    let cache = Cache::new();
    let store = cache.model.store();
    let verify = || {
        let options = options(Reread::UseReceipts);
        verify(&cache.repository(), &Cache::pins(), &options, Some(&store), &NullReporter).unwrap()
    };
    assert_eq!(verify().findings, []);
    assert_eq!(verify().hashed, 0);
    let blob = cache.blob(&pin("x", b"onnx").sha256.hex());
    fs_err::write(blob, b"onnX").unwrap();
    let report = verify();
    assert_eq!((kinds(&report.findings), report.hashed), (vec!["digest onnx/deep/model.onnx".to_owned()], 4));
}

#[test]
fn a_blobs_name_is_not_believed() {
    // The name is the right digest, the bytes are others of the same length.
    let cache = Cache::new();
    let large = pin("x", &bytes(300_000, 1)).sha256.hex();
    fs_err::write(cache.blob(&large), bytes(300_000, 2)).unwrap();
    assert_eq!(kinds(&cache.found()), ["digest model.safetensors"]);
    let Err(VerifyError::Unfit { findings, .. }) = cache.digest() else { panic!("pinned") };
    assert_eq!(kinds(&findings), ["blob-name model.safetensors"]);

    let cache = Cache::new();
    fs_err::write(cache.blob(&git_blob(b"{}")), b"[]").unwrap();
    let Err(VerifyError::Unfit { findings, .. }) = cache.digest() else { panic!("pinned") };
    assert_eq!(
        findings,
        [Finding::BlobName {
            path: "config.json".to_owned(),
            expected: git_blob(b"{}"),
            found: git_blob(b"[]")
        }]
    );
}

#[test]
fn where_pins_decide_a_blobs_name_is_a_note() {
    let cache = Cache::new();
    let other = "0".repeat(64);
    cache.add("onnx/deep/model.onnx", b"onnx", &other);
    let recorder = RecordingReporter::default();
    let report =
        verify(&cache.repository(), &Cache::pins(), &options(Reread::Full), None, &recorder).unwrap();
    assert_eq!(report.findings, []);
    let notes: Vec<String> = recorder
        .events()
        .into_iter()
        .filter(|event| event.kind == EventKind::Note)
        .filter_map(|event| event.message)
        .collect();
    assert_eq!(
        notes,
        [
            format!("a hub's cache; its snapshot {COMMIT} is read"),
            format!("the hub named its blob {other}, and it is pinned otherwise"),
        ]
    );
}

#[test]
fn links_lead_to_the_own_blobs_or_are_findings() {
    let cache = Cache::new();
    let blob = pin("x", b"onnx").sha256.hex();
    fs_err::create_dir_all(cache.blob("folder")).unwrap();
    fs_err::write(cache.blob("folder/file"), b"onnx").unwrap();
    symlink(&blob, cache.blob("chain")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        cache.blob("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let elsewhere = cache.model.source().join("models--org--other/blobs");
    fs_err::create_dir_all(&elsewhere).unwrap();
    fs_err::write(elsewhere.join(&blob), b"onnx").unwrap();
    let absolute = cache.blob(&blob).to_string_lossy().into_owned();
    for target in [
        &*absolute,
        "/proc/self/environ",
        &format!("../../../../../models--org--other/blobs/{blob}"),
        &format!("../../../../../models--org--name/blobs/{blob}"),
        &format!("../../../../blobs/../blobs/{blob}"),
        &format!("../../../../blobs/./{blob}"),
        &format!("../../../../snapshots/../blobs/{blob}"),
        &format!("../../../blobs/{blob}"),
        "../../../../blobs/folder",
        "../../../../blobs/folder/file",
        "../../../../blobs/chain",
        "../../../../blobs/fifo",
        "../../../../blobs/none",
        "../../../../blobs",
        "../../../../blobs/..",
        "../../../../refs/main",
        "../../config.json",
    ] {
        cache.link("onnx/deep/model.onnx", target);
        assert_eq!(kinds(&cache.found()), ["symlink onnx/deep/model.onnx"], "{target}");
        assert!(matches!(cache.digest(), Err(VerifyError::Unfit { .. })), "{target}");
    }
    cache.link("onnx/deep/model.onnx", &format!("../../../../blobs/{blob}"));
    assert_eq!(cache.found(), []);
}

#[test]
fn folders_of_a_cache_that_are_links_are_not_followed() {
    let cache = Cache::new();
    let onnx = cache.snapshot().join("onnx");
    fs_err::rename(&onnx, cache.repository().join("moved")).unwrap();
    symlink("../../moved", &onnx).unwrap();
    assert_eq!(kinds(&cache.found()), ["symlink onnx", "missing onnx/deep/model.onnx"]);

    let cache = Cache::new();
    fs_err::rename(cache.repository().join("blobs"), cache.model.source().join("blobs")).unwrap();
    symlink("../blobs", cache.repository().join("blobs")).unwrap();
    assert!(matches!(cache.digest(), Err(VerifyError::Source { .. })));
}

#[test]
fn links_of_an_ordinary_folder_are_findings_also_beside_blobs() {
    let cache = Cache::new();
    let plain = cache.model.source().join("model");
    fs_err::rename(cache.repository(), &plain).unwrap();
    let Err(VerifyError::Unfit { findings, .. }) =
        digest_source(&plain.join("snapshots").join(COMMIT), &options(Reread::Full), &NullReporter)
    else {
        panic!("pinned")
    };
    assert_eq!(
        kinds(&findings),
        ["symlink config.json", "symlink model.safetensors", "symlink onnx/deep/model.onnx"]
    );
}

#[test]
fn a_snapshot_is_chosen_by_main_or_because_it_is_the_only_one() {
    let cache = Cache::new();
    let snapshots = cache.repository().join("snapshots");
    let main = cache.repository().join("refs/main");
    fs_err::create_dir(snapshots.join(OTHER)).unwrap();
    assert_eq!(cache.digest().unwrap().len(), 3);
    fs_err::write(&main, OTHER).unwrap();
    assert_eq!(cache.digest().unwrap().len(), 0);

    fs_err::remove_file(&main).unwrap();
    assert_eq!(
        cache.snapshot_error(),
        format!(
            "no snapshot of `CACHE/models--org--name` can be chosen: there is no `refs/main`, and more than one; \
             found `{COMMIT}`, `{OTHER}`"
        )
    );
    fs_err::remove_dir(snapshots.join(OTHER)).unwrap();
    assert_eq!(cache.digest().unwrap().len(), 3);

    for (text, reason) in [
        (OTHER.to_owned(), format!("`refs/main` names `{OTHER}`, which is not there")),
        ("../../../etc".to_owned(), "`refs/main` is no commit in lower-case hex".to_owned()),
        ("0".repeat(1 << 20), "`refs/main` is no commit in lower-case hex".to_owned()),
        (COMMIT.to_uppercase(), "`refs/main` is no commit in lower-case hex".to_owned()),
    ] {
        fs_err::write(&main, text).unwrap();
        assert_eq!(
            cache.snapshot_error(),
            format!("no snapshot of `CACHE/models--org--name` can be chosen: {reason}; found `{COMMIT}`")
        );
    }
}

#[test]
fn a_snapshot_without_links_is_read_too() {
    let cache = Cache::new();
    for pin in Cache::pins() {
        let path = cache.snapshot().join(pin.path.as_path());
        let bytes = fs_err::read(&path).unwrap();
        fs_err::remove_file(&path).unwrap();
        fs_err::write(path, bytes).unwrap();
    }
    fs_err::remove_dir_all(cache.repository().join("blobs")).unwrap();
    assert_eq!(cache.found(), []);
}

#[test]
fn what_a_hub_notes_beside_the_files_is_no_part_of_the_model() {
    let model = Model::usual();
    model.write(".cache/huggingface/.gitignore", b"*");
    model.write(".cache/huggingface/download/config.json.metadata", b"0\n0\n0\n");
    model.write(".cache/huggingface/download/weights/x.lock", b"");
    assert_eq!(model.verify().findings, []);
    let pins = digest_source(&model.source(), &options(Reread::Full), &NullReporter).unwrap();
    let mut expected = model.pins.clone();
    expected.sort();
    assert_eq!(pins, expected);
    // Nothing else can hide there.
    model.write(".cache/huggingface/download/evil.py", b"");
    assert_eq!(kinds(&model.verify().findings), ["extra .cache/huggingface/download/evil.py"]);
}
