//! The other side is alone: from the volumes, the program on the first of them and the engine's socket, and from nothing else.

use crate::docker::{docker, try_docker};
use crate::process::{Ran, run};
use crate::real::weights;
use crate::setup::{alone, say};
use crate::stack::{MANIFEST, Stack};
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// The image of this test; it leaves the engine with this.
struct Own(String);

impl Drop for Own {
    fn drop(&mut self) {
        let _not_there = try_docker(&["image", "rm", &self.0]);
    }
}

/// The real engine's image once more, as another image: its own is for other tests to use.
fn own_image(from: &str) -> (Own, String) {
    let name = format!("sovai-e2e/carried:{}", std::process::id());
    let container = docker(&["create", "--label", "sovai-e2e=carried", from]);
    let id = docker(&["commit", "--change", "LABEL sovai-e2e=carried", &container, &name]);
    docker(&["rm", &container]);
    (Own(name), id)
}

/// The operator's command: the program of the first volume, in a network namespace in which not even the loopback interface is
/// up, with an empty home, nothing on the path, and a store of its own.
fn operator(stack: &Stack, program: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new("/usr/bin/unshare");
    let script = "! ip route get 198.51.100.1 2>/dev/null; export PATH=/nowhere; exec \"$@\"";
    command.args(["--net", "--", "/bin/sh", "-ec", script, "sh"]).arg(program).args(args);
    stack.surround(&mut command);
    fs_err::create_dir_all(stack.path("empty")).unwrap();
    command.env("HOME", stack.path("empty")).env("SOVAI_STORE", stack.path("other"));
    run(&mut command)
}

#[test]
fn the_other_side_needs_the_volumes_and_the_engine_s_socket_alone() {
    let Some(setup) = alone() else { return };
    let stack = Stack::new(&setup);
    let (image, id) = own_image(&setup.shared.engine_image.0);
    let (path, pins) = weights(&setup);
    let file = path.file_name().unwrap().to_str().unwrap().to_owned();
    fs_err::copy(&path, stack.path(&file)).unwrap();
    let mut manifest = stack.manifest();
    let spec = &mut manifest["spec"];
    spec["models"]["assistant"]["source"] = json!(format!("file:./{file}"));
    spec["models"]["assistant"]["files"] = pins;
    spec["services"]["engine"]["image"] = json!({ "name": image.0, "id": id });
    spec["services"]["engine"]["context"] = json!(4096);
    spec["services"]["engine"]["resources"] = json!({ "memory": "2GiB", "pids": 200 });
    stack.write(&manifest);

    // The preparer's side.
    stack.sovai(&["pull", MANIFEST]).expect(0);
    stack.sovai(&["keys", "generate", "--out", "signer"]).expect(0);
    let create =
        ["bundle", "create", MANIFEST, "--key", "signer", "--out", "disks", "--volume-size", "64MiB"];
    stack.sovai(&create).expect(0);
    let mut volumes: Vec<_> =
        fs_err::read_dir(stack.path("disks")).unwrap().map(|entry| entry.unwrap().path()).collect();
    volumes.sort();
    assert!(volumes.len() >= 3, "{volumes:?}");
    // Nothing of it is left on this side but the disks and the signer's public key.
    for name in [&file, MANIFEST, "signer"] {
        fs_err::remove_file(stack.path(name)).unwrap();
    }
    fs_err::rename(stack.path("store"), stack.path("gone")).unwrap();
    docker(&["image", "rm", &image.0]);
    assert_ne!(try_docker(&["image", "inspect", &id]).code, Some(0), "the engine has lost it");

    let program = volumes[0].join("sovai");
    let ran = operator(&stack, &program, &["bundle", "import", "disks"]).expect(5);
    assert!(ran.stderr.contains("trust add"), "{ran}");
    assert!(!stack.path("other/blobs").exists(), "a refused import leaves nothing");
    operator(&stack, &program, &["trust", "add", "signer.pub", "--role", "bundle"]).expect(0);
    for (at, volume) in volumes.iter().enumerate().rev() {
        let code = if at == 0 { 0 } else { 7 };
        operator(&stack, &program, &["bundle", "import", volume.to_str().unwrap()]).expect(code);
    }
    let ran = operator(&stack, &program, &["-o", "json", "bundle", "import", "disks"]).expect(0);
    let result = ran.json();
    assert_eq!(result["unchanged"], true, "{ran}");
    let manifest = result["manifest"].as_str().unwrap().to_owned();
    operator(&stack, &program, &["store", "verify"]).expect(0);
    let ran = operator(&stack, &program, &["deploy", &manifest]).expect(0);
    assert!(ran.stdout.contains("Kuala Lumpur"), "{ran}");
    say(&format!("time: deploy of the real stack from a bundle: {:?}", ran.took));
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &image.0]), id, "the ID did not change");
    operator(&stack, &program, &["evidence", "export", "--out", "evidence"]).expect(0);
    operator(&stack, &program, &["evidence", "verify", "evidence"]).expect(0);
    operator(&stack, &program, &["down", &stack.name]).expect(0);
    stack.gone();
    assert_eq!(fs_err::read_dir(stack.path("empty")).unwrap().count(), 0, "nothing was written to the home");
}
