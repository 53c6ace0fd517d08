use crate::engine::FakeEngine;
use crate::env::{FILES, IMAGE_PIN, TestEnv, WEIGHTS, manifest};
use std::os::unix::fs::MetadataExt as _;

#[test]
fn a_lock_is_written_once_and_then_unchanged() {
    let env = TestEnv::new();
    env.pinned();
    insta::assert_snapshot!(env.run("lock stack.yaml"), @"");
    insta::assert_snapshot!(env.read("stack.lock.yaml"), @"");
    let inode = |env: &TestEnv| fs_err::metadata(env.path("stack.lock.yaml")).unwrap().ino();
    let before = inode(&env);
    insta::assert_snapshot!(env.run("lock stack.yaml"), @"");
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
    insta::assert_snapshot!(env.run(&line), @"");
    insta::assert_snapshot!(env.read("stack.lock.yaml"), @"");
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
    insta::assert_snapshot!(env.run(&check), @"");

    let before = env.read("stack.lock.yaml");
    env.write("weights/m.gguf", "GGUF weightz\n");
    engine.image("example/engine:1", 'c');
    insta::assert_snapshot!(env.run(&check), @"");
    let value = env.json(&check);
    assert_eq!(value["kind"], "LockResult");
    assert_eq!(value["state"], "changed");
    assert_eq!(value["findings"][0]["type"], "changed");
    assert_eq!(env.read("stack.lock.yaml"), before);
}

#[test]
fn a_source_that_is_not_what_the_manifest_pins_is_exit_4_and_not_locked() {
    let env = TestEnv::new();
    env.pinned().write("weights/m.gguf", "GGUF weightz\n");
    insta::assert_snapshot!(env.run("lock stack.yaml"), @"");
    assert!(!env.path("stack.lock.yaml").exists());
}

#[test]
fn what_cannot_be_reached_is_exit_6_with_a_hint() {
    let env = TestEnv::new();
    env.write("weights/m.gguf", WEIGHTS).write("engine.yaml", manifest("", FILES, ""));
    insta::assert_snapshot!(env.run("lock engine.yaml"), @"");

    let engine = FakeEngine::start(env.root(), "1.41");
    insta::assert_snapshot!(env.run(&format!("--host {} lock engine.yaml", engine.host)), @"");

    let remote = manifest("", FILES, IMAGE_PIN).replace("file:./weights/m.gguf", "hf:org/model");
    env.write("remote.yaml", remote);
    insta::assert_snapshot!(env.run("lock remote.yaml"), @"");

    env.write("gone.yaml", manifest("", "", IMAGE_PIN));
    fs_err::remove_file(env.path("weights/m.gguf")).unwrap();
    insta::assert_snapshot!(env.run("lock gone.yaml"), @"");
}

#[test]
fn an_engine_that_is_too_old_is_exit_6() {
    let env = TestEnv::new();
    let engine = FakeEngine::start(env.root(), "1.24");
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", manifest("", FILES, ""));
    insta::assert_snapshot!(env.run(&format!("--host {} lock stack.yaml", engine.host)), @"");
}

#[test]
fn an_image_of_another_platform_is_exit_7() {
    let env = TestEnv::new();
    let engine = FakeEngine::start(env.root(), "1.41");
    engine.image("example/engine:1", 'b');
    let text = manifest("", FILES, "")
        .replace("image: example/engine:1", "image: { name: \"example/engine:1\", platform: linux/riscv64 }");
    env.write("weights/m.gguf", WEIGHTS).write("stack.yaml", text);
    let ran = env.run(&format!("--host {} lock stack.yaml", engine.host));
    assert_eq!(ran.code, 7, "{ran}");
    assert!(ran.stderr.contains("expected platform linux/riscv64, found linux/"), "{ran}");
}

#[test]
fn a_broken_lock_is_exit_3() {
    let env = TestEnv::new();
    env.pinned().write("stack.lock.yaml", "kind: Lock\nnonsense: true\n");
    for line in ["lock --check stack.yaml", "verify stack.yaml"] {
        let ran = env.run(line);
        assert_eq!(ran.code, 3, "{ran}");
        assert!(ran.stderr.contains("error: lock stack.lock.yaml is invalid"), "{ran}");
    }
}

#[test]
fn a_lock_is_not_taken_for_a_manifest() {
    let env = TestEnv::new();
    env.pinned().write("x.lock.yaml", manifest("", FILES, IMAGE_PIN));
    let ran = env.run("lock x.lock.yaml");
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (2, "error: x.lock.yaml is the name of a lock, not of a manifest\n")
    );
}
