//! What to do next, in the words of each case: a hint that leads nowhere is worse than none.

use crate::env::{IMAGE_PIN, TestEnv, WEIGHTS, WEIGHTS_SHA256};
use crate::lock_remote::{repo, stack};
use sovai_test_hub::{Hub, Registry};

fn locked(hub: &Hub) -> TestEnv {
    let env = TestEnv::new();
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
    assert_eq!(env.at(hub, "lock stack.yaml").code, 0);
    env
}

#[test]
fn a_commit_that_is_gone_makes_the_lock_stale() {
    // The branch was rewritten, and its old commit thrown away: another hub that never had it.
    let (old, new) = (Hub::start(), Hub::start());
    let env = locked(&old);
    new.add(repo('b', b"GGUF something newer".to_vec()).refs(["main"]));
    let ran = env.at(&new, "pull stack.yaml --model assistant");
    assert_eq!(ran.code, 6, "{ran}");
    assert!(ran.stderr.contains(&"a".repeat(40)), "{ran}");
    assert!(
        ran.stderr.contains("the lock is stale") && ran.stderr.contains("`sovai lock MANIFEST`"),
        "{ran}"
    );
    let value = env.json_at(&new, "lock --check stack.yaml");
    assert_eq!((&value["exitCode"], &value["state"]), (&10.into(), &"changed".into()), "{value}");
    let gone = value["findings"].as_array().unwrap().iter().find(|it| it["type"] == "gone").unwrap();
    assert_eq!((&gone["model"], &gone["revision"]), (&"assistant".into(), &"a".repeat(40).into()));
    let ran = env.at(&new, "lock --check stack.yaml");
    assert!(
        ran.stdout.contains("the lock is stale") && ran.stdout.contains("sovai lock stack.yaml"),
        "{ran}"
    );
    // And that mends it; what is new is said.
    let ran = env.at(&new, "lock stack.yaml");
    assert_eq!(ran.code, 0, "{ran}");
    assert!(
        ran.stderr.contains("the lock is stale") && ran.stderr.contains("changed models.assistant"),
        "{ran}"
    );
    assert_eq!(env.at(&new, "lock --check stack.yaml").code, 0);
    // A commit that the manifest itself names.
    env.write("named.yaml", stack(&format!("hf:acme/tiny@{}", "a".repeat(40)), ""));
    let ran = env.at(&new, "lock named.yaml");
    assert!(ran.code == 6 && ran.stderr.contains("where the manifest names it, name another"), "{ran}");
}

#[test]
fn who_names_a_lock_is_told_its_manifest() {
    let hub = Hub::start();
    let env = locked(&hub);
    for command in ["pull", "lock", "verify", "plan", "push --mount-from a"] {
        let to = if command.starts_with("push") { " oci://registry.example/a" } else { "" };
        let ran = env.run(&format!("{command} stack.lock.yaml{to}"));
        assert_eq!(ran.code, 2, "{command}: {ran}");
        assert!(ran.stderr.contains("stack.lock.yaml is a lock, not a manifest"), "{command}: {ran}");
        assert!(ran.stderr.contains("hint: give its manifest: stack.yaml"), "{command}: {ran}");
    }
    // By what is in it, under another name.
    env.write("other.yaml", env.read("stack.lock.yaml"));
    let ran = env.run("pull other.yaml");
    assert_eq!(ran.code, 2, "{ran}");
    assert!(ran.stderr.contains("hint: give the manifest that it was made from"), "{ran}");
}

