//! A pull that is killed at any moment, on a slow line.

use crate::process::run;
use crate::setup::{say, soak};
use sovai_test_hub::{Content, Fault, Hub, Repo};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const MIB: u64 = 1 << 20;
const COMMIT: &str = "cccccccccccccccccccccccccccccccccccccccc";
/// Bytes a second of each connection.
const RATE: u64 = 4 * MIB;

fn sovai(program: &Path, folder: &Path, hub: &Hub, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("HF_ENDPOINT", hub.url())
        .current_dir(folder)
        .arg("--store")
        .arg(folder.join("store"))
        .args(args);
    command
}

#[test]
fn soak_a_pull_killed_again_and_again_fetches_little_twice() {
    let Some(program) = std::env::var_os("SOVAI_BIN").filter(|value| !value.is_empty()) else {
        say("SKIPPED: SOVAI_BIN is not set; scripts/test.sh sets it: a pull that is killed");
        return;
    };
    let program: PathBuf = fs_err::canonicalize(PathBuf::from(program)).unwrap();
    let (kills, sizes) =
        if soak() { (50, [300 * MIB, 96 * MIB, 4 * MIB]) } else { (5, [64 * MIB, 24 * MIB, MIB]) };
    let size: u64 = sizes.iter().sum();
    let hub = Hub::start();
    let mut repo = Repo::new("acme/slow", COMMIT).refs(["main"]);
    for (at, size) in sizes.into_iter().enumerate() {
        repo = repo.lfs(format!("part-{at}.safetensors"), Content::pattern(at as u64, size));
    }
    hub.add(repo);
    let dir = tempfile::tempdir().unwrap();
    let manifest = format!(
        "apiVersion: sovai/v1
kind: Stack
metadata: {{ name: soak }}
spec:
  models:
    slow:
      source: hf:acme/slow@{COMMIT}
  services:
    engine:
      engine: llama.cpp
      image: example/engine:1@sha256:{}
      model: slow
",
        "0".repeat(64)
    );
    fs_err::write(dir.path().join("stack.yaml"), manifest).unwrap();
    run(&mut sovai(&program, dir.path(), &hub, &["lock", "stack.yaml"])).expect(0);
    hub.forget();
    hub.fault("**/part-*", Fault::Throttle(RATE));
    let args = ["pull", "stack.yaml", "--model", "slow", "-q"];
    // Moments by a fixed rule, spread over the first 0.4 s of what a run does.
    let mut moment = 12_345_u64;
    for _ in 0..kills {
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut command = sovai(&program, dir.path(), &hub, &args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis((moment >> 33) % 400));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let killed = hub.bytes_sent();
    hub.clear_faults();
    run(&mut sovai(&program, dir.path(), &hub, &args)).expect(0);
    run(&mut sovai(&program, dir.path(), &hub, &["store", "verify"])).expect(0);
    let sent = hub.bytes_sent();
    assert!(sent >= size && killed > 0, "{sent} bytes were sent, {killed} of them before the last run");
    assert!(sent * 10 < size * 11, "{sent} bytes were sent for {size}");
    // Trees are read-only.
    run(Command::new("chmod").args(["-R", "u+w"]).arg(dir.path())).expect(0);
    say(&format!(
        "soak: a pull of {} MiB is killed: {kills} rounds, {} % of its size was sent, {} MiB of it before the last run",
        size / MIB,
        (sent * 100).div_ceil(size),
        killed / MIB
    ));
}
