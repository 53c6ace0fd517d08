use super::*;
use crate::Store;
use sovai_core::Name;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

fn new() -> (tempfile::TempDir, StackDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let stack = store.stack(&Name::new("quickstart").unwrap());
    (dir, stack)
}

fn mode(path: &Path) -> u32 {
    fs_err::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn reading_makes_nothing() {
    let (_dir, stack) = new();
    assert_eq!(stack.read::<u32>("state.json").unwrap(), None);
    assert_eq!(stack.list("").unwrap(), Vec::<String>::new());
    stack.remove("state.json").unwrap();
    assert!(!stack.path().exists());
}

#[test]
fn state_survives_a_round_trip_in_private() {
    let (_dir, stack) = new();
    let value = BTreeMap::from([("generation".to_owned(), 3u32)]);
    stack.write("generations/3.json", &value).unwrap();
    stack.write("generations/10.json", &value).unwrap();
    assert_eq!(stack.read("generations/3.json").unwrap(), Some(value));
    assert_eq!(stack.list("generations").unwrap(), ["10.json", "3.json"]);
    assert_eq!(mode(&stack.path().join("generations")), 0o700);
    assert_eq!(mode(&stack.path().join("generations/3.json")), 0o600);
    stack.remove("generations/3.json").unwrap();
    assert_eq!(stack.list("generations").unwrap(), ["10.json"]);
}

#[test]
fn state_that_does_not_parse_is_an_error_and_names_the_file() {
    let (_dir, stack) = new();
    stack.write("state.json", &1u32).unwrap();
    fs_err::write(stack.path().join("state.json"), b"{").unwrap();
    let error = stack.read::<u32>("state.json").unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }));
    assert!(error.to_string().contains("stacks/quickstart/state.json` is damaged"), "{error}");
}

#[test]
fn names_cannot_leave_the_stack() {
    let (_dir, stack) = new();
    for name in ["../other/state.json", "/etc/passwd", "", "a//b", "a/../b"] {
        assert!(matches!(stack.write(name, &1u32), Err(StoreError::BadName { .. })), "{name}");
        assert!(matches!(stack.read::<u32>(name), Err(StoreError::BadName { .. })), "{name}");
        assert!(matches!(stack.remove(name), Err(StoreError::BadName { .. })), "{name}");
        assert!(matches!(stack.publish_dir(name, &[]), Err(StoreError::BadName { .. })), "{name}");
    }
}

#[test]
fn two_stacks_have_two_locks() {
    let (dir, stack) = new();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let _store_lock = store.lock("a").unwrap();
    let _lock = stack.lock("sovai deploy").unwrap();
    let _other = store.stack(&Name::new("other").unwrap()).lock("b").unwrap();
    let error = stack.lock("sovai down").unwrap_err();
    assert!(error.to_string().contains("(sovai deploy)"), "{error}");
}

#[test]
fn the_lock_sweeps_the_stack() {
    let (_dir, stack) = new();
    stack.write("generations/1.json", &1u32).unwrap();
    fs_err::write(stack.path().join("generations/.tmp-dead"), b"").unwrap();
    fs_err::create_dir(stack.path().join(".tmp-dead")).unwrap();
    let _lock = stack.lock("x").unwrap();
    assert_eq!(stack.list("generations").unwrap(), ["1.json"]);
    assert!(!stack.path().join("generations/.tmp-dead").exists());
    assert!(!stack.path().join(".tmp-dead").exists());
}

#[test]
fn the_default_key_is_made_once() {
    let (dir, stack) = new();
    let (path, key, made) = stack.default_key().unwrap();
    assert!(made);
    assert_eq!(path, stack.path().join("keys/default.key"));
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let digits = key.strip_prefix("sk-sovai-").unwrap();
    assert_eq!(digits.len(), 64);
    assert!(digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(fs_err::read_to_string(&path).unwrap(), format!("{key}\n"));

    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(stack.default_key().unwrap(), (path.clone(), key.clone(), false));
    assert_eq!(mode(&path), 0o600, "a key that others could read is closed");

    let store = Store::open(&dir.path().join("store")).unwrap();
    let other = store.stack(&Name::new("other").unwrap()).default_key().unwrap().1;
    assert_ne!(other, key);

    for damage in ["", "sk-sovai-short", "something else entirely, and long enough to be one......", "\n"] {
        fs_err::write(&path, damage).unwrap();
        let error = stack.default_key().unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        assert!(damage.trim().is_empty() || !error.to_string().contains(damage), "a key is never printed");
    }
}

#[test]
fn a_published_folder_is_read_only_and_made_once() {
    let (_dir, stack) = new();
    let path = |text| RelPath::new(text).unwrap();
    let files = [(path("gateway.json"), b"{}".to_vec()), (path("tls/cert.pem"), b"cert".to_vec())];
    let folder = stack.publish_dir("config/abc", &files).unwrap();
    assert_eq!(folder, stack.path().join("config/abc"));
    assert_eq!(fs_err::read(folder.join("tls/cert.pem")).unwrap(), b"cert");
    for (relative, expected) in
        [("", 0o555), ("tls", 0o555), ("gateway.json", 0o444), ("tls/cert.pem", 0o444)]
    {
        assert_eq!(mode(&folder.join(relative)), expected, "{relative}");
    }
    let inode = |folder: &Path| fs_err::metadata(folder).unwrap().ino();
    let before = inode(&folder);
    stack.publish_dir("config/abc", &files).unwrap();
    assert_eq!(inode(&folder), before, "nothing was written");

    // Damage of each kind is mended: other bytes, another mode, a file too many, one too few.
    let damages: [&dyn Fn(); 4] = [
        &|| fs_err::write(folder.join("gateway.json"), b"[]").unwrap(),
        &|| {
            fs_err::set_permissions(folder.join("gateway.json"), std::fs::Permissions::from_mode(0o644))
                .unwrap();
        },
        &|| fs_err::write(folder.join("tls/extra"), b"").unwrap(),
        &|| fs_err::remove_file(folder.join("tls/cert.pem")).unwrap(),
    ];
    for damage in damages {
        for name in ["", "tls"] {
            fs_err::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        if folder.join("gateway.json").exists() {
            fs_err::set_permissions(folder.join("gateway.json"), std::fs::Permissions::from_mode(0o644))
                .unwrap();
        }
        damage();
        stack.publish_dir("config/abc", &files).unwrap();
        assert!(published(&folder, &files));
        assert_eq!(stack.list("config").unwrap(), ["abc"]);
    }
    stack.remove("config/abc").unwrap();
    assert!(!folder.exists());
}
