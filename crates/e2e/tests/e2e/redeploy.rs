//! A deploy over what is there already.

use crate::docker::{docker, inspect};
use crate::events;
use crate::setup::{beside, say};
use crate::stack::{MODEL, Stack, model};
use serde_json::{Value, json};

/// What tells one start of a container from another.
fn started(stack: &Stack, service: &str) -> (Value, Value) {
    let container = inspect("container", &stack.container(service));
    (container["Id"].clone(), container["State"]["StartedAt"].clone())
}

fn both(stack: &Stack) -> [(Value, Value); 2] {
    ["engine", "gateway"].map(|service| started(stack, service))
}

#[test]
fn an_unchanged_deploy_only_reads() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let first = stack.up(&stack.manifest());
    let before = both(&stack);
    let moment = events::now();
    let second = stack.sovai(&["deploy", "stack.yaml", "-o", "json"]).expect(0);
    assert_eq!(
        events::since(&moment, &stack.name),
        Vec::<String>::new(),
        "the engine was asked to change something"
    );
    assert_eq!(before, both(&stack));
    let result = second.json();
    assert_eq!(
        (&result["ok"], &result["changed"], &result["generation"]),
        (&json!(true), &json!(false), &json!(1))
    );
    say(&format!("time: deploy of the test stack: first {:?}, again {:?}", first.took, second.took));
    // Events are seen at all: the same look at a deploy that changes something finds some.
    let moment = events::now();
    stack.up(&stack.manifest_with(&[("STUB_ANSWER", "another")]));
    assert!(events::since(&moment, &stack.name).iter().any(|event| event.contains("create")));
}

#[test]
fn soak_deploys_again_and_again_change_nothing() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let before = both(&stack);
    let rounds = if crate::setup::soak() { 200 } else { 3 };
    let slowest = (0..rounds).map(|_| stack.deploy().expect(0).took).max().unwrap_or_default();
    assert_eq!(before, both(&stack));
    stack.whole();
    say(&format!("soak: unchanged deploys: {rounds} rounds, nothing changed, the slowest {slowest:?}"));
}

#[test]
fn a_change_replaces_only_what_changed() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let before = both(&stack);
    let networks = stack.objects().into_iter().filter(|o| o.starts_with("network")).collect::<Vec<_>>();
    stack.up(&stack.manifest_with(&[("STUB_ANSWER", "the second engine")]));
    let after = both(&stack);
    assert_ne!(before[0].0, after[0].0, "the engine is another one");
    assert_eq!(before[1], after[1], "the gateway is the same");
    stack.whole();
    assert!(networks.iter().all(|network| stack.objects().contains(network)));
    assert_eq!(stack.answers(), "the second engine");
    // A limit of the gateway concerns the gateway alone.
    let mut manifest = stack.manifest_with(&[("STUB_ANSWER", "the second engine")]);
    manifest["spec"]["gateway"]["routes"] = json!({ "assistant": "engine", "helper": "engine" });
    stack.up(&manifest);
    assert_eq!(started(&stack, "engine"), after[0]);
    assert_ne!(started(&stack, "gateway").0, after[1].0);
    stack.whole();
    stack.answers();
}

#[test]
fn the_store_serves_when_the_source_is_gone() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let before = both(&stack);
    fs_err::remove_file(stack.path(MODEL)).unwrap();
    stack.deploy().expect(0);
    assert_eq!(before, both(&stack), "nothing was touched");
    // Also for a new container.
    stack.up(&stack.manifest_with(&[("STUB_ANSWER", "from the store")]));
    assert_eq!(stack.answers(), "from the store");
    stack.sovai(&["down", &stack.name]).expect(0);
    stack.deploy().expect(0);
    stack.answers();
}

#[test]
fn a_source_that_changed_is_refused_and_what_runs_is_untouched() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let before = both(&stack);
    let mut bytes = model();
    bytes[40_000] ^= 1;
    fs_err::write(stack.path(MODEL), bytes).unwrap();
    let moment = events::now();
    stack.deploy().expect(4).says(&[MODEL]);
    assert_eq!(events::since(&moment, &stack.name), Vec::<String>::new());
    assert_eq!(before, both(&stack));
    stack.answers();
}

#[test]
fn what_is_mounted_cannot_be_written_and_is_what_was_pinned() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let engine = stack.container("engine");
    let path = format!("/models/assistant/{MODEL}");
    let seen = docker(&["exec", &engine, "/stub", "write", "/models/assistant/x", "/x", "/tmp/x", &path]);
    let findings: Vec<Value> = seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let errors: Vec<&Value> = findings.iter().map(|finding| &finding["error"]["errno"]).collect();
    let (denied, read_only) = (json!(13), json!(30));
    assert_eq!(errors, [&read_only, &read_only, &Value::Null, &denied], "{findings:?}");
    // The bytes of the tree, not of the file that a person may still change.
    fs_err::write(stack.path(MODEL), b"something else").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    docker(&["cp", &format!("{engine}:{path}"), copy.to_str().unwrap()]);
    assert_eq!(fs_err::read(copy).unwrap(), model());
}
