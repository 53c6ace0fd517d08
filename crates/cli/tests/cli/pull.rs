//! `pull` and what reads the store's copy afterwards, with the hub of the tests.

use crate::env::{Ran, TestEnv};
use crate::lock_remote::{WEIGHTS, repo, stack};
use sovai_test_hub::{Content, Fault, Hub};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

fn ready(hub: &Hub) -> TestEnv {
    let env = TestEnv::new();
    hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
    let ran = env.at(hub, "lock stack.yaml");
    assert_eq!(ran.code, 0, "{ran}");
    env
}

/// Pulls the model alone: the stack's image is nowhere.
fn pull(env: &TestEnv, hub: &Hub, more: &str) -> Ran {
    env.at(hub, &format!("pull stack.yaml --model assistant {more}"))
}

#[test]
fn what_is_pulled_is_verified_planned_and_never_fetched_twice() {
    let hub = Hub::start();
    let env = ready(&hub);
    for command in ["verify", "push"] {
        let to = if command == "push" { " oci://127.0.0.1:1/a" } else { "" };
        let ran = env.at(&hub, &format!("{command} stack.yaml{to}"));
        assert_eq!(ran.code, 6, "{ran}");
        assert!(ran.stderr.contains("sovai pull stack.yaml"), "{ran}");
    }
    assert_eq!(env.run("--offline pull stack.yaml --model assistant").code, 6);
    assert_eq!(env.at(&hub, "pull stack.yaml --model asistant").code, 2);

    let value = env.json_at(&hub, "pull stack.yaml --model assistant --passport passports");
    assert_eq!((&value["exitCode"], &value["kind"]), (&0.into(), &"PullResult".into()));
    assert_eq!(value["fetched"], 41);
    assert_eq!(value["models"][0]["files"][2]["path"], "model.gguf");
    assert_eq!(value["models"][0]["files"][2]["from"][0], "hf:acme/tiny@main");
    assert!(env.path("passports/assistant.passport.json").is_file());

    hub.forget();
    let value = env.json_at(&hub, "pull stack.yaml --model assistant");
    assert_eq!((&value["exitCode"], &value["fetched"]), (&0.into(), &0.into()));
    assert!(hub.requests().is_empty(), "what is there is not asked for");
    assert_eq!(env.run("--offline pull stack.yaml --model assistant").code, 0);

    let value = env.json_at(&hub, "--offline verify stack.yaml");
    assert_eq!(value["models"][0]["trust"], "hub-pinned", "{value}");
    assert_eq!(value["models"][0]["findings"], 0, "{value}");
}

#[test]
fn a_second_hub_that_shows_the_same_digests_corroborates() {
    let hub = Hub::start();
    let env = ready(&hub);
    assert_eq!(pull(&env, &hub, "").code, 0);
    let lock = env.read("stack.lock.yaml");
    let field = |line: &str| line.split('"').nth(1).unwrap().to_owned();
    let files: Vec<String> = lock.lines().filter(|line| line.contains("- path:")).map(field).collect();
    let digests: Vec<String> = lock.lines().filter(|line| line.contains("sha256:")).map(field).collect();
    let sums: Vec<String> = files
        .iter()
        .zip(&digests)
        .skip(1)
        .map(|(path, digest)| {
            format!(
                "{digest}  {path}
"
            )
        })
        .collect();
    env.write("SHA256SUMS", sums.concat());
    assert_eq!(env.run("trust witness SHA256SUMS --at modelscope:acme/tiny@master").code, 0);
    let value = env.json("verify stack.yaml");
    assert_eq!(value["models"][0]["trust"], "corroborated", "{value}");
}

#[test]
fn the_lock_says_what_a_hub_listed_and_nothing_else_does() {
    let hub = Hub::start();
    let env = ready(&hub);
    assert_eq!(pull(&env, &hub, "").code, 0);
    let level = |env: &TestEnv| env.json("verify stack.yaml")["models"][0]["trust"].clone();
    // Another store, in which no evidence lies: the lock alone speaks.
    fs_err::remove_dir_all(env.root().join("store/evidence")).unwrap();
    assert_eq!(level(&env), "hub-pinned");
    // A branch is no commit.
    let lock = env.read("stack.lock.yaml");
    env.write("stack.lock.yaml", lock.replace(&"a".repeat(40), "main"));
    assert_eq!(level(&env), "digest");
}

