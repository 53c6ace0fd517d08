//! `kill -9` at any moment: the same call completes, and nothing half-written is ever taken for whole.

use crate::common::{Model, assert_blobs, assert_sound, bytes, name, options};
use sovai_core::{FilePin, NullReporter};
use sovai_store::Store;
use sovai_verifier::{Reread, admit};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The root of the files for a child process; without it, the child's test does nothing.
const VARIABLE: &str = "SOVAI_TEST_CRASH_ROOT";
/// Kills for each run of the tests, at moments that follow from their number.
const KILLS: u32 = 12;
/// The line by which the child says that it begins.
const BEGIN: &str = "the admission begins";

const FILES: [(&str, usize, u64); 4] =
    [("a", 3 << 20, 1), ("sub/b", 2 << 20, 2), ("sub/c", 70_000, 3), ("d", 0, 4)];

/// What the child does: it says that it begins, and admits the model; it is killed on the way.
#[test]
fn child() {
    let Some(root) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return };
    let pins: Vec<FilePin> = serde_json::from_slice(&fs_err::read(root.join("pins")).unwrap()).unwrap();
    let store = Store::open(&root.join("store")).unwrap();
    println!("\n{BEGIN}");
    let options = options(Reread::UseReceipts);
    let admission = admit(&name(), &root.join("source"), &pins, &store, &options, &NullReporter).unwrap();
    assert!(admission.receipt.is_some());
}

fn model() -> Model {
    let contents: Vec<(&str, Vec<u8>)> =
        FILES.iter().map(|(path, len, seed)| (*path, bytes(*len, *seed))).collect();
    let model =
        Model::new(&contents.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect::<Vec<_>>());
    fs_err::write(model.dir.path().join("pins"), serde_json::to_vec(&model.pins).unwrap()).unwrap();
    model
}

/// A child that is just about to admit the model.
fn spawn(model: &Model) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--test-threads=1", "--nocapture"])
        .env(VARIABLE, model.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == BEGIN));
    child
}

#[test]
fn killed_at_any_moment_the_same_call_completes() {
    let whole = model();
    let mut child = spawn(&whole);
    let start = Instant::now();
    assert!(child.wait().unwrap().success());
    let length = start.elapsed();
    assert_eq!(whole.admitted().hashed, 0, "the child's receipts hold for its parent");

    for kill in 0..KILLS {
        let model = model();
        // Twice in the same store, so that what the first one left is there when the second one dies.
        for round in 0..2 {
            let mut child = spawn(&model);
            // Any moment will do: what is asserted holds at each.
            std::thread::sleep(length * ((kill * 7 + round * 5) % KILLS) / KILLS);
            child.kill().unwrap();
            child.wait().unwrap();
            assert_blobs(&model.store());
        }
        model.admitted();
        assert_sound(&model.store());
        assert_eq!(model.admitted().hashed, 0);
    }
}
