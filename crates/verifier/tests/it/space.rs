//! A disk that fills up while a model is brought in.

use crate::common::{Model, assert_sound, bytes, name, options, pin, trees};
use sovai_core::{Event, NullReporter, Reporter};
use sovai_store::Store;
use sovai_verifier::{Reread, VerifyError, admit};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the files for a child process; without it, the child's test does nothing.
const VARIABLE: &str = "SOVAI_TEST_SPACE_ROOT";
const SIZE: usize = 3 << 20;

/// Somebody else takes all the room, at the first progress event.
struct Filler(PathBuf);

impl Reporter for Filler {
    fn report(&self, _event: Event) {
        // Ends with the error that the disk is full.
        drop(fs_err::write(&self.0, vec![0; 16 << 20]));
    }
}

/// Runs where `store` is a small file system of its own.
#[test]
fn child() {
    let Some(root) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return };
    let (source, store) = (root.join("source"), Store::open(&root.join("store")).unwrap());
    let pins = [pin("w", &bytes(SIZE, 1))];
    let options = options(Reread::UseReceipts);
    let filler = root.join("store/tmp/filler");
    let error = admit(&name(), &source, &pins, &store, &options, &Filler(filler.clone())).unwrap_err();
    let VerifyError::NoSpace { needed, free, .. } = &error else { panic!("{error}") };
    assert!(*needed >= SIZE as u64 && *free < *needed, "{error}");
    assert_sound(&store);
    assert_eq!(trees(&store), 0);
    fs_err::remove_file(filler).unwrap();
    let admission = admit(&name(), &source, &pins, &store, &options, &NullReporter).unwrap();
    assert!(admission.receipt.is_some());
    assert_sound(&store);
}

#[test]
fn a_disk_that_fills_up_is_told_and_leaves_nothing_half_written() {
    let model = Model::new(&[("w", &bytes(SIZE, 1))]);
    let store: &Path = &model.dir.path().join("store");
    fs_err::create_dir(store).unwrap();
    let mount = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            unshare.arg("--map-root-user");
        }
        unshare
            .args([
                "sh",
                "-c",
                &format!("mount -t tmpfs -o size=9m,mode=700 tmpfs \"$1\" && {command}"),
                "sh",
            ])
            .args([store, &std::env::current_exe().unwrap()])
            .env(VARIABLE, model.dir.path())
            .output()
    };
    if !mount("true").is_ok_and(|output| output.status.success()) {
        eprintln!("NOT TESTED: a disk that fills up; no mount namespace can be made here");
        return;
    }
    let output = mount("exec \"$2\" space::child --exact").unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
