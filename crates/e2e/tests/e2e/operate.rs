//! `status`, `logs` and `down` from labels alone.

use crate::docker::{docker, everything, inspect, new_since, try_docker};
use crate::process::{LIMIT, poll, run};
use crate::setup::{alone, beside};
use crate::stack::{MANIFEST, Stack};
use serde_json::json;

#[test]
fn status_logs_and_down_need_neither_manifest_nor_store() {
    let Some(setup) = alone() else { return };
    let before = everything();
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    fs_err::remove_file(stack.path(MANIFEST)).unwrap();
    let elsewhere = stack.path("another-store");
    let sovai = |args: &[&str]| run(stack.command(args).arg("--store").arg(&elsewhere));

    let status = sovai(&["status", &stack.name]).expect(0);
    for text in ["engine", "gateway", "running", &format!("127.0.0.1:{}", stack.port)] {
        assert!(status.stdout.contains(text), "`{text}` is not in {status}");
    }
    let all = sovai(&["status", "-o", "json"]).expect(0).json();
    let ours = all["stacks"].as_array().unwrap().iter().find(|s| s["stack"] == *stack.name).unwrap().clone();
    assert_eq!((&ours["running"], ours["services"].as_array().map(Vec::len)), (&json!(true), Some(2)));

    let logs = sovai(&["logs", &stack.name]).expect(0);
    assert!(logs.stdout.contains("stub: listening on 0.0.0.0:8080"), "{logs}");
    let engine = sovai(&["logs", &stack.name, "engine", "--tail", "1"]).expect(0);
    assert_eq!(engine.stdout.lines().count(), 1, "{engine}");
    sovai(&["logs", &stack.name, "nobody"]).expect(2).says(&["nobody", "engine, gateway"]);

    let own_image = inspect("container", &stack.container("gateway"))["Image"].as_str().unwrap().to_owned();
    let down = sovai(&["down", &stack.name]).expect(0);
    for text in ["removed container", "removed network", "is gone"] {
        assert!(down.stdout.contains(text), "`{text}` is not in {down}");
    }
    assert_eq!(new_since(&before), Vec::<String>::new(), "something is left");
    let users = docker(&["ps", "--all", "--quiet", "--filter", &format!("ancestor={own_image}")]);
    let there = try_docker(&["image", "inspect", &own_image]).code == Some(0);
    assert!(!there || !users.is_empty(), "the image made of the binary is left, and nobody uses it");
    sovai(&["down", &stack.name]).expect(0);
    sovai(&["status", &stack.name]).expect(2).says(&[&stack.name]);
    sovai(&["logs", &stack.name]).expect(2).says(&[&stack.name]);
}

#[test]
fn after_down_the_same_manifest_deploys_again_with_the_same_key() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let key = stack.key();
    stack.sovai(&["down", MANIFEST]).expect(0);
    stack.gone();
    stack.deploy().expect(0);
    assert_eq!(stack.key(), key, "clients keep their key");
    stack.answers();
}

#[test]
fn a_process_that_is_killed_comes_back_and_status_tells() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let engine = stack.container("engine");
    // Not `docker kill`: after that the engine takes it for stopped by hand and does not start it again.
    let pid = inspect("container", &engine)["State"]["Pid"].as_i64().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    poll("it is started again", LIMIT, || {
        (docker(&["inspect", "-f", "{{.RestartCount}}", &engine]) == "1").then_some(())
    });
    poll("it runs", LIMIT, || {
        (docker(&["inspect", "-f", "{{.State.Status}} {{.State.Running}}", &engine]) == "running true")
            .then_some(())
    });
    poll("the gateway finds it again", LIMIT, || (stack.ask("hello").status == 200).then_some(()));
    let status = stack.sovai(&["status", &stack.name]).expect(0);
    assert!(status.stdout.contains("restarted 1 time"), "{status}");
    let status = stack.sovai(&["status", &stack.name, "-o", "json"]).expect(0).json();
    let engine = &status["stacks"][0]["services"][0];
    assert_eq!((&engine["service"], &engine["restarts"]), (&json!("engine"), &json!(1)));
}

#[test]
fn a_container_that_was_stopped_or_removed_by_hand_is_mended_by_deploy() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest());
    let (engine, gateway) = (stack.container("engine"), stack.container("gateway"));
    docker(&["stop", "--time", "5", &engine]);
    let status = stack.sovai(&["status", &stack.name]).expect(0);
    assert!(status.stdout.contains("not all of it runs") && status.stdout.contains("exited"), "{status}");
    stack.deploy().expect(0);
    assert_eq!((stack.container("engine"), stack.container("gateway")), (engine.clone(), gateway));
    stack.answers();
    docker(&["rm", "--force", &engine]);
    stack.deploy().expect(0);
    stack.whole();
    stack.answers();
}

#[test]
fn a_stack_without_a_gateway_is_asked_all_the_same() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let mut manifest = stack.manifest();
    manifest["spec"].as_object_mut().unwrap().remove("gateway");
    let ran = stack.up(&manifest);
    assert!(ran.stdout.contains("stub: assistant"), "{ran}");
    let objects = stack.objects();
    assert_eq!(objects.len(), 2, "one container, one network: {objects:?}");
    stack.deploy().expect(0);
    stack.sovai(&["down", &stack.name]).expect(0);
    stack.gone();
}
