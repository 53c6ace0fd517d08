//! sovai itself in namespaces of its own: without any network, and where the engine sees another store.

use crate::process::run;
use crate::setup::beside;
use crate::stack::{MANIFEST, Stack};
use std::net::TcpListener;
use std::process::Command;

/// A shell of the stack's surroundings in new namespaces. Needs root, as `unshare` does.
fn unshare(stack: &Stack, options: &[&str], script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(options).args(["--", "sh", "-ec", script, "sh"]).arg(&stack.shared.sovai);
    stack.surround(&mut command);
    command
}

#[test]
fn deploy_works_without_any_network_but_the_engine_s_socket() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest());
    // The loopback interface of a new network namespace is down, so that not even 127.0.0.1 is there.
    let script = "! ip route get 198.51.100.1 2>/dev/null; exec \"$1\" deploy stack.yaml";
    let ran = run(&mut unshare(&stack, &["--net"], script)).expect(0);
    assert!(ran.stdout.contains("assistant answered: stub: assistant"), "{ran}");
    stack.whole();
    stack.answers();
    for args in ["status", "logs", "plan", "down"] {
        let target = if args == "plan" { MANIFEST } else { &stack.name };
        run(&mut unshare(&stack, &["--net"], &format!("exec \"$1\" {args} {target}"))).expect(0);
    }
    stack.gone();
}

#[test]
fn a_taken_port_that_only_the_engine_sees_is_7_and_all_is_gone() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest());
    let listener = TcpListener::bind(("127.0.0.1", stack.port)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // From another network namespace the port looks free: it is the engine that refuses.
    let ran =
        run(&mut unshare(&stack, &["--net"], "ip link set lo up; exec \"$1\" deploy stack.yaml")).expect(7);
    ran.says(&[&address, "nothing of this deploy is left"]);
    stack.gone();
    drop(listener);
    stack.deploy().expect(0);
    stack.answers();
}

#[test]
fn a_store_that_the_engine_does_not_see_is_6_and_all_is_gone() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest());
    // The engine, outside, sees no store folder at all.
    fs_err::create_dir(stack.path("private")).unwrap();
    let script = "mount -t tmpfs none private; export SOVAI_STORE=\"$PWD/private/store\"; exec \"$1\" deploy stack.yaml";
    let ran = run(&mut unshare(&stack, &["--mount"], script)).expect(6);
    ran.says(&[stack.path("private/store").to_str().unwrap(), "does not see the store"]);
    stack.gone();
}

#[test]
fn a_store_in_whose_place_the_engine_sees_another_one_is_6() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    // The engine sees a store at the same path, with the same stack in it: that of an earlier deploy.
    stack.up(&stack.manifest());
    stack.sovai(&["down", &stack.name]).expect(0);
    let nonce = stack.store().join("stacks").join(&stack.name).join("nonce");
    fs_err::write(nonce, "left by somebody").unwrap();
    let script = "mount -t tmpfs none store; exec \"$1\" deploy stack.yaml";
    let ran = run(&mut unshare(&stack, &["--mount"], script)).expect(6);
    ran.says(&[stack.store().to_str().unwrap(), "does not see the store"]);
    stack.gone();
}
