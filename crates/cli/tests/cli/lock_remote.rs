//! `lock` with sources that are not on this host: a model hub of the tests.

use crate::env::{IMAGE_PIN, Ran, TestEnv};
use sovai_test_hub::{Content, Fault, Hub, Repo};

pub(crate) const WEIGHTS: &[u8] = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A stack with one model at a hub.
pub(crate) fn stack(source: &str, more: &str) -> String {
    format!(
        "apiVersion: sovai/v1
kind: Stack
metadata: {{ name: demo }}
spec:
  models:
    assistant:
      source: {source}{more}
  services:
    engine:
      engine: llama.cpp
      image: example/engine:1{IMAGE_PIN}
      model: assistant
"
    )
}

/// A repository with weights, a configuration and a licence.
pub(crate) fn repo(commit: char, weights: impl Into<Content>) -> Repo {
    Repo::new("acme/tiny", commit.to_string().repeat(40))
        .license("apache-2.0")
        .file("config.json", "{}")
        .file("LICENSE", "Apache License\n")
        .lfs("model.gguf", weights)
}

impl TestEnv {
    /// Runs a command line with the hub of the tests as Hugging Face and `ModelScope`.
    pub(crate) fn at(&self, hub: &Hub, line: &str) -> Ran {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let mut command = self.command(&words);
        command.env("HF_ENDPOINT", hub.url()).env("MODELSCOPE_ENDPOINT", hub.url());
        self.finish(&mut command)
    }

    /// The same with `-o json`; its object.
    pub(crate) fn json_at(&self, hub: &Hub, line: &str) -> serde_json::Value {
        let ran = self.at(hub, &format!("-o json {line}"));
        let value: serde_json::Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{line}: {error}: {ran}"));
        assert_eq!(value["exitCode"], ran.code, "{line}");
        value
    }
}

#[test]
fn a_hub_is_asked_for_digests_and_the_lock_is_the_same_twice() {
    let (env, hub) = (TestEnv::new(), Hub::start());
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main", "v1"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
    insta::assert_snapshot!(env.at(&hub, "lock stack.yaml"));
    insta::assert_snapshot!(env.read("stack.lock.yaml"));
    let first = env.read("stack.lock.yaml");
    assert!(!hub.requests().iter().any(|seen| seen.path.contains("resolve") && seen.path.contains("gguf")));
    fs_err::remove_file(env.path("stack.lock.yaml")).unwrap();
    assert_eq!(env.at(&hub, "lock -j 1 stack.yaml").code, 0);
    assert_eq!(env.read("stack.lock.yaml"), first, "byte for byte");
    assert!(env.at(&hub, "lock stack.yaml").stdout.contains("unchanged: "));
    assert_eq!(env.at(&hub, "lock --check stack.yaml").code, 0);

    // What was looked up, and when, is in the evidence log; and that the hub listed it makes the model hub-pinned.
    let log = fs_err::read_to_string(env.root().join("store/evidence/log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 6, "three runs, each with what it did and what the hub listed");
    assert!(
        !env.root().join("store/blobs/sha256").exists()
            || env.everything_below("store/blobs/sha256").is_empty()
    );
}

#[test]
fn patterns_choose_and_pins_of_the_manifest_are_compared() {
    let (env, hub) = (TestEnv::new(), Hub::start());
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]));
    env.write(
        "stack.yaml",
        stack("hf:acme/tiny", "\n      include: ['*.gguf', LICENSE]\n      exclude: ['LIC*']"),
    );
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);
    let lock = env.read("stack.lock.yaml");
    assert!(
        lock.contains("model.gguf") && !lock.contains("config.json") && !lock.contains("\"LICENSE\""),
        "{lock}"
    );

    let pinned = |digest: &str| {
        format!("\n      files:\n        - {{ path: model.gguf, size: 24, sha256: {digest} }}")
    };
    env.write("pinned.yaml", stack("hf:acme/tiny", &pinned(crate::env::WEIGHTS_SHA256)));
    let ran = env.at(&hub, "lock pinned.yaml");
    assert_eq!(ran.code, 0, "{ran}");
    assert!(!env.read("pinned.lock.yaml").contains("config.json"));
    env.write("wrong.yaml", stack("hf:acme/tiny", &pinned(&"a".repeat(64))));
    let value = env.json_at(&hub, "lock wrong.yaml");
    assert_eq!((&value["exitCode"], &value["findings"][0]["path"]), (&4.into(), &"model.gguf".into()));
    assert!(!env.path("wrong.lock.yaml").exists());
}

