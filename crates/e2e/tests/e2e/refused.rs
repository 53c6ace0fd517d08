//! Deploys that are refused before anything is made.

use crate::docker::docker;
use crate::setup::beside;
use crate::stack::{MANIFEST, Stack, free_port};
use serde_json::json;
use std::net::TcpListener;

#[test]
fn an_image_that_is_not_there_is_6_and_never_pulled() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let mut manifest = stack.manifest();
    let id = format!("sha256:{}", "ab".repeat(32));
    manifest["spec"]["services"]["engine"]["image"] = json!({ "name": "nobody.invalid/engine:1", "id": id });
    stack.write(&manifest).deploy().expect(6).says(&["nobody.invalid/engine:1", &id, "deploy never pulls"]);
    stack.gone();
    // Nothing was verified for it either: the store holds no weights.
    assert!(!stack.store().join("blobs/sha256").join(crate::stack::sha256(&crate::stack::model())).exists());
}

#[test]
fn a_name_that_stands_for_another_image_than_the_pin_is_6() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let mut manifest = stack.manifest();
    let id = format!("sha256:{}", "cd".repeat(32));
    let (name, found) = &setup.shared.stub_image;
    manifest["spec"]["services"]["engine"]["image"] = json!({ "name": name, "id": id });
    stack.write(&manifest).deploy().expect(6).says(&[name, &id, found, "sovai lock"]);
    stack.gone();
}

#[test]
fn what_is_pinned_nowhere_is_5_until_it_is_locked() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let mut manifest = stack.manifest();
    manifest["spec"]["models"]["assistant"].as_object_mut().unwrap().remove("files");
    manifest["spec"]["services"]["engine"]["image"] = json!(setup.shared.stub_image.0);
    stack.write(&manifest).deploy().expect(5).says(&["assistant", &setup.shared.stub_image.0, "sovai lock"]);
    stack.gone();
    stack.sovai(&["lock", MANIFEST]).expect(0);
    stack.deploy().expect(0);
    stack.answers();
    stack.sovai(&["lock", "--check", MANIFEST]).expect(0);
}

#[test]
fn a_port_that_another_program_has_is_7() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let listener = TcpListener::bind(("127.0.0.1", stack.port)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    stack.write(&stack.manifest()).deploy().expect(7).says(&[&address, "gateway.listen"]);
    stack.gone();
    drop(listener);
    stack.deploy().expect(0);
    stack.answers();
}

#[test]
fn a_port_that_another_container_has_is_7() {
    let Some(setup) = beside() else { return };
    let (first, second) = (Stack::new(&setup), Stack::new(&setup));
    first.up(&first.manifest());
    let mut manifest = second.manifest();
    manifest["spec"]["gateway"]["listen"] = json!(format!("127.0.0.1:{}", first.port));
    second.write(&manifest).deploy().expect(7).says(&[&format!("127.0.0.1:{}", first.port)]);
    second.gone();
    first.whole();
    first.answers();
}

#[test]
fn an_engine_that_is_down_is_6() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let socket = stack.path("nobody.sock");
    let host = format!("unix://{}", socket.display());
    stack.write(&stack.manifest());
    for args in
        [&["deploy", MANIFEST][..], &["plan", MANIFEST], &["status"], &["down", "any"], &["logs", "any"]]
    {
        let ran = crate::process::run(stack.command(args).env("DOCKER_HOST", &host));
        ran.expect(6).says(&[&socket.display().to_string()]);
    }
    stack.sovai(&["--host", &host, "deploy", MANIFEST]).expect(6);
    // A socket file on which nobody listens.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    stack.sovai(&["--host", &host, "deploy", MANIFEST]).expect(6).says(&[&socket.display().to_string()]);
    stack.gone();
}

#[test]
fn an_invalid_manifest_is_3_with_line_and_caret() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let mut manifest = stack.manifest();
    manifest["spec"]["gateway"]["lisen"] = json!("127.0.0.1:1");
    stack.write(&manifest).deploy().expect(3).says(&["stack.yaml:", "lisen", "listen", "^"]);
    // No TLS on an address that others reach.
    let mut manifest = stack.manifest();
    manifest["spec"]["gateway"]["listen"] = json!(format!("0.0.0.0:{}", free_port()));
    stack.write(&manifest).deploy().expect(3).says(&["0.0.0.0", "tls"]);
    stack.gone();
    assert!(!stack.store().exists(), "a manifest that is refused makes no store");
    fs_err::remove_file(stack.path(MANIFEST)).unwrap();
    stack.deploy().expect(2).says(&[MANIFEST]);
}

#[test]
fn more_memory_than_the_host_has_is_7() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let mut manifest = stack.manifest();
    manifest["spec"]["services"]["engine"]["resources"]["memory"] = json!("900TiB");
    stack.write(&manifest).deploy().expect(7).says(&["engine", "memory"]);
    stack.gone();
}

#[test]
fn plan_changes_nothing_and_says_what_deploy_would_do() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest());
    let moment = crate::events::now();
    let plan = stack.sovai(&["plan", MANIFEST]).expect(0).stdout;
    for text in ["create", "engine", "gateway", &stack.name] {
        assert!(plan.contains(text), "`{text}` is not in\n{plan}");
    }
    assert_eq!(crate::events::since(&moment, &stack.name), Vec::<String>::new());
    stack.gone();
    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("name={}", stack.name)]), "");
}
