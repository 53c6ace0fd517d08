//! Deploys that fail half-way: all that they made is gone again, and what served before serves again.

use crate::setup::beside;
use crate::stack::{MANIFEST, Stack};
use serde_json::json;

#[test]
fn a_service_that_never_gets_ready_is_8_with_its_log() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest_with(&[("STUB_MODE", "never-ready")]));
    let ran = stack.sovai(&["deploy", MANIFEST, "--timeout", "3"]).expect(8);
    let ran = ran.says(&["engine was not ready within 3 s", "Loading model", "stub: listening", "--timeout"]);
    assert!(ran.took.as_secs() < 20, "{ran}");
    stack.gone();
}

#[test]
fn a_service_that_hangs_before_it_listens_is_8() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest_with(&[("STUB_MODE", "hang")]));
    stack
        .sovai(&["deploy", MANIFEST, "--timeout", "2"])
        .expect(8)
        .says(&["engine was not ready within 2 s", "stub: hanging before the port is opened"]);
    stack.gone();
}

#[test]
fn a_process_that_dies_at_start_is_8_with_its_log_and_without_waiting() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest_with(&[("STUB_MODE", "die-at-start")]));
    let ran = stack.deploy().expect(8);
    let ran = ran.says(&["engine ended with exit code 3", "tensor 'blk.0.attn_q.weight' has wrong shape"]);
    assert!(ran.took.as_secs() < 20, "the profile's deadline was waited for: {ran}");
    stack.gone();
    let ran = stack.sovai(&["deploy", MANIFEST, "-o", "json"]).expect(8);
    assert_eq!(ran.json()["exitCode"], 8, "{ran}");
    stack.gone();
}

#[test]
fn a_process_that_dies_while_it_loads_is_8() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    // Loading takes long, and it dies in the middle of it.
    let env = [("STUB_MODE", "die-after-ready"), ("STUB_DELAY_MS", "1500"), ("STUB_DIE_MS", "0")];
    stack.write(&stack.manifest_with(&env));
    stack.deploy().expect(8).says(&["stub: fatal: out of memory"]);
    stack.gone();
}

#[test]
fn a_model_that_is_ready_but_does_not_answer_is_8() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest_with(&[("STUB_MODE", "no-answer")]));
    stack.deploy().expect(8).says(&["model `assistant` did not answer", "stub: cannot answer"]);
    stack.gone();
}

#[test]
fn an_argument_that_the_engine_refuses_is_8_with_the_engine_s_own_words() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let mut manifest = stack.manifest();
    manifest["spec"]["services"]["engine"]["args"] = json!(["--no-such-option"]);
    stack.write(&manifest).deploy().expect(8).says(&["invalid argument: --no-such-option"]);
    stack.gone();
}

#[test]
fn after_a_failed_upgrade_what_served_before_serves_again() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest_with(&[("STUB_ANSWER", "the first")]));
    let (engine, gateway) = (stack.container("engine"), stack.container("gateway"));
    for mode in ["die-at-start", "never-ready", "no-answer"] {
        let mut manifest = stack.manifest_with(&[("STUB_MODE", mode)]);
        // The gateway changes too, so that both are replaced and both come back.
        manifest["spec"]["gateway"]["routes"] = json!({ "assistant": "engine", "helper": "engine" });
        stack.write(&manifest);
        stack
            .sovai(&["deploy", MANIFEST, "--timeout", "2"])
            .expect(8)
            .says(&["what served before serves again"]);
        assert_eq!((&stack.container("engine"), &stack.container("gateway")), (&engine, &gateway), "{mode}");
        stack.whole();
        assert_eq!(stack.answers(), "the first", "{mode}");
    }
    // And nothing keeps the next, good deploy from working.
    stack.up(&stack.manifest_with(&[("STUB_ANSWER", "the second")]));
    stack.whole();
    assert_eq!(stack.answers(), "the second");
}
