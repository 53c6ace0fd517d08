//! The store's disk.

use crate::process::run;
use crate::setup::beside;
use crate::stack::{MODEL, Stack, model_of, pin, tree};
use serde_json::json;
use std::process::Command;

#[test]
fn a_full_disk_is_7_with_needed_and_free_and_nothing_is_left() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let weights = model_of((24 << 20) / 16);
    fs_err::write(stack.path(MODEL), &weights).unwrap();
    let mut manifest = stack.manifest();
    manifest["spec"]["models"]["assistant"]["files"] = json!([pin(MODEL, &weights)]);
    manifest["spec"]["services"]["engine"]["resources"]["memory"] = json!("128MiB");
    stack.write(&manifest);
    // A private mount namespace: nothing is left mounted, whatever happens. It never comes to the engine's view.
    fs_err::create_dir(stack.path("small")).unwrap();
    let script = "mount -t tmpfs -o size=16m none small; export SOVAI_STORE=\"$PWD/small/store\"
        code=0; \"$1\" deploy stack.yaml || code=$?; find small -type f -size +64k >left; exit $code";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-ec", script, "sh"]).arg(&stack.shared.sovai);
    stack.surround(&mut command);
    run(&mut command).expect(7).says(&["small/store", " MiB of free space and has ", "--store"]);
    assert_eq!(fs_err::read_to_string(stack.path("left")).unwrap(), "", "half a blob is left");
    stack.gone();
    stack.deploy().expect(0);
    stack.answers();
}

#[test]
fn a_store_that_cannot_be_written_is_told_and_nothing_is_made() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest());
    fs_err::write(stack.path("file"), "").unwrap();
    let ran = run(stack.command(&["deploy", "stack.yaml"]).arg("--store").arg(stack.path("file/store")));
    assert!(matches!(ran.code, Some(1 | 2 | 7)), "{ran}");
    ran.says(&[stack.path("file").to_str().unwrap()]);
    stack.gone();
}

#[test]
fn a_blob_that_was_spoiled_in_the_store_is_found_by_full_and_made_good_from_the_source() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let good = crate::stack::model();
    let blob = stack.store().join("blobs/sha256").join(crate::stack::sha256(&good));
    assert!(blob.is_file(), "{:?}", tree(&stack.store()));
    let mut bad = good.clone();
    bad[1000] ^= 1;
    // As root can: the mode does not stop it.
    fs_err::write(&blob, &bad).unwrap();
    let ran = stack.sovai(&["deploy", "stack.yaml", "--full"]);
    assert!(matches!(ran.code, Some(0 | 4)), "{ran}");
    assert_eq!(fs_err::read(&blob).unwrap() == good, ran.code == Some(0), "{ran}");
}
