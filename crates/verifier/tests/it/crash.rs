//! `kill -9` at any moment: the same call completes, and nothing half-written is ever taken for whole.

use crate::common::{Model, assert_blobs, assert_sound, bytes, name, options, pin};
use sovai_core::NullReporter;
use sovai_store::Store;
use sovai_verifier::{Reread, admit};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The root of the files for a child process; without it, the child's test does nothing.
const VARIABLE: &str = "SOVAI_TEST_CRASH_ROOT";
/// Kills for each run of the tests, at moments that follow from their number.
const KILLS: u64 = 12;

const FILES: [(&str, usize, u64); 4] =
    [("a", 3 << 20, 1), ("sub/b", 2 << 20, 2), ("sub/c", 70_000, 3), ("d", 0, 4)];

/// What the child does: it admits the model, and is killed on the way.
#[test]
fn child() {
    let Some(root) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return };
    let pins: Vec<_> = FILES.iter().map(|(path, len, seed)| pin(path, &bytes(*len, *seed))).collect();
    let store = Store::open(&root.join("store")).unwrap();
    let options = options(Reread::UseReceipts);
    let admission = admit(&name(), &root.join("source"), &pins, &store, &options, &NullReporter).unwrap();
    assert!(admission.receipt.is_some());
}

fn model() -> Model {
    let contents: Vec<(&str, Vec<u8>)> =
        FILES.iter().map(|(path, len, seed)| (*path, bytes(*len, *seed))).collect();
    Model::new(&contents.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect::<Vec<_>>())
}

fn spawn(model: &Model) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--test-threads=1"])
        .env(VARIABLE, model.dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_at_any_moment_the_same_call_completes() {
    let whole = model();
    let start = Instant::now();
    assert!(spawn(&whole).wait().unwrap().success());
    let length = start.elapsed();
    assert_eq!(whole.admitted().hashed, 0, "the child's receipts hold for its parent");

    for kill in 0..KILLS {
        let model = model();
        // Twice in the same store, so that what the first one left is there when the second one dies.
        for round in 0..2 {
            let mut child = spawn(&model);
            let share = u32::try_from((kill * 7 + round * 5) % KILLS).unwrap();
            // Any moment will do: what is asserted holds at each.
            std::thread::sleep(
                length * share / u32::try_from(KILLS).unwrap() + Duration::from_micros(kill * 211),
            );
            child.kill().unwrap();
            child.wait().unwrap();
            assert_blobs(&model.store());
        }
        model.admitted();
        assert_sound(&model.store());
        assert_eq!(model.admitted().hashed, 0);
    }
}
