use crate::engine::FakeEngine;
use crate::env::{FILES, FLIPPED, IMAGE_PIN, TestEnv, WEIGHTS, manifest};
use std::os::unix::fs::MetadataExt as _;

#[test]
fn a_lock_is_written_once_and_then_unchanged() {
    let env = TestEnv::new();
    env.pinned();
    insta::assert_snapshot!(env.run("lock stack.yaml"), @r"
    exit 0
    --- stdout
    model assistant: 1 file, 24 B
    written: stack.lock.yaml
    --- stderr
    ");
    insta::assert_snapshot!(env.read("stack.lock.yaml"), @r#"
    # Made by `sovai lock`. Do not edit.
    apiVersion: sovai/v1
    kind: Lock
    models:
      "assistant":
        license: "Apache-2.0"
        files:
          - path: "m.gguf"
            size: 24
            sha256: "a4e5e156ddec27e286f75328784d7106b60a4eb1d246e950a001a3f944fbda99"
            source: "file:./weights/m.gguf"
    "#);
    let inode = |env: &TestEnv| fs_err::metadata(env.path("stack.lock.yaml")).unwrap().ino();
    let before = inode(&env);
    insta::assert_snapshot!(env.run("lock stack.yaml"), @r"
    exit 0
    --- stdout
    model assistant: 1 file, 24 B
    unchanged: stack.lock.yaml
    --- stderr
    ");
    assert_eq!(inode(&env), before, "an unchanged lock is not written again");
    assert!(env.everything_below("store").is_empty(), "lock brings nothing into the store");
}

#[test]
fn what_the_manifest_leaves_open_is_hashed_and_looked_up() {
    let env = TestEnv::new();
    let engine = FakeEngine::start(env.root(), "1.41");
    engine.image("example/engine:1", 'b');
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", manifest("", "", ""));
    let line = format!("--host {} lock stack.yaml", engine.host);
    insta::assert_snapshot!(env.run(&line), @r"
    exit 0
    --- stdout
    model assistant: 1 file, 24 B
    image example/engine:1: sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb (linux/amd64)
    written: stack.lock.yaml
    --- stderr
    ");
    insta::assert_snapshot!(env.read("stack.lock.yaml"), @r#"
    # Made by `sovai lock`. Do not edit.
    apiVersion: sovai/v1
    kind: Lock
    models:
      "assistant":
        license: "Apache-2.0"
        files:
          - path: "m.gguf"
            size: 24
            sha256: "a4e5e156ddec27e286f75328784d7106b60a4eb1d246e950a001a3f944fbda99"
            source: "file:./weights/m.gguf"
    images:
      "example/engine:1":
        platform: "linux/amd64"
        config: "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    "#);
    let verified = env.json("verify stack.yaml");
    assert_eq!(verified["exitCode"], 0);
    assert_eq!(verified["models"][0]["trust"], "digest");
}

#[test]
fn check_says_what_moved_and_writes_nothing() {
    let env = TestEnv::new();
    let engine = FakeEngine::start(env.root(), "1.41");
    engine.image("example/engine:1", 'b');
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", manifest("", "", ""));
    let lock = format!("--host {} lock stack.yaml", engine.host);
    let check = format!("{lock} --check");
    assert_eq!(env.run(&check).code, 10, "no lock yet");
    assert!(!env.path("stack.lock.yaml").exists());
    assert_eq!(env.run(&lock).code, 0);
    insta::assert_snapshot!(env.run(&check), @r"
    exit 0
    --- stdout
    current: stack.lock.yaml
    --- stderr
    ");

    let before = env.read("stack.lock.yaml");
    env.write("weights/m.gguf", FLIPPED);
    engine.image("example/engine:1", 'c');
    insta::assert_snapshot!(env.run(&check), @r"
    exit 10
    --- stdout
    changed images.example/engine:1: expected sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, found sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc
    changed models.assistant.files.m.gguf: expected sha256:a4e5e156ddec27e286f75328784d7106b60a4eb1d246e950a001a3f944fbda99, found sha256:43de774c29670f74011b680d8a721e8f9af76e9b30f308742bf3f53ffa1454ec
    changed: 2 differences in stack.lock.yaml
    --- stderr
    ");
    let value = env.json(&check);
    assert_eq!(value["kind"], "LockResult");
    assert_eq!(value["state"], "changed");
    assert_eq!(value["findings"][0]["type"], "changed");
    assert_eq!(env.read("stack.lock.yaml"), before);

    // A new lock vouches for other bytes: it is written, and said aloud.
    let ran = env.run(&lock);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stderr.contains("warning: changed models.assistant.files.m.gguf: expected sha256:a4e5e156"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_source_that_is_not_what_the_manifest_pins_is_exit_4_and_not_locked() {
    let env = TestEnv::new();
    env.pinned().write("weights/m.gguf", FLIPPED);
    insta::assert_snapshot!(env.run("lock stack.yaml"), @r"
    exit 4
    --- stdout
    model assistant: FAILED
      wrong bytes: m.gguf
        expected  sha256:a4e5e156ddec27e286f75328784d7106b60a4eb1d246e950a001a3f944fbda99
        found     sha256:43de774c29670f74011b680d8a721e8f9af76e9b30f308742bf3f53ffa1454ec

    refused: the source is not what the manifest pins; the lock was not written
    hint: bring the pinned files again, or change `files` in the manifest
    --- stderr
    ");
    assert!(!env.path("stack.lock.yaml").exists());
}

#[test]
fn what_cannot_be_reached_is_exit_6_with_a_hint() {
    let env = TestEnv::new();
    env.write("weights/m.gguf", WEIGHTS).write("engine.yaml", manifest("", FILES, ""));
    insta::assert_snapshot!(env.run("lock engine.yaml"), @r"
    exit 6
    --- stdout
    --- stderr
    error: the container engine at unix://[ROOT]/no-engine.sock cannot be reached
      caused by: No such file or directory (os error 2)

    hint: start the container engine, or name another one with --host or DOCKER_HOST
    hint: sovai doctor
    ");

    let engine = FakeEngine::start(env.root(), "1.41");
    insta::assert_snapshot!(env.run(&format!("--host {} lock engine.yaml", engine.host)), @r"
    exit 6
    --- stdout
    --- stderr
    error: image example/engine:1 is not in the container engine at unix://[ROOT]/engine.sock

    hint: build or load it there first, or name its registry: in front of its name, or with --registry HOST
    ");

    let remote = manifest("", FILES, IMAGE_PIN).replace("file:./weights/m.gguf", "hf:org/model");
    env.write("remote.yaml", remote);
    insta::assert_snapshot!(env.run("--offline lock remote.yaml"), @r"
    exit 6
    --- stdout
    --- stderr
    error: model assistant: source hf:org/model is not on this host: this run is offline

    hint: run it without --offline (SOVAI_OFFLINE, `offline` in sovai.toml) where the source can be reached
    ");

    env.write("gone.yaml", manifest("", "", IMAGE_PIN));
    fs_err::remove_file(env.path("weights/m.gguf")).unwrap();
    insta::assert_snapshot!(env.run("lock gone.yaml"), @r"
    exit 6
    --- stdout
    --- stderr
    error: the source `./weights/m.gguf` is not there

    hint: bring the files there, or change `source` in the manifest; a relative path starts at the manifest's folder
    ");
}

#[test]
fn an_engine_that_is_too_old_is_exit_6() {
    let env = TestEnv::new();
    let engine = FakeEngine::start(env.root(), "1.24");
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", manifest("", FILES, ""));
    insta::assert_snapshot!(env.run(&format!("--host {} lock stack.yaml", engine.host)), @r"
    exit 6
    --- stdout
    --- stderr
    error: the container engine speaks API 1.24; sovai needs 1.41 or newer

    hint: upgrade the container engine
    ");
}

#[test]
fn an_image_of_another_platform_is_exit_7() {
    let env = TestEnv::new();
    let engine = FakeEngine::start(env.root(), "1.41");
    engine.image("example/engine:1", 'b');
    let other = if cfg!(target_arch = "aarch64") { "linux/amd64" } else { "linux/arm64" };
    let image = format!("image: {{ name: \"example/engine:1\", platform: {other} }}");
    let text = manifest("", FILES, "").replace("image: example/engine:1", &image);
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", text);
    let ran = env.run(&format!("--host {} lock stack.yaml", engine.host));
    assert_eq!(ran.code, 7, "{ran}");
    assert!(ran.stderr.contains(&format!("expected platform {other}, found linux/")), "{ran}");
}

#[test]
fn a_broken_lock_is_exit_3() {
    let env = TestEnv::new();
    env.pinned().write("stack.lock.yaml", "kind: Lock\nnonsense: true\n");
    for line in ["lock stack.yaml", "lock --check stack.yaml", "verify stack.yaml"] {
        let ran = env.run(line);
        assert_eq!(ran.code, 3, "{ran}");
        assert!(ran.stderr.contains("error: lock stack.lock.yaml is invalid"), "{ran}");
        assert_eq!(env.read("stack.lock.yaml"), "kind: Lock\nnonsense: true\n");
    }
}

#[test]
fn a_lock_is_not_taken_for_a_manifest() {
    let env = TestEnv::new();
    env.pinned().write("x.lock.yaml", manifest("", FILES, IMAGE_PIN));
    let ran = env.run("lock x.lock.yaml");
    assert_eq!(ran.code, 2, "{ran}");
    assert!(ran.stderr.starts_with("error: x.lock.yaml is a lock, not a manifest\n"), "{ran}");
}
