//! The binary is killed at each step of a deploy; the same command then completes, and nothing is doubled.

use crate::process::{LIMIT, poll};
use crate::setup::{beside, say, soak};
use crate::stack::{MANIFEST, Stack};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

/// What came of a deploy that was to be killed.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Killed(String),
    /// It was over before its turn.
    Done,
}

/// A command with its events on a pipe.
fn with_events(stack: &Stack, args: &[&str]) -> (Child, impl Iterator<Item = Value> + use<>) {
    let mut child = stack
        .command(args)
        .args(["--progress", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let events = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str(&line).ok());
    (child, events)
}

const DEPLOY: [&str; 2] = ["deploy", MANIFEST];

/// Runs a command, and kills it at the `nth` event (from 0). The many of a wait for readiness are not counted.
fn kill_at(stack: &Stack, args: &[&str], nth: usize) -> End {
    let (mut child, events) = with_events(stack, args);
    let event = events.filter(|event| event["type"] != "progress" || event["step"] != "wait-ready").nth(nth);
    if event.is_some() {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let Some(event) = event else {
        assert!(status.success(), "the command that was let through failed: {status}");
        return End::Done;
    };
    End::Killed(format!("{} {} {}", event["type"], event["step"], event["subject"]))
}

/// One round: killed at the `nth` event, completed by the same command.
fn round(stack: &Stack, nth: usize, answer: &str) -> End {
    let end = kill_at(stack, &DEPLOY, nth);
    let ran = stack.deploy();
    assert_eq!(ran.code, Some(0), "after a kill at event {nth}, {end:?}: {ran}");
    stack.whole();
    assert_eq!(stack.answers(), answer, "after a kill at event {nth}, {end:?}");
    // What runs is now what the manifest says: the command has nothing left to do.
    let again = stack.sovai(&["deploy", MANIFEST, "-o", "json"]).expect(0);
    assert_eq!(again.json()["changed"], false, "after a kill at event {nth}, {end:?}: {again}");
    end
}

/// Events to kill at: each one in a soak, else a few.
fn events() -> Vec<usize> {
    // Of the beginning, the middle and the end; a first deploy has about two dozen.
    if soak() { (0..100).collect() } else { vec![3, 12, 20] }
}

fn kills(what: &str, mut round: impl FnMut(usize) -> End) {
    let mut rounds = 0;
    for _ in 0..if soak() { 3 } else { 1 } {
        for nth in events() {
            match round(nth) {
                End::Killed(step) => {
                    rounds += 1;
                    if !soak() {
                        say(&format!("killed in {what} at event {nth}: {step}"));
                    }
                }
                End::Done => break,
            }
        }
    }
    say(&format!("soak: kills in {what}: {rounds} rounds, all completed"));
    assert!(rounds > 0);
}

#[test]
fn soak_killed_in_a_first_deploy_the_same_command_completes() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest_with(&[("STUB_ANSWER", "one"), ("STUB_DELAY_MS", "100")]));
    kills("a first deploy", |nth| {
        let end = round(&stack, nth, "one");
        stack.sovai(&["down", &stack.name]).expect(0);
        stack.gone();
        end
    });
}

#[test]
fn soak_killed_in_an_upgrade_the_same_command_completes() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let versions = ["one", "two"].map(|answer| {
        let mut manifest = stack.manifest_with(&[("STUB_ANSWER", answer), ("STUB_DELAY_MS", "100")]);
        // The gateway is replaced too.
        manifest["spec"]["gateway"]["routes"][answer] = serde_json::json!("engine");
        (answer, manifest)
    });
    stack.up(&versions[0].1);
    let mut turn = 0;
    kills("an upgrade", |nth| {
        turn += 1;
        let (answer, manifest) = &versions[turn % 2];
        stack.write(manifest);
        round(&stack, nth, answer)
    });
}

#[test]
fn soak_killed_at_any_moment_the_same_command_completes() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest_with(&[("STUB_ANSWER", "one")]));
    let whole = stack.deploy().expect(0).took;
    stack.sovai(&["down", &stack.name]).expect(0);
    let rounds = if soak() { 40 } else { 3 };
    for round in 1..=rounds {
        // Moments between the steps, spread over the time that a whole deploy takes.
        let moment = whole.mul_f64(f64::from(round) / f64::from(rounds + 1));
        let mut child = with_events(&stack, &DEPLOY).0;
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        let ran = stack.deploy();
        assert_eq!(ran.code, Some(0), "killed after {moment:?}: {ran}");
        stack.whole();
        assert_eq!(stack.answers(), "one", "killed after {moment:?}");
        stack.sovai(&["down", &stack.name]).expect(0);
        stack.gone();
    }
    say(&format!("soak: kills at moments spread over a deploy: {rounds} rounds, all completed"));
}