#[test]
fn init_says_that_an_image_needs_a_registry_and_that_the_count_comes_first() {
    let env = TestEnv::new();
    let ran = env.run("init a.yaml --model kimi-k2.6 --accelerators 8xH200");
    assert_eq!(ran.code, 0, "{ran}");
    assert!(
        ran.stdout.contains("names no registry") && ran.stdout.contains("sovai lock a.yaml --registry HOST"),
        "{ran}"
    );
    let mut command = env.command(&["init", "b.yaml", "--model", "kimi-k2.6", "--accelerators", "8xH200"]);
    let ran = env.finish(command.env("SOVAI_REGISTRY", "registry.example"));
    assert!(ran.code == 0 && !ran.stdout.contains("names no registry"), "{ran}");
    let ran = env.run("init c.yaml --model kimi-k2.6 --accelerators h200x8");
    assert_eq!(ran.code, 2, "{ran}");
    assert!(ran.stderr.contains("hint: the count comes first: 8xH200"), "{ran}");
}

#[test]
fn what_is_not_in_a_repository_is_told_with_the_push_that_brings_it() {
    let (hub, registry) = (Hub::start(), Registry::start());
    let env = locked(&hub);
    let from = format!("oci://{}/ai/none", registry.host());
    let ran = env.run(&format!("pull stack.yaml --model assistant --from {from}"));
    assert_eq!(ran.code, 6, "{ran}");
    assert!(ran.stderr.contains(&format!("model assistant is not in {from}")), "{ran}");
    assert!(ran.stderr.contains(&format!("sovai push stack.yaml {from}")), "{ran}");
    // An image, which comes after the models.
    let text = env.read("stack.yaml");
    env.write("image.yaml", text.replace("      source: hf:acme/tiny@main", "      source: file:./weights"));
    env.write("weights/model.gguf", WEIGHTS);
    let pins = format!("\n      files: [{{ path: model.gguf, size: 24, sha256: {WEIGHTS_SHA256} }}]");
    env.write("image.yaml", stack("file:./weights", &pins));
    assert!(env.read("image.yaml").contains(IMAGE_PIN));
    let ran = env.run(&format!("pull image.yaml --from {from}"));
    assert_eq!(ran.code, 6, "{ran}");
    assert!(ran.stderr.contains(&format!("image example/engine:1 is not in {from}")), "{ran}");
    assert!(ran.stderr.contains(&format!("sovai push image.yaml {from}")), "{ran}");
}

#[test]
fn the_repair_of_a_store_says_which_store_and_where_from() {
    let (hub, registry) = (Hub::start(), Registry::start());
    let (env, _) = crate::push::ready(&hub);
    assert_eq!(env.at(&hub, "pull stack.yaml").code, 0);
    let to = format!("oci://{}/ai/stack", registry.host());
    assert_eq!(env.run(&format!("push stack.yaml {to}")).code, 0);
    let damage = |store: &str| {
        let blob = env.root().join(store).join("blobs/sha256").join(WEIGHTS_SHA256);
        fs_err::remove_file(&blob).unwrap();
        fs_err::write(&blob, crate::env::FLIPPED).unwrap();
    };
    // From its own source into the usual store: neither is needed.
    damage("store");
    let ran = env.run("store verify");
    assert_eq!(ran.code, 4, "{ran}");
    assert!(ran.stdout.contains("hint: sovai pull [ROOT]/work/stack.yaml\n"), "{ran}");
    // Pulled from a repository into a store of its own.
    let root = format!("--store {}", env.root().join("other").display());
    let ran = env.run(&format!("{root} pull stack.yaml --from {to}"));
    assert_eq!(ran.code, 0, "{ran}");
    damage("other");
    let ran = env.run(&format!("{root} store verify"));
    assert_eq!(ran.code, 4, "{ran}");
    let hint = format!("hint: sovai pull [ROOT]/work/stack.yaml --from {to} --store [ROOT]/other\n");
    assert!(ran.stdout.contains(&hint), "{ran}");
    assert!(ran.stdout.contains("`sovai store verify --remove-damaged --store [ROOT]/other`"), "{ran}");
    // Who asks another time without a repository forgets none.
    assert_eq!(env.at(&hub, &format!("{root} pull stack.yaml --model assistant")).code, 0);
    damage("other");
    assert!(env.run(&format!("{root} store verify")).stdout.contains(&hint));
}