#[test]
fn wrong_bytes_are_exit_4_and_nothing_of_them_stays() {
    let hub = Hub::start();
    let env = ready(&hub);
    // The hub serves another file under the commit that is locked.
    hub.add(repo('a', b"GGUF other bytes, so man".to_vec()).refs(["main"]));
    let value = env.json_at(&hub, "pull stack.yaml --model assistant");
    assert_eq!(value["exitCode"], 4, "{value}");
    assert!(value["error"]["hints"][0].is_string(), "{value}");
    assert_eq!(value["findings"][0]["type"], "source-mismatch", "{value}");
    assert_eq!(value["findings"][0]["path"], "assistant/model.gguf", "{value}");
    let weights = env.root().join("store/blobs/sha256").join(crate::env::WEIGHTS_SHA256);
    assert!(!weights.exists());
    assert_eq!(env.run("verify stack.yaml").code, 6);
    // A mirror that has them is believed by digest.
    env.write("mirror/model.gguf", WEIGHTS).write("mirror/config.json", "{}");
    env.write("mirror/LICENSE", "Apache License\n");
    env.write("stack.yaml", stack("hf:acme/tiny@main", "\n      mirrors: [file:./mirror]"));
    let ran = pull(&env, &hub, "");
    assert_eq!(ran.code, 0, "{ran}");
}

fn start(env: &TestEnv, hub: &Hub, args: &[&str]) -> Child {
    let mut command = env.process(env!("CARGO_BIN_EXE_sovai"), args);
    command.env("HF_ENDPOINT", hub.url()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until the hub has sent so many bytes.
fn sent(hub: &Hub, bytes: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while hub.bytes_sent() < bytes {
        assert!(Instant::now() < deadline, "the hub sent {} of {bytes} bytes", hub.bytes_sent());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_pull_that_is_killed_or_interrupted_goes_on_where_it_was() {
    let hub = Hub::start();
    let env = TestEnv::new();
    let size = 32 << 20;
    hub.add(repo('a', Content::pattern(7, size)).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);
    hub.fault("**", Fault::Throttle(24 << 20));
    let before = hub.bytes_sent();
    let args = ["pull", "stack.yaml", "--model", "assistant"];
    for round in 1..=3_u64 {
        let mut child = start(&env, &hub, &args);
        sent(&hub, before + round * (8 << 20));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let child = start(&env, &hub, &args);
    sent(&hub, hub.bytes_sent() + (1 << 20));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    let mut child = child;
    assert_eq!(child.wait().unwrap().code(), Some(130));
    hub.clear_faults();
    let ran = pull(&env, &hub, "");
    assert_eq!(ran.code, 0, "{ran}");
    let all = hub.bytes_sent() - before;
    // What was on its way into a socket of a process that was killed is lost: some hundred kB a connection.
    assert!(all < size + (size / 3), "{all} bytes were sent for {size}");
    assert_eq!(env.run("store verify").code, 0);
}

#[test]
fn a_blob_that_was_damaged_is_fetched_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let hub = Hub::start();
    let env = ready(&hub);
    assert_eq!(pull(&env, &hub, "").code, 0);
    let blob = env.root().join("store/blobs/sha256").join(crate::env::WEIGHTS_SHA256);
    let mut bytes = fs_err::read(&blob).unwrap();
    bytes[7] ^= 1;
    fs_err::set_permissions(&blob, std::fs::Permissions::from_mode(0o644)).unwrap();
    fs_err::write(&blob, &bytes).unwrap();
    let ran = pull(&env, &hub, "");
    assert_eq!(ran.code, 0, "{ran}");
    assert_eq!(fs_err::read(&blob).unwrap(), WEIGHTS);
    assert_eq!(env.run("store verify").code, 0);
}
