use super::*;
use std::os::unix::fs::PermissionsExt as _;

fn new() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("a/b/store")).unwrap();
    (dir, store)
}

fn mode(path: &Path) -> u32 {
    fs_err::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn opening_makes_an_image_layout_that_only_its_owner_sees() {
    let (_dir, store) = new();
    assert_eq!(mode(store.root()), 0o700);
    for folder in FOLDERS {
        assert_eq!(mode(&store.root().join(folder)), 0o700, "{folder}");
    }
    let layout: Value =
        serde_json::from_slice(&fs_err::read(store.root().join("oci-layout")).unwrap()).unwrap();
    assert_eq!(layout, json!({"imageLayoutVersion": "1.0.0"}));
    assert_eq!(store.index().unwrap(), []);
    assert!(store.free_bytes().unwrap() > 0);
}

#[test]
fn a_folder_that_holds_something_else_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("somebodys");
    fs_err::create_dir(&folder).unwrap();
    fs_err::write(folder.join("keep"), "x").unwrap();
    fs_err::set_permissions(&folder, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let error = Store::open(&folder).unwrap_err();
    assert!(matches!(&error, StoreError::Foreign { found, .. } if found == "keep"), "{error}");
    assert_eq!(mode(&folder), 0o1777);
    assert_eq!(fs_err::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn a_store_whose_making_was_cut_off_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["blobs", "trees"] {
        fs_err::create_dir_all(dir.path().join("s").join(folder)).unwrap();
    }
    let store = Store::open(&dir.path().join("s")).unwrap();
    assert_eq!(store.index().unwrap(), []);
}

#[test]
fn a_link_to_a_store_leads_to_the_same_store() {
    let (dir, store) = new();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(store.root(), &link).unwrap();
    assert_eq!(Store::open(&link).unwrap().root(), store.root());
    fs_err::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
    assert!(matches!(Store::open(&link).unwrap_err(), StoreError::NotAFolder { .. }));
}

#[test]
fn opening_again_closes_what_others_could_read() {
    let (_dir, store) = new();
    let index = fs_err::read(store.root().join("index.json")).unwrap();
    for folder in [store.root().to_owned(), store.receipts()] {
        fs_err::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        Store::open(store.root()).unwrap();
        assert_eq!(mode(&folder), 0o700);
    }
    assert_eq!(fs_err::read(store.root().join("index.json")).unwrap(), index);
}

#[test]
fn a_root_that_cannot_be_a_store_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs_err::write(&file, b"").unwrap();
    let error = Store::open(&file).unwrap_err();
    assert!(matches!(error, StoreError::NotAFolder { .. }), "{error}");
    let error = Store::open(&file.join("below")).unwrap_err();
    assert!(matches!(error, StoreError::NotAFolder { .. } | StoreError::Io { .. }), "{error}");
    // /proc is a folder in which nobody makes folders, root neither.
    let error = Store::open(Path::new("/proc/sovai")).unwrap_err();
    assert!(error.to_string().contains("/proc/sovai"), "{error}");
}

#[test]
fn a_root_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can give a folder away, and so make this fault.
    }
    let (_dir, store) = new();
    std::os::unix::fs::chown(store.root(), Some(12345), None).unwrap();
    let error = Store::open(store.root()).unwrap_err();
    assert!(matches!(error, StoreError::Owner { expected: 0, found: 12345, .. }), "{error}");
}

#[test]
fn the_lock_is_taken_once_and_names_its_holder() {
    let (_dir, store) = new();
    let lock = store.lock("sovai deploy\nforged").unwrap();
    for _ in 0..2 {
        let error = store.lock("sovai prune").unwrap_err();
        let StoreError::Busy { holder, path } = &error else { panic!("{error}") };
        assert_eq!(*holder, format!("process {} (sovai deployforged)", std::process::id()));
        assert_eq!(path, lock.path());
    }
    drop(lock);
    let lock = store.lock("sovai prune").unwrap();
    let error = store.lock("other").unwrap_err();
    assert!(error.to_string().contains("(sovai prune)"), "{error}");
    drop(lock);
}

#[test]
fn a_holder_that_has_not_said_its_name_is_another_process() {
    let (_dir, store) = new();
    let lock = store.lock("x").unwrap();
    fs_err::write(store.root().join("lock"), b"\xff\xff rubbish").unwrap();
    let error = store.lock("y").unwrap_err();
    assert!(error.to_string().ends_with("is held by another process"), "{error}");
    drop(lock);
}

