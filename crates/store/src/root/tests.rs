use super::*;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn digest(byte: u8) -> Sha256 {
    Sha256::from_bytes([byte; 32])
}

fn root(folder: &Path, file: &str, model: u8) -> Root {
    let manifest = folder.join(file);
    let image = RootImage { config: digest(9), manifest: Some(digest(8)), index: None };
    Root::stack(
        &manifest,
        &manifest.with_extension("lock.yaml"),
        name("demo"),
        BTreeMap::from([(name("m"), digest(model))]),
        BTreeMap::from([("engine:1".to_owned(), image)]),
    )
    .unwrap()
}

#[test]
fn a_root_is_one_file_a_manifest_and_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, work) = (Store::open(&dir.path().join("store")).unwrap(), dir.path().join("work"));
    fs_err::create_dir(&work).unwrap();
    std::os::unix::fs::symlink(&work, dir.path().join("link")).unwrap();
    let hold = store.hold("a test").unwrap();
    let first = root(&work, "a.yaml", 1);
    store.record_root(&hold, &first).unwrap();
    store.record_root(&hold, &root(&work, "b.yaml", 2)).unwrap();
    // By another way to the same file, and another model: in place of the first.
    let changed = root(&dir.path().join("link"), "a.yaml", 3);
    assert_eq!(changed.manifest, first.manifest);
    store.record_root(&hold, &changed).unwrap();
    let roots = store.roots().unwrap();
    let models: BTreeSet<_> = roots.iter().map(|kept| kept.root.models[&name("m")]).collect();
    assert_eq!(models, BTreeSet::from([digest(2), digest(3)]));
    let kept = roots.iter().find(|kept| kept.root == changed).unwrap();
    let before = fs_err::read_to_string(&kept.file).unwrap();
    assert!(before.contains("\"apiVersion\": \"sovai/v1\"") && before.contains("\"kind\": \"stack\""));
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs_err::metadata(path).unwrap());
    let old = inode(&kept.file);
    store.record_root(&hold, &changed).unwrap();
    assert_eq!(inode(&kept.file), old, "nothing changed, so nothing is written");
    assert!(store.forget_root(&hold, &work.join("a.yaml")).unwrap());
    assert!(!store.forget_root(&hold, &work.join("a.yaml")).unwrap());
    assert_eq!(store.roots().unwrap().len(), 1);
}

#[test]
fn a_path_that_is_no_text_is_kept_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let mut odd = root(dir.path(), "a.yaml", 1);
    odd.manifest = dir.path().join(OsStr::from_bytes(b"\xff.yaml"));
    store.record_root(&store.hold("a test").unwrap(), &odd).unwrap();
    assert_eq!(store.roots().unwrap()[0].root, odd);
}

#[test]
fn a_root_that_is_not_understood_is_an_error_and_not_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    store.record_root(&store.hold("a test").unwrap(), &root(dir.path(), "a.yaml", 1)).unwrap();
    let file = store.roots().unwrap().remove(0).file;
    let good = fs_err::read_to_string(&file).unwrap();
    for bad in [
        String::new(),
        "[]".to_owned(),
        good.replace("sovai/v1", "sovai/v9"),
        good.replace("\"stack\",", "\"unheard-of\","),
        good.replace("\"models\"", "\"models2\""),
        good.replace("sha256:", "sha512:"),
    ] {
        fs_err::write(&file, &bad).unwrap();
        let error = store.roots().unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { path, .. } if *path == file), "{error}: {bad}");
    }
    fs_err::remove_file(&file).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RUSR).unwrap();
    assert!(matches!(store.roots(), Err(StoreError::Corrupt { .. })));
    fs_err::remove_file(&file).unwrap();
    fs_err::write(file.with_file_name("notes.txt"), "somebody's").unwrap();
    assert_eq!(store.roots().unwrap(), []);
}

#[test]
fn many_may_hold_and_one_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let first = store.hold("sovai pull").unwrap();
    let second = store.hold("sovai deploy").unwrap();
    let error = store.hold_alone("sovai store prune").unwrap_err();
    let StoreError::Busy { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, format!("process {} (sovai pull)", std::process::id()));
    drop(first);
    // The one that is left wrote no name, and that of the first is not told.
    let error = store.hold_alone("x").unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    let third = store.hold("sovai lock").unwrap();
    let error = store.hold_alone("x").unwrap_err();
    assert!(error.to_string().contains("(sovai lock)"), "{error}");
    drop(third);
    drop(second);
    let alone = store.hold_alone("sovai store prune").unwrap();
    let error = store.hold("sovai pull").unwrap_err();
    assert!(error.to_string().contains("(sovai store prune)"), "{error}");
    drop(alone);
    store.hold("sovai pull").unwrap();
}
