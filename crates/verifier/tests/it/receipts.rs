//! Receipts spare reading, and hide nothing.

use crate::common::{Model, bytes, flip, kinds, name, options, walk};
use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};
use sovai_core::NullReporter;
use sovai_verifier::{Reread, admit, verify};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Every file and folder below, with all that a write would change.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, i64, i64, u64)> {
    walk(folder)
        .into_iter()
        .map(|path| {
            let m = fs_err::symlink_metadata(&path).unwrap();
            (path, (m.ino(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec(), m.size()))
        })
        .collect()
}

fn set_mtime(path: &Path, seconds: i64, nanos: i64) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos },
    };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty()).unwrap();
}

#[test]
fn the_second_admission_reads_and_writes_nothing() {
    let model = Model::usual();
    assert_eq!(model.admitted().hashed, 305_002);
    let store = model.store();
    let before = snapshot(store.root());
    let report = model.admitted();
    assert_eq!((report.hashed, report.files, report.bytes), (0, 4, 305_002));
    assert_eq!(snapshot(store.root()), before);
    // Also while somebody else holds the store: nothing is to be done.
    let _lock = store.lock("test").unwrap();
    assert_eq!(model.admitted().hashed, 0);
}

#[test]
fn full_reads_the_source_and_the_store_again() {
    let model = Model::usual();
    model.admitted();
    let report = model.try_admit(Reread::Full).unwrap().report;
    assert_eq!((report.findings.len(), report.hashed), (0, 2 * 305_002));
    assert_eq!(model.admitted().hashed, 0);
}

#[test]
fn a_touched_file_is_read_again_and_only_that_one() {
    let model = Model::usual();
    model.admitted();
    set_mtime(&model.path("weights/more/model-00002.safetensors"), 1, 0);
    assert_eq!(model.admitted().hashed, 5_000);
    assert_eq!(model.admitted().hashed, 0);
}

#[test]
fn other_bytes_of_the_same_length_with_the_old_mtime_are_found() {
    let model = Model::usual();
    model.admitted();
    let path = model.path("weights/more/model-00002.safetensors");
    let meta = fs_err::metadata(&path).unwrap();
    // In place: same inode, same size, and mtime is put back. Only ctime tells.
    flip(&path, 7);
    set_mtime(&path, meta.mtime(), meta.mtime_nsec());
    let after = fs_err::metadata(&path).unwrap();
    assert_eq!((after.ino(), after.size(), after.mtime_nsec()), (meta.ino(), meta.size(), meta.mtime_nsec()));
    assert_eq!(kinds(&model.admit().report.findings), ["digest weights/more/model-00002.safetensors"]);
    // A file that was found bad has no receipt, and is found again.
    assert_eq!(kinds(&model.admit().report.findings), ["digest weights/more/model-00002.safetensors"]);
}

#[test]
fn verify_uses_and_writes_receipts_when_it_has_a_store() {
    let model = Model::usual();
    let store = model.store();
    let run = |reread| {
        verify(&model.source(), &model.pins, &options(reread), Some(&store), &NullReporter).unwrap().hashed
    };
    assert_eq!(run(Reread::UseReceipts), 305_002);
    assert_eq!(run(Reread::UseReceipts), 0);
    assert_eq!(run(Reread::Full), 305_002);
    assert_eq!(model.admitted().hashed, 305_002, "the store lacks the bytes, receipts or not");
}

#[test]
fn a_receipt_for_one_digest_is_none_for_another() {
    let mut model = Model::usual();
    model.admitted();
    let other = crate::common::pin("config.json", b"[]");
    let at = model.pins.iter().position(|pin| pin.path == other.path).unwrap();
    // The store has the bytes that are pinned now, so that only the source's receipt stands between.
    model.store().put(b"[]").unwrap();
    model.pins[at] = other;
    let options = options(Reread::UseReceipts);
    let report = verify(&model.source(), &model.pins, &options, Some(&model.store()), &NullReporter).unwrap();
    assert_eq!(kinds(&report.findings), ["digest config.json"]);
    model.write("config.json", b"{}");
    assert_eq!(kinds(&model.admit().report.findings), ["digest config.json"]);
}

#[test]
fn receipts_that_are_damaged_or_not_ours_alone_are_passed_over() {
    let model = Model::usual();
    model.admitted();
    let files: Vec<PathBuf> =
        fs_err::read_dir(model.store().receipts()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "one for the source, one for the blobs");
    for file in files {
        let good = fs_err::read(&file).unwrap();
        assert_eq!(fs_err::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        for bad in [&b"{"[..], b"", &good[..good.len() / 2], b"\xff\xfe", b"[[[[[[[["] {
            fs_err::write(&file, bad).unwrap();
            assert_eq!(model.admitted().hashed, 305_002);
            assert_eq!(model.admitted().hashed, 0);
        }
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o620)).unwrap();
        assert_eq!(model.admitted().hashed, 305_002, "others could have written it");
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        model.admitted();
        fs_err::rename(&file, model.dir.path().join("away")).unwrap();
        std::os::unix::fs::symlink(model.dir.path().join("away"), &file).unwrap();
        assert_eq!(model.admitted().hashed, 305_002, "a link is not followed");
    }
}

#[test]
fn a_second_model_with_a_shared_file_leaves_the_first_ones_receipts_good() {
    let shared = bytes(200_000, 9);
    let first = Model::new(&[("weights", &shared), ("a", b"a")]);
    first.admitted();
    // Another model, in the same store: linking the shared blob once more changes its ctime.
    let second = Model::new(&[("other/weights", &shared), ("b", b"b")]);
    let store = first.store();
    let run = || {
        let options = options(Reread::UseReceipts);
        admit(&name(), &second.source(), &second.pins, &store, &options, &NullReporter).unwrap().report
    };
    assert_eq!((run().hashed, run().hashed), (200_001, 0));
    assert_eq!(first.admitted().hashed, 0);
    assert_eq!(fs_err::metadata(store.blob(&first.pins[0].sha256)).unwrap().nlink(), 3);
}

#[test]
fn a_blob_without_the_fs_verity_that_its_receipt_names_is_read_again() {
    let model = Model::usual();
    model.admitted();
    let path = model.store().receipts().join("blobs.json");
    let mut receipts: serde_json::Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let large = &model.pins[1];
    let entry = &mut receipts["entries"][large.sha256.to_string()];
    assert!(entry.is_object());
    // No file has the digest of its own SHA-256 as fs-verity digest.
    entry["verity"] = large.sha256.to_string().into();
    fs_err::write(&path, serde_json::to_vec(&receipts).unwrap()).unwrap();
    assert_eq!(model.admitted().hashed, large.size);
    assert_eq!(model.admitted().hashed, 0);
}
