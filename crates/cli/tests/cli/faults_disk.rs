//! Disks that fill up or cannot be written, in mount namespaces of their own: nothing stays mounted, whatever happens.

use crate::env::{Ran, TestEnv};
use crate::lock_remote::{repo, stack};
use sovai_test_hub::{Content, Fault, Hub};

const PULL: &str = "\"$1\" pull stack.yaml --model assistant";

/// A shell script in a mount namespace, with the store's folder there; `$1` is the program. `None` where no such namespace can
/// be made.
#[expect(clippy::print_stderr, reason = "what was not tested is said")]
fn in_mounts(env: &TestEnv, hub: &Hub, script: &str) -> Option<Ran> {
    fs_err::create_dir_all(env.root().join("store")).unwrap();
    let unshare = |script: &str| {
        let mut args = vec!["--mount"];
        if !rustix::process::geteuid().is_root() {
            args.push("--map-root-user");
        }
        let script = format!("set -e; cd ../store && cd ../work; {script}");
        args.extend(["--", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_sovai")]);
        let mut command = env.process("unshare", &args);
        command.env("HF_ENDPOINT", hub.url()).output()
    };
    if !unshare("mount -t tmpfs tmpfs ../store").is_ok_and(|output| output.status.success()) {
        eprintln!("NOT TESTED: no mount namespace can be made here");
        return None;
    }
    let output = unshare(script).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Some(Ran { code: output.status.code().unwrap_or(-1), stdout, stderr })
}

fn ready(size: u64) -> (TestEnv, Hub) {
    let (env, hub) = (TestEnv::new(), Hub::start());
    hub.add(repo('a', Content::pattern(7, size)).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);
    fs_err::remove_dir_all(env.root().join("store")).unwrap();
    hub.forget();
    (env, hub)
}

#[test]
fn a_disk_that_is_too_small_is_told_before_the_first_byte() {
    let (env, hub) = ready(24 << 20);
    let script = format!("mount -t tmpfs -o size=24m,mode=700 tmpfs ../store; {PULL}");
    let Some(ran) = in_mounts(&env, &hub, &script) else { return };
    assert_eq!(ran.code, 7, "{ran}");
    assert!(ran.stderr.contains("MiB of free space and has") && ran.stderr.contains("--store DIR"), "{ran}");
    assert_eq!(hub.bytes_sent(), 0);
}

#[test]
fn a_disk_that_fills_during_a_pull_is_7_and_what_arrived_is_kept() {
    const SIZE: u64 = 16 << 20;
    let (env, hub) = ready(SIZE);
    hub.fault("**/model.gguf", Fault::Throttle(4 << 20));
    // Somebody else takes all the room once some megabytes have come. After the failure the room is given back.
    let script = format!(
        "mount -t tmpfs -o size=64m,mode=700 tmpfs ../store
        {PULL} & pull=$!
        have=0; while [ $have -lt 4096 ]; do
            have=$(du -sk ../store/partial 2>/dev/null | cut -f1); have=${{have:-0}}; sleep 0.02
        done
        cat /dev/zero >../store/filler 2>/dev/null || true
        code=0; wait $pull || code=$?
        echo code $code
        rm ../store/filler
        echo kept $(du -sk ../store/partial | cut -f1)
        {PULL} -q; \"$1\" store verify; \"$1\" store list"
    );
    let Some(ran) = in_mounts(&env, &hub, &script) else { return };
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains("code 7\n"), "{ran}");
    assert!(ran.stderr.contains("hint: free some space"), "{ran}");
    let kept = ran.stdout.lines().find_map(|line| line.strip_prefix("kept ")).unwrap();
    assert!(kept.parse::<u64>().unwrap() >= 4096, "{ran}");
    assert!(ran.stdout.contains("all is right") && !ran.stdout.contains("incomplete"), "{ran}");
    let sent = hub.bytes_sent();
    // What was in memory and on the line when the disk was full comes again.
    assert!(sent < SIZE + SIZE / 4, "{sent} bytes were sent for {SIZE}");
}

#[test]
fn a_store_that_cannot_be_written_can_be_read() {
    let (env, hub) = ready(1 << 20);
    assert_eq!(env.at(&hub, "pull stack.yaml --model assistant").code, 0);
    hub.forget();
    // Another model, which is not there yet.
    hub.add(repo('b', b"GGUF something newer".to_vec()));
    hub.set_ref("acme/tiny", "main", &"b".repeat(40));
    env.write("new.yaml", stack("hf:acme/tiny@main", "").replace("demo", "new"));
    let run = |line: &str| format!("code=0; \"$1\" {line} || code=$?; echo code $code");
    let lines = [
        "store list",
        "store verify",
        "store path demo/assistant",
        "verify stack.yaml",
        "store prune --dry-run",
        "lock new.yaml",
        "pull new.yaml --model assistant",
        "store prune",
    ];
    let script = lines.map(run).join("\n");
    let script = format!("mount --bind ../store ../store; mount -o remount,bind,ro ../store\n{script}");
    let Some(ran) = in_mounts(&env, &hub, &script) else { return };
    let codes: Vec<&str> = ran.stdout.lines().filter_map(|line| line.strip_prefix("code ")).collect();
    // The model is no GGUF and has no licence text, which the policy refuses: 5.
    assert_eq!(codes, ["0", "0", "0", "5", "0", "0", "7", "7"], "{ran}");
    assert!(ran.stdout.contains("every byte is as pinned"), "{ran}");
    assert!(ran.stdout.contains("/store/trees/"), "{ran}");
    assert!(ran.stderr.contains("cannot be written"), "{ran}");
    assert!(ran.stderr.contains("hint: run as the user who owns it"), "{ran}");
}