#[test]
fn what_moved_is_10_and_what_changed_under_its_revision_is_4() {
    let (env, hub) = (TestEnv::new(), Hub::start());
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);
    let before = env.read("stack.lock.yaml");

    hub.add(repo('b', b"GGUF something newer".to_vec()));
    hub.set_ref("acme/tiny", "main", &"b".repeat(40));
    let value = env.json_at(&hub, "lock --check stack.yaml");
    assert_eq!((&value["exitCode"], &value["state"]), (&10.into(), &"changed".into()));
    assert_eq!(value["findings"][0]["type"], "moved");
    assert_eq!(value["findings"][0]["found"], "b".repeat(40));
    assert_eq!(env.read("stack.lock.yaml"), before);

    // The very commit that is locked has another file now.
    hub.add(repo('a', b"GGUF something else!".to_vec()));
    let value = env.json_at(&hub, "lock --check stack.yaml");
    assert_eq!((&value["exitCode"], &value["state"]), (&4.into(), &"contradicted".into()));
    let contradicted = value["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["type"] == "contradicted")
        .unwrap();
    assert_eq!(contradicted["path"], "model.gguf");
    assert!(contradicted["expected"].as_str().unwrap().contains(crate::env::WEIGHTS_SHA256));
    let ran = env.at(&hub, "lock stack.yaml");
    assert_eq!(ran.code, 4, "{ran}");
    assert!(ran.stdout.contains("the lock was not written"), "{ran}");
    assert_eq!(env.read("stack.lock.yaml"), before);
    fs_err::remove_file(env.path("stack.lock.yaml")).unwrap();
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 0, "who removed it knows");
}

#[test]
fn two_licences_are_said_and_the_lock_has_the_sources() {
    let (env, hub) = (TestEnv::new(), Hub::start());
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny", "\n      license: MIT"));
    let ran = env.at(&hub, "lock stack.yaml");
    assert!(ran.stderr.contains("the manifest says licence MIT, its source apache-2.0"), "{ran}");
    assert!(env.read("stack.lock.yaml").contains("license: \"apache-2.0\""));
    env.write("same.yaml", stack("hf:acme/tiny", "\n      license: Apache-2.0"));
    assert!(!env.at(&hub, "lock same.yaml").stderr.contains("licence"));
}

#[test]
fn what_a_hub_refuses_is_exit_6_with_the_next_step() {
    let (env, hub) = (TestEnv::new(), Hub::start());
    env.write("stack.yaml", stack("hf:acme/tiny", ""));
    let ran = env.run("--offline lock stack.yaml");
    insta::assert_snapshot!(ran);
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 6, "it is not there");
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]).gated("hf_right"));
    let ran = env.at(&hub, "lock stack.yaml");
    assert_eq!(ran.code, 6, "{ran}");
    assert!(ran.stderr.contains("hint: ") && ran.stderr.contains("HF_TOKEN"), "{ran}");
    let mut command = env.command(&["lock", "stack.yaml"]);
    command.env("HF_ENDPOINT", hub.url()).env("HF_TOKEN", "hf_right");
    let ran = env.finish(&mut command);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(!format!("{ran}{}", env.read("stack.lock.yaml")).contains("hf_right"));
    assert!(!hub.cdn_saw_authorization());
    hub.fault("**", Fault::status(404));
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 6);
    assert!(!env.path("stack.yaml.lock").exists());
}

#[test]
fn an_image_without_a_registry_needs_a_setting() {
    let env = TestEnv::new();
    let text = stack("hf:acme/tiny", "").replace(IMAGE_PIN, "").replace(
        "      image: example/engine:1",
        "      image: { name: example/engine:1, source: registry }",
    );
    let text = text.replace("hf:acme/tiny", "file:./weights/m.gguf");
    env.write("weights/m.gguf", crate::env::WEIGHTS).write("stack.yaml", text);
    let ran = env.run("lock stack.yaml");
    insta::assert_snapshot!(ran);
    assert_eq!(env.run("lock stack.yaml --registry https://registry.example").code, 2);
    assert_eq!(env.run("lock stack.yaml -j 0").code, 2);
}
