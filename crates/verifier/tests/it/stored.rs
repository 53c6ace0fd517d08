//! The store's own copies: found when damaged, healed from the source, verified when the source is gone.

use crate::common::{Model, assert_sound, bytes, flip, kinds, name, options, trees, writable};
use sovai_core::{EventKind, RecordingReporter};
use sovai_store::ModelArtifact;
use sovai_verifier::{Finding, Reread, admit};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

fn blob(model: &Model, at: usize) -> std::path::PathBuf {
    model.store().blob(&model.pins[at].sha256)
}

#[test]
fn the_store_is_an_image_layout_that_refers_to_the_model() {
    let model = Model::usual();
    model.admitted();
    let store = model.store();
    let artifact = ModelArtifact::new(&model.pins);
    assert_eq!(fs_err::read(store.blob(&artifact.digest)).unwrap(), artifact.manifest);
    assert_eq!(fs_err::read(store.blob(&artifact.config_digest)).unwrap(), artifact.config);
    assert_eq!(store.index().unwrap(), [artifact.descriptor()]);
    model.try_admit(Reread::Full).unwrap();
    assert_eq!(store.index().unwrap().len(), 1);
    assert_sound(&store);
}

#[test]
fn a_damaged_blob_is_healed_from_the_source() {
    let model = Model::usual();
    model.admitted();
    flip(&blob(&model, 1), 123_456);
    let reporter = RecordingReporter::default();
    let options = options(Reread::UseReceipts);
    let admission =
        admit(&name(), &model.source(), &model.pins, &model.store(), &options, &reporter).unwrap();
    model.assert_tree(admission.receipt.unwrap().tree());
    let notes: Vec<_> = reporter.events().into_iter().filter(|e| e.kind == EventKind::Note).collect();
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].subject, "weights/model-00001.safetensors");
    assert_sound(&model.store());
    assert_eq!(model.admitted().hashed, 0);
}

#[test]
fn a_full_run_finds_what_no_receipt_shows() {
    let model = Model::usual();
    model.admitted();
    // A disk that returns other bytes than were written: here, a flipped byte whose receipt is made to fit.
    flip(&blob(&model, 1), 1);
    let meta = fs_err::metadata(blob(&model, 1)).unwrap();
    let file = model.store().receipts().join("blobs.json");
    let mut receipts: serde_json::Value = serde_json::from_slice(&fs_err::read(&file).unwrap()).unwrap();
    let state = &mut receipts["entries"][model.pins[1].sha256.to_string()]["state"];
    for (at, number) in
        [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()].into_iter().enumerate()
    {
        state[4 + at] = number.into();
    }
    fs_err::write(&file, receipts.to_string()).unwrap();
    let unseen = model.admit();
    assert_eq!((unseen.report.hashed, unseen.receipt.is_some()), (0, true), "that is the limit of receipts");
    let full = model.try_admit(Reread::Full).unwrap();
    model.assert_tree(full.receipt.unwrap().tree());
    assert_sound(&model.store());
}

#[test]
fn a_damaged_blob_without_a_source_is_a_finding() {
    let model = Model::usual();
    model.admitted();
    fs_err::remove_dir_all(model.source()).unwrap();
    assert_eq!(model.admitted().hashed, 0);
    flip(&blob(&model, 1), 0);
    let admission = model.admit();
    assert!(admission.receipt.is_none());
    let [Finding::StoredDamaged { path, expected, found: Some(found) }] = &admission.report.findings[..]
    else {
        panic!("{:?}", admission.report.findings)
    };
    assert_eq!(path, "weights/model-00001.safetensors");
    assert_eq!(*expected, model.pins[1].sha256);
    assert_ne!(expected, found);
    // And a truncated one, and one that is gone.
    writable(&blob(&model, 1));
    fs_err::OpenOptions::new().write(true).open(blob(&model, 1)).unwrap().file().set_len(5).unwrap();
    assert_eq!(
        kinds(&model.admit().report.findings),
        ["size weights/model-00001.safetensors", "stored-damaged weights/model-00001.safetensors"]
    );
    fs_err::remove_file(blob(&model, 1)).unwrap();
    model.try_admit(Reread::UseReceipts).unwrap_err();
}

#[test]
fn without_a_source_the_stores_copies_are_verified() {
    let model = Model::usual();
    model.admitted();
    fs_err::remove_dir_all(model.source()).unwrap();
    fs_err::remove_dir_all(model.store().receipts()).unwrap();
    assert_eq!(model.admitted().hashed, 305_002);
    assert_eq!(model.try_admit(Reread::Full).unwrap().report.hashed, 305_002);
    // A pin of another size for a stored digest.
    let mut model = model;
    model.pins[0].size += 1;
    assert_eq!(kinds(&model.admit().report.findings), ["size config.json"]);
}

#[test]
fn a_damaged_tree_is_made_again() {
    let model = Model::usual();
    model.admitted();
    let tree = model.store().tree(&ModelArtifact::new(&model.pins).digest);
    let open = |path: &std::path::Path| {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    // An extra file, a missing one, one that is no link to its blob, a writable folder, a link, another mode.
    let damages: [&dyn Fn(); 7] = [
        &|| fs_err::write(tree.join("extra"), b"").unwrap(),
        &|| fs_err::remove_file(tree.join("config.json")).unwrap(),
        &|| {
            fs_err::remove_file(tree.join("config.json")).unwrap();
            fs_err::write(tree.join("config.json"), b"{}").unwrap();
            fs_err::set_permissions(tree.join("config.json"), std::fs::Permissions::from_mode(0o444))
                .unwrap();
        },
        &|| fs_err::set_permissions(tree.join("weights"), std::fs::Permissions::from_mode(0o777)).unwrap(),
        &|| {
            fs_err::remove_file(tree.join("config.json")).unwrap();
            std::os::unix::fs::symlink("empty.txt", tree.join("config.json")).unwrap();
        },
        &|| {
            fs_err::set_permissions(tree.join("config.json"), std::fs::Permissions::from_mode(0o666))
                .unwrap();
        },
        &|| {
            open(&tree.join("weights"));
            open(&tree.join("weights/more"));
            fs_err::remove_dir_all(&tree).unwrap();
        },
    ];
    for damage in damages {
        open(&tree);
        damage();
        // Else it would be the folder's mode that is found.
        if tree.exists() {
            fs_err::set_permissions(&tree, std::fs::Permissions::from_mode(0o555)).unwrap();
        }
        model.admitted();
        assert_eq!(model.admitted().hashed, 0);
        assert_sound(&model.store());
    }
}

#[test]
fn a_blob_name_that_holds_something_else_is_replaced() {
    let model = Model::usual();
    model.store();
    fs_err::write(blob(&model, 1), b"half a blob").unwrap();
    let secret = model.dir.path().join("secret");
    fs_err::write(&secret, bytes(5_000, 2)).unwrap();
    std::os::unix::fs::symlink(&secret, blob(&model, 2)).unwrap();
    model.admitted();
    assert!(!fs_err::symlink_metadata(blob(&model, 2)).unwrap().is_symlink());
    assert_eq!(trees(&model.store()), 1);
}
