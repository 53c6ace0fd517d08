//! Options of `pull` and `push` that say how bytes come: which source first, and how fast.

use crate::env::{TestEnv, WEIGHTS};
use crate::lock_remote::{repo, stack};
use sovai_test_hub::{Content, Fault, Hub};
use std::time::{Duration, Instant};

#[test]
fn sources_come_in_their_order_or_by_speed() {
    let hub = Hub::start();
    let ready = || {
        let env = TestEnv::new();
        hub.clear_faults();
        hub.add(repo('a', WEIGHTS.to_vec()).refs(["main"]));
        env.write("stack.yaml", stack("hf:acme/tiny@main", "\n      mirrors: [file:./mirror]"));
        assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);
        env.write("mirror/model.gguf", WEIGHTS).write("mirror/config.json", "{}");
        env.write("mirror/LICENSE", "Apache License\n");
        hub.fault("**", Fault::Delay(Duration::from_millis(300)));
        env
    };
    for (option, expected) in [("", "hf:acme/tiny@main"), ("--by-speed", "file:")] {
        let env = ready();
        let value = env.json_at(&hub, &format!("pull stack.yaml --model assistant {option}"));
        assert_eq!(value["exitCode"], 0, "{value}");
        for file in value["models"][0]["files"].as_array().unwrap() {
            let from = file["from"][0].as_str().unwrap();
            assert!(from.starts_with(expected), "{option}: {value}");
        }
    }
}

#[test]
fn a_rate_is_kept_and_one_that_is_none_is_exit_2() {
    let hub = Hub::start();
    let env = TestEnv::new();
    hub.add(repo('a', Content::pattern(3, 3 << 20)).refs(["main"]));
    env.write("stack.yaml", stack("hf:acme/tiny@main", ""));
    assert_eq!(env.at(&hub, "lock stack.yaml").code, 0);
    for command in ["pull stack.yaml", "push stack.yaml oci://127.0.0.1:1/a"] {
        for wrong in ["0", "0MiB", "-1", "5parsecs", "1.5MiB", "MiB", "1mib", "99999999999GiB", "1MiB/s"] {
            let ran = env.at(&hub, &format!("{command} --limit-rate={wrong}"));
            assert_eq!(ran.code, 2, "{command} {wrong}: {ran}");
            assert!(ran.stderr.contains("--limit-rate") && ran.stderr.contains(wrong), "{ran}");
        }
    }
    let start = Instant::now();
    let value = env.json_at(&hub, "pull stack.yaml --model assistant --limit-rate 1536KiB");
    assert_eq!(value["exitCode"], 0, "{value}");
    let took = start.elapsed();
    assert!(took > Duration::from_millis(1200), "3 MiB in {took:?}");
    // Every other form does too: all is there already.
    for right in ["1", "1000000", "20MB", "20MiB", "3GB", "1TiB"] {
        let ran = env.at(&hub, &format!("pull stack.yaml --model assistant --limit-rate {right}"));
        assert_eq!(ran.code, 0, "{right}: {ran}");
    }
}
