//! Wrong bytes: nothing is started, nothing exists afterwards.

use crate::docker::{everything, new_since};
use crate::setup::{alone, say, soak};
use crate::stack::{MODEL, Stack, model, pin, sha256};
use serde_json::json;
use std::path::Path;

const SIDE: &str = "sub/tokenizer.json";
const NOTHING: [String; 0] = [];
const SIDE_BYTES: &[u8] = b"{\"a\":1}";

/// A model of two files in a folder, one of them in a folder below.
fn folder_stack(setup: &crate::setup::Setup) -> Stack {
    let stack = Stack::new(setup);
    fs_err::create_dir_all(stack.path("weights/sub")).unwrap();
    fs_err::write(stack.path("weights").join(MODEL), model()).unwrap();
    fs_err::write(stack.path("weights").join(SIDE), SIDE_BYTES).unwrap();
    let mut manifest = stack.manifest();
    manifest["spec"]["models"]["assistant"]["source"] = json!("file:./weights");
    manifest["spec"]["models"]["assistant"]["files"] = json!([pin(MODEL, &model()), pin(SIDE, SIDE_BYTES)]);
    stack.write(&manifest);
    stack
}

struct Case {
    name: &'static str,
    spoil: fn(&Path),
    /// What is said: the file, what was expected, what was found.
    says: Vec<String>,
}

fn cases() -> Vec<Case> {
    let whole = model();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    vec![
        Case {
            name: "flipped byte",
            spoil: |folder| {
                let mut bytes = model();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs_err::write(folder.join(MODEL), bytes).unwrap();
            },
            says: vec![MODEL.into(), sha256(&whole), sha256(&flipped)],
        },
        Case {
            name: "truncated",
            spoil: |folder| fs_err::write(folder.join(MODEL), &model()[..1000]).unwrap(),
            says: vec![MODEL.into(), whole.len().to_string(), "1000".into()],
        },
        Case {
            name: "grown",
            spoil: |folder| {
                let mut bytes = model();
                bytes.push(0);
                fs_err::write(folder.join(MODEL), bytes).unwrap();
            },
            says: vec![MODEL.into(), whole.len().to_string(), (whole.len() + 1).to_string()],
        },
        Case {
            name: "missing",
            spoil: |folder| fs_err::remove_file(folder.join(SIDE)).unwrap(),
            says: vec![SIDE.into(), "missing".into()],
        },
        Case {
            name: "extra",
            spoil: |folder| fs_err::write(folder.join("payload.py"), "import os").unwrap(),
            says: vec!["payload.py".into()],
        },
        Case {
            name: "link out of the folder",
            spoil: |folder| {
                fs_err::remove_file(folder.join(SIDE)).unwrap();
                let outside = folder.parent().unwrap().join("outside.json");
                fs_err::write(&outside, SIDE_BYTES).unwrap();
                fs_err::os::unix::fs::symlink(outside, folder.join(SIDE)).unwrap();
            },
            says: vec![SIDE.into(), "link".into()],
        },
        Case {
            name: "folder that is a link out",
            spoil: |folder| {
                let outside = folder.parent().unwrap().join("elsewhere");
                fs_err::rename(folder.join("sub"), &outside).unwrap();
                fs_err::os::unix::fs::symlink(outside, folder.join("sub")).unwrap();
            },
            says: vec!["sub".into(), "link".into()],
        },
        Case {
            name: "FIFO",
            spoil: |folder| {
                fs_err::remove_file(folder.join(SIDE)).unwrap();
                let status = std::process::Command::new("mkfifo").arg(folder.join(SIDE)).status().unwrap();
                assert!(status.success());
            },
            says: vec![SIDE.into()],
        },
    ]
}

#[test]
fn wrong_bytes_leave_no_container_network_volume_or_image() {
    let Some(setup) = alone() else { return };
    let before = everything();
    for case in cases() {
        let stack = folder_stack(&setup);
        (case.spoil)(&stack.path("weights"));
        let ran = stack.deploy();
        assert_eq!(ran.code, Some(4), "{}: {ran}", case.name);
        for text in &case.says {
            assert!(ran.stderr.contains(text), "{}: `{text}` is not said\n{ran}", case.name);
        }
        assert_eq!(new_since(&before), NOTHING, "{}", case.name);
        // The same as data.
        let ran = stack.sovai(&["deploy", "stack.yaml", "-o", "json"]).expect(4);
        let result = ran.json();
        assert_eq!((&result["ok"], &result["exitCode"]), (&json!(false), &json!(4)), "{}", case.name);
        assert!(result["findings"].as_array().is_some_and(|list| !list.is_empty()), "{}: {ran}", case.name);
        assert_eq!(new_since(&before), NOTHING, "{}", case.name);
    }
}

#[test]
fn soak_a_flipped_byte_of_the_single_file_is_found_wherever_it_is() {
    let Some(setup) = alone() else { return };
    let before = everything();
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest());
    let whole = model();
    let count = if soak() { 200 } else { 5 };
    // A fixed walk over the file that ends at neither edge by chance: both edges are in it.
    let step = whole.len() / (count - 1);
    for at in (0..count).map(|i| (i * step).min(whole.len() - 1)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        fs_err::write(stack.path(MODEL), &bytes).unwrap();
        stack.deploy().expect(4).says(&[MODEL, &sha256(&whole), &sha256(&bytes)]);
    }
    say(&format!("soak: flipped bytes: {count} rounds, all found, nothing started"));
    assert_eq!(new_since(&before), NOTHING);
    fs_err::write(stack.path(MODEL), whole).unwrap();
    stack.deploy().expect(0);
}
