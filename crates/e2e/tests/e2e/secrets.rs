//! Secrets arrive as files and stand nowhere else.

use crate::docker::{docker, inspect};
use crate::setup::beside;
use crate::stack::{MANIFEST, Stack};
use serde_json::{Value, json};

const SECRET: &str = "correct-horse-battery-staple-4711";

#[test]
fn a_secret_is_a_file_and_stands_in_no_record_of_the_engine() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    fs_err::write(stack.path("token"), SECRET).unwrap();
    let mut manifest = stack.manifest();
    manifest["spec"]["services"]["engine"]["secrets"] = json!([{ "name": "hub-token", "file": "./token" }]);
    let ran = stack.write(&manifest).sovai(&["deploy", MANIFEST, "-v", "--progress", "json"]).expect(0);
    assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran}");

    let engine = stack.container("engine");
    let listed: Value =
        serde_json::from_str(&docker(&["exec", &engine, "/stub", "ls", "/run/secrets"])).unwrap();
    assert_eq!(listed["entries"], json!([{ "name": "hub-token", "folder": false, "size": SECRET.len() }]));
    let written = docker(&["exec", &engine, "/stub", "write", "/run/secrets/x"]);
    assert!(written.contains("\"errno\":30"), "the folder is mounted read-only: {written}");
    let uid = docker(&["exec", &engine, "/stub", "id"]);
    assert!(uid.contains("\"uid\":65532"), "{uid}");

    for service in ["engine", "gateway"] {
        let record = inspect("container", &stack.container(service)).to_string();
        assert!(!record.contains(SECRET), "{service}: {record}");
    }
    assert!(
        !docker(&["exec", &stack.container("engine"), "/stub", "ls", "/proc/1/environ"]).contains(SECRET)
    );
    // In the store only its owner gets at it.
    let mode = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(&stack.store()), 0o700);
    assert_eq!(mode(&stack.store().join("stacks").join(&stack.name).join("keys/default.key")), 0o600);
    // A changed secret replaces the service that has it.
    fs_err::write(stack.path("token"), "another").unwrap();
    let gateway = stack.container("gateway");
    stack.deploy().expect(0);
    assert_ne!(stack.container("engine"), engine);
    assert_eq!(stack.container("gateway"), gateway);
    let kept = crate::stack::tree(&stack.store().join("stacks").join(&stack.name));
    assert_eq!(
        kept.iter().filter(|path| path.ends_with("hub-token")).count(),
        1,
        "the old one is gone: {kept:?}"
    );
}

#[test]
fn a_secret_s_file_that_is_not_there_is_2_and_nothing_is_made() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let mut manifest = stack.manifest();
    manifest["spec"]["services"]["engine"]["secrets"] = json!([{ "name": "hub-token", "file": "./token" }]);
    stack.write(&manifest).deploy().expect(2).says(&["hub-token", "token"]);
    stack.gone();
}
