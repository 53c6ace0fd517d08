use super::*;
use crate::{ModelArtifact, Wanted};
use sovai_core::{FilePin, RelPath};

fn model(store: &Store, files: &[(&str, &str)]) -> Vec<FilePin> {
    let pins: Vec<_> = files
        .iter()
        .map(|(path, content)| FilePin {
            path: RelPath::new(path).unwrap(),
            size: content.len() as u64,
            sha256: store.put(content.as_bytes()).unwrap(),
        })
        .collect();
    let artifact = ModelArtifact::new(&pins);
    store.put(&artifact.config).unwrap();
    store.put(&artifact.manifest).unwrap();
    let lock = store.lock("a test").unwrap();
    store.add_to_index(&lock, &artifact.descriptor()).unwrap();
    store.make_tree(&lock, &artifact.digest, &pins).unwrap();
    pins
}

/// Whatever the index or a tree leads to is there.
fn assert_consistent(store: &Store) {
    for artifact in store.artifacts().unwrap() {
        assert!(artifact.broken.is_empty(), "{artifact:?}");
        for digest in artifact.blobs.keys() {
            assert!(store.has_blob(digest), "{digest}");
        }
    }
}

#[test]
fn a_prune_that_stops_anywhere_leaves_a_consistent_store_and_the_next_one_ends_it() {
    for stop_at in 0..9 {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let kept = model(&store, &[("a", "alpha"), ("s", "shared")]);
        model(&store, &[("b", "beta"), ("s", "shared")]);
        model(&store, &[("c", "gamma")]);
        let mut wanted = Wanted::default();
        let digest = wanted.model(&kept);
        let alone = store.hold_alone("a test").unwrap();
        let lock = store.lock("a test").unwrap();
        let asked = std::cell::Cell::new(0);
        let stop = || asked.replace(asked.get() + 1) >= stop_at;
        let marked = store.mark(&wanted).unwrap();
        let total = marked.bytes();
        let first = store.remove_marked(&alone, &lock, &marked, &stop).unwrap();
        assert_eq!(first.stopped, stop_at < 8, "2 trees and 6 blobs go: {stop_at} {first:?}");
        assert_consistent(&store);
        let rest = store.remove_marked(&alone, &lock, &store.mark(&wanted).unwrap(), &|| false).unwrap();
        assert_eq!(first.bytes + rest.bytes, total);
        assert_eq!(
            (first.entries + rest.entries, first.trees + rest.trees, first.blobs + rest.blobs),
            (2, 2, 6)
        );
        assert_consistent(&store);
        assert!(store.tree_is_whole(&digest, &kept) && store.mark(&wanted).unwrap().is_empty());
        let names: Vec<_> = fs_err::read_dir(store.root().join("trees")).unwrap().collect();
        assert_eq!(names.len(), 1);
    }
}

#[test]
fn entries_of_others_stay_in_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    model(&store, &[("a", "alpha")]);
    let index = store.root().join("index.json");
    let mut value: Value = serde_json::from_slice(&fs_err::read(&index).unwrap()).unwrap();
    let other = serde_json::json!({ "mediaType": "x", "digest": "sha512:00", "size": 1, "odd": [1] });
    value["manifests"].as_array_mut().unwrap().push(other.clone());
    fs_err::write(&index, value.to_string()).unwrap();
    let (alone, lock) = (store.hold_alone("a test").unwrap(), store.lock("a test").unwrap());
    let marked = store.mark(&Wanted::default()).unwrap();
    store.remove_marked(&alone, &lock, &marked, &|| false).unwrap();
    let value: Value = serde_json::from_slice(&fs_err::read(&index).unwrap()).unwrap();
    assert_eq!(value["manifests"], serde_json::json!([other]));
}

#[test]
fn a_blob_that_is_linked_elsewhere_frees_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let (here, there) = (store.put(b"here").unwrap(), store.put(b"elsewhere").unwrap());
    fs_err::hard_link(store.blob(&there), dir.path().join("link")).unwrap();
    let (alone, lock) = (store.hold_alone("a test").unwrap(), store.lock("a test").unwrap());
    let marked = store.mark(&Wanted::default()).unwrap();
    assert_eq!(marked.blobs.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from([here, there]));
    let removed = store.remove_marked(&alone, &lock, &marked, &|| false).unwrap();
    assert_eq!((removed.blobs, removed.bytes), (2, 4));
}

#[test]
fn downloads_that_a_lock_names_stay_and_those_that_are_written_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let digest = |byte| Sha256::from_bytes([byte; 32]);
    let write = |byte| {
        let partial = store.partial(&digest(byte), 10, "sovai pull").unwrap();
        partial.write(0, &[b"12345"]).unwrap();
        partial
    };
    drop((write(1), write(2)));
    let living = write(3);
    let orphan = store.root().join("partial").join(format!("{}.journal", digest(4).hex()));
    fs_err::write(&orphan, "left behind").unwrap();
    let alone = store.hold_alone("a test").unwrap();
    let kept = BTreeSet::from([digest(1)]);
    let mut removed = Removed::default();
    store.remove_partials(&alone, &kept, false, &mut removed).unwrap();
    assert_eq!(removed.partials, 2, "{removed:?}");
    let left = || store.partial_files().unwrap().into_iter().map(|it| it.sha256).collect::<Vec<_>>();
    assert_eq!(left(), [digest(1), digest(3)]);
    assert!(!orphan.exists());
    store.remove_partials(&alone, &kept, true, &mut removed).unwrap();
    assert_eq!(left(), [digest(3)]);
    drop(living);
}
