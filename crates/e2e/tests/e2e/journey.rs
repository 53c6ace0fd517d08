//! The whole way of a model: a hub, the lock, the store, an engine, a registry, another store, an engine again.

use crate::process::{Ran, run};
use crate::setup::{Setup, alone, say};
use crate::stack::{MANIFEST, Stack};
use serde_json::json;
use sovai_test_hub::{Content, Hub, Registry, Repo};
use std::path::Path;

const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// A manifest of the real model at a hub, in the real engine, none of them pinned.
fn manifest(setup: &Setup, stack: &Stack) {
    let mut manifest = stack.manifest();
    let spec = &mut manifest["spec"];
    spec["models"]["assistant"] = json!({
        "source": "hf:acme/smollm2@main", "license": "Apache-2.0", "include": ["*.gguf"],
    });
    spec["services"]["engine"]["image"] = json!(setup.shared.engine_image.0);
    spec["services"]["engine"]["context"] = json!(4096);
    spec["services"]["engine"]["resources"] = json!({ "memory": "2GiB", "pids": 200 });
    stack.write(&manifest);
}

#[track_caller]
fn sovai(stack: &Stack, store: &Path, hub: &str, args: &[&str]) -> Ran {
    run(stack.command(args).env("HF_ENDPOINT", hub).env("SOVAI_STORE", store))
}

#[test]
fn from_the_hub_into_an_engine_and_through_a_registry_into_another_store() {
    let Some(setup) = alone() else { return };
    let (stack, hub) = (Stack::new(&setup), Hub::start());
    let weights = Content::file(setup.shared.weights.join(FILE)).unwrap();
    hub.add(
        Repo::new("acme/smollm2", "a".repeat(40)).refs(["main"]).lfs(FILE, weights).file("README.md", "x"),
    );
    manifest(&setup, &stack);
    let registry = Registry::start();
    let first = stack.store();

    sovai(&stack, &first, &hub.url(), &["lock", MANIFEST]).expect(0);
    // Deploy never downloads.
    let ran = sovai(&stack, &first, &hub.url(), &["deploy", MANIFEST]).expect(6);
    assert!(ran.stderr.contains("sovai pull"), "{ran}");
    let ran = sovai(&stack, &first, &hub.url(), &["pull", MANIFEST]).expect(0);
    say(&format!("time: pull of 94 MiB from a hub on loopback, and the engine's image: {:?}", ran.took));
    hub.forget();
    let ran = sovai(&stack, &first, &hub.url(), &["deploy", MANIFEST]).expect(0);
    assert!(ran.stdout.contains("Kuala Lumpur"), "{ran}");
    assert!(ran.stdout.contains("trust level hub-pinned"), "{ran}");
    assert!(hub.requests().is_empty(), "deploy never downloads");

    let to = format!("oci://{}/ai/stack", registry.host());
    let ran = sovai(&stack, &first, &hub.url(), &["push", MANIFEST, &to]).expect(0);
    say(&format!("time: push of both: {:?}", ran.took));
    sovai(&stack, &first, &hub.url(), &["down", &stack.name]).expect(0);
    stack.gone();

    // Another site: manifest and lock, the registry, no hub.
    let second = stack.path("second");
    let ran = sovai(&stack, &second, "http://127.0.0.1:1", &["pull", MANIFEST, "--from", &to]).expect(0);
    say(&format!("time: pull of both from the registry: {:?}", ran.took));
    drop(registry);
    let ran = sovai(&stack, &second, "http://127.0.0.1:1", &["deploy", MANIFEST]).expect(0);
    assert!(ran.stdout.contains("Kuala Lumpur"), "{ran}");
    sovai(&stack, &second, "http://127.0.0.1:1", &["down", &stack.name]).expect(0);
    stack.gone();
}