#[test]
fn killed_and_then_another_manifest_wanted_leaves_nothing_of_the_first() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest_with(&[("STUB_MODE", "never-ready")]));
    // Killed while it waits: the engine runs, not ready.
    let End::Killed(_) = deploy_and_kill_at(&stack, "wait-ready") else { panic!("it was not killed") };
    let end = stack.sovai(&["status", &stack.name]).expect(0);
    assert!(end.stdout.contains("engine"), "{end}");
    stack.up(&stack.manifest_with(&[("STUB_ANSWER", "good")]));
    stack.whole();
    assert_eq!(stack.answers(), "good");
    // `down` right after a kill works as well.
    stack.write(&stack.manifest_with(&[("STUB_MODE", "never-ready")]));
    let End::Killed(_) = deploy_and_kill_at(&stack, "wait-ready") else { panic!("it was not killed") };
    stack.sovai(&["down", &stack.name]).expect(0);
    stack.gone();
}

fn deploy_and_kill_at(stack: &Stack, step: &str) -> End {
    let (mut child, mut events) = with_events(stack, &DEPLOY);
    let found = events.any(|event| event["type"] == "started" && event["step"] == step);
    let _over = child.kill();
    child.wait().unwrap();
    if found { End::Killed(step.to_owned()) } else { End::Done }
}

#[test]
fn soak_killed_in_down_the_same_command_completes() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let down = ["down", &*stack.name];
    stack.write(&stack.manifest());
    kills("down", |nth| {
        stack.deploy().expect(0);
        let end = kill_at(&stack, &down, nth);
        stack.sovai(&down).expect(0);
        stack.gone();
        end
    });
}

#[test]
fn interrupted_while_it_hashes_is_130_and_the_store_holds_no_half_blob() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    let (path, pins) = crate::real::weights(&setup);
    let mut manifest = stack.manifest();
    manifest["spec"]["models"]["assistant"]["source"] = serde_json::json!(format!("file:{}", path.display()));
    manifest["spec"]["models"]["assistant"]["files"] = pins;
    stack.write(&manifest);
    let (mut child, mut events) = with_events(&stack, &DEPLOY);
    assert!(events.any(|event| event["step"] == "verify"), "it never hashed");
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    stack.gone();
    let halves: Vec<String> = crate::stack::tree(&stack.store())
        .into_iter()
        .filter(|path| path.contains("tmp") && stack.store().join(path).is_file())
        .collect();
    assert_eq!(halves, Vec::<String>::new());
}

/// Waits until the stack's engine runs, which a deploy has started.
fn until_engine_runs(stack: &Stack) {
    poll("the engine runs", LIMIT, || {
        let label = format!("label=sovai.stack={}", stack.name);
        let service = "label=sovai.service=engine";
        let args = ["ps", "-q", "--filter", &label, "--filter", service];
        (!crate::docker::docker(&args).is_empty()).then_some(())
    });
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn interrupted_a_first_deploy_is_130_and_all_is_gone() {
    let Some(setup) = beside() else { return };
    for signal in [Signal::INT, Signal::TERM] {
        let stack = Stack::new(&setup);
        stack.write(&stack.manifest_with(&[("STUB_MODE", "never-ready")]));
        let deploy = stack.start(&["deploy", MANIFEST]);
        until_engine_runs(&stack);
        self::signal(&deploy.child, signal);
        deploy.end().expect(130).says(&["interrupted"]);
        stack.gone();
    }
}

#[test]
fn interrupted_an_upgrade_is_130_and_what_served_before_serves_again() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.up(&stack.manifest_with(&[("STUB_ANSWER", "the first")]));
    let before = stack.container("engine");
    stack.write(&stack.manifest_with(&[("STUB_MODE", "never-ready")]));
    let deploy = stack.start(&["deploy", MANIFEST]);
    poll("the new engine runs", LIMIT, || {
        let label = format!("label=sovai.stack={}", stack.name);
        let running = crate::docker::lines(&[
            "ps",
            "-q",
            "--no-trunc",
            "--filter",
            &label,
            "--filter",
            "label=sovai.service=engine",
        ]);
        running.iter().any(|id| *id != before).then_some(())
    });
    signal(&deploy.child, Signal::INT);
    deploy.end().expect(130);
    stack.whole();
    assert_eq!(stack.container("engine"), before);
    assert_eq!(stack.answers(), "the first");
}