#[test]
fn the_lock_dies_with_its_holder() {
    let (_dir, store) = new();
    let file = store.root().join("lock");
    // flock(1) of util-linux holds the same kind of lock; the process that has it is killed.
    let mut child = std::process::Command::new("flock")
        .args(["--exclusive", "--no-fork"])
        .arg(&file)
        .args(["sh", "-c", "echo held; exec sleep 1000"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("flock of util-linux");
    let mut held = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut held).unwrap();
    assert!(matches!(store.lock("x"), Err(StoreError::Busy { .. })));
    child.kill().unwrap();
    child.wait().unwrap();
    store.lock("x").unwrap();
}

#[test]
fn a_stage_becomes_a_read_only_blob_or_nothing() {
    use std::io::Write as _;
    let (_dir, store) = new();
    let digest = crate::model::sha256(b"bytes");
    let mut stage = store.stage().unwrap();
    stage.write_all(b"bytes").unwrap();
    let temporary = stage.path().to_owned();
    assert!(!store.has_blob(&digest));
    assert_eq!(stage.commit(&digest).unwrap(), store.blob(&digest));
    assert!(store.has_blob(&digest));
    assert_eq!(mode(&store.blob(&digest)), 0o444);
    assert!(!temporary.exists());

    let mut stage = store.stage().unwrap();
    stage.write_all(b"other").unwrap();
    let temporary = stage.path().to_owned();
    assert!(temporary.exists());
    drop(stage);
    assert!(!temporary.exists());
}

#[test]
fn the_lock_sweeps_what_the_dead_left_and_nothing_of_the_living() {
    let (_dir, store) = new();
    let stage = store.stage().unwrap();
    let dead = [
        store.root().join("tmp/.tmp-dead"),
        store.root().join("blobs/sha256/.tmp-dead"),
        store.root().join(".tmp-dead"),
    ];
    for path in &dead {
        fs_err::write(path, b"half").unwrap();
    }
    let tree = store.root().join("trees/.tmp-dead");
    fs_err::create_dir_all(tree.join("sub")).unwrap();
    fs_err::write(tree.join("sub/file"), b"").unwrap();
    std::os::unix::fs::symlink("/", tree.join("root")).unwrap();
    fs_err::set_permissions(&tree, std::fs::Permissions::from_mode(0o555)).unwrap();
    let lock = store.lock_unswept("x").unwrap();
    assert_eq!(store.sweep(&lock).unwrap(), 4);
    assert_eq!(store.sweep(&lock).unwrap(), 0);
    assert!(dead.iter().chain([&tree]).all(|path| !path.exists()));
    assert!(stage.path().exists());
}

#[test]
fn small_bytes_are_stored_and_mended() {
    let (_dir, store) = new();
    let digest = store.put(b"{}").unwrap();
    // printf '{}' | sha256sum
    assert_eq!(digest.hex(), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    for damage in [&b"{"[..], b"[]", b"{}{}"] {
        fs_err::remove_file(store.blob(&digest)).unwrap();
        fs_err::write(store.blob(&digest), damage).unwrap();
        assert_eq!(store.put(b"{}").unwrap(), digest);
        assert_eq!(fs_err::read(store.blob(&digest)).unwrap(), b"{}");
    }
    let lock = store.lock("x").unwrap();
    store.remove_blob(&lock, &digest).unwrap();
    store.remove_blob(&lock, &digest).unwrap();
    assert!(!store.has_blob(&digest));
}

#[test]
fn the_index_keeps_what_others_wrote() {
    let (_dir, store) = new();
    let foreign = json!({"mediaType": "x", "digest": "sha512:00", "size": 1, "platform": {"os": "linux"}});
    let index = json!({"schemaVersion": 2, "manifests": [foreign], "annotations": {"k": "v"}});
    fs_err::write(store.root().join("index.json"), index.to_string()).unwrap();
    let descriptor = crate::ModelArtifact::new(&[]).descriptor();
    let lock = store.lock("x").unwrap();
    store.add_to_index(&lock, &descriptor).unwrap();
    store.add_to_index(&lock, &descriptor).unwrap();
    assert_eq!(store.index().unwrap(), std::slice::from_ref(&descriptor));
    let written: Value = store.read_index().unwrap();
    assert_eq!(written["manifests"][0], foreign);
    assert_eq!(written["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(written["annotations"], json!({"k": "v"}));
    for damage in ["", "[]", "{\"manifests\": 1}"] {
        fs_err::write(store.root().join("index.json"), damage).unwrap();
        assert!(matches!(store.add_to_index(&lock, &descriptor), Err(StoreError::Corrupt { .. })));
    }
}

#[test]
fn only_stacks_are_listed() {
    let (_dir, store) = new();
    for name in ["b", "a", "Not a name"] {
        fs_err::create_dir(store.root().join("stacks").join(name)).unwrap();
    }
    let names: Vec<String> = store.stacks().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn bounded_reads_follow_no_link_and_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    assert_eq!(read_bounded(&path, 3).unwrap(), None);
    fs_err::write(&path, b"abc").unwrap();
    assert_eq!(read_bounded(&path, 3).unwrap().as_deref(), Some(&b"abc"[..]));
    assert!(matches!(read_bounded(&path, 2), Err(StoreError::Corrupt { .. })));
    std::os::unix::fs::symlink(&path, dir.path().join("link")).unwrap();
    assert!(read_bounded(&dir.path().join("link"), 3).is_err());
    rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("fifo"), rustix::fs::FileType::Fifo, Mode::RUSR, 0)
        .unwrap();
    assert!(matches!(read_bounded(&dir.path().join("fifo"), 3), Err(StoreError::Corrupt { .. })));
}

#[test]
fn the_lock_of_a_model_excludes_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let hold = store.hold("a test").unwrap();
    let model = crate::model::sha256(b"a model");
    let lock = store.lock_model(&hold, &model, "the first").unwrap();
    let busy = store.lock_model(&hold, &model, "the second").unwrap_err();
    assert!(matches!(&busy, StoreError::Busy { holder, .. } if holder.contains("the first")), "{busy:?}");
    drop(lock);
    assert_eq!(fs_err::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    // Many at once: never two holders.
    let inside = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    if let Ok(lock) = store.lock_model(&hold, &model, "one of many") {
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                }
            });
        }
    });
    assert_eq!(fs_err::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}
