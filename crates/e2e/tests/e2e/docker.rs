//! The container engine as its own command line shows it.

use crate::process::{Ran, run};
use serde_json::Value;
use std::process::Command;

/// Runs `docker`; gives what it printed, trimmed.
#[track_caller]
pub(crate) fn docker(args: &[&str]) -> String {
    try_docker(args).expect(0).stdout.trim().to_owned()
}

/// Runs `docker`, whatever comes of it.
#[track_caller]
pub(crate) fn try_docker(args: &[&str]) -> Ran {
    run(Command::new("docker").args(args))
}

/// Runs `docker` and gives the lines that it printed, sorted.
#[track_caller]
pub(crate) fn lines(args: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = docker(args).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The engine's own description of a container, a network or an image.
#[track_caller]
pub(crate) fn inspect(kind: &str, name: &str) -> Value {
    let text = docker(&[kind, "inspect", name]);
    let mut found: Vec<Value> = serde_json::from_str(&text).expect("docker prints JSON");
    assert_eq!(found.len(), 1, "{kind} {name}: {text}");
    found.remove(0)
}

/// Everything that the engine holds: containers, networks, volumes, images. What carries the label of a stack that is
/// none of these tests' is left out: others may deploy on the same engine meanwhile.
#[track_caller]
pub(crate) fn everything() -> Vec<String> {
    let mut all = Vec::new();
    let label = "{{.Label \"sovai.stack\"}}";
    for (kind, args) in [
        (
            "container",
            &["ps", "--all", "--no-trunc", "--format", &format!("{label} {{{{.ID}}}} {{{{.Names}}}}")][..],
        ),
        (
            "network",
            &["network", "ls", "--no-trunc", "--format", &format!("{label} {{{{.ID}}}} {{{{.Name}}}}")],
        ),
        ("volume", &["volume", "ls", "--format", "{{.Name}}"]),
        ("image", &["image", "ls", "--all", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"]),
    ] {
        let found = lines(args).into_iter().map(|line| format!("{kind} {line}"));
        all.extend(found.filter(|object| !is_of_another(object)));
    }
    all
}

/// A labelled object of a stack that is not this test run's, or an image made of a sovai binary, which stacks share.
fn is_of_another(object: &str) -> bool {
    let ours = format!("e2e-{}-", std::process::id());
    match object.split(' ').collect::<Vec<_>>()[..] {
        ["container" | "network", stack, ..] => !stack.is_empty() && !stack.starts_with(&ours),
        ["image", _, name] => name.starts_with("sovai/gateway:"),
        _ => false,
    }
}

/// What the engine holds now and did not hold before. (Less of it is no finding: others use the same engine.)
#[track_caller]
pub(crate) fn new_since(before: &[String]) -> Vec<String> {
    everything().into_iter().filter(|object| !before.contains(object)).collect()
}

/// What of a stack is in the engine: by its label, and by the beginning of its names.
#[track_caller]
pub(crate) fn objects(stack: &str) -> Vec<String> {
    let label = format!("label=sovai.stack={stack}");
    let name = format!("name=sovai-{stack}-");
    let mut all = Vec::new();
    for filter in [&label, &name] {
        let container = ["ps", "--all", "--filter", filter, "--format", "{{.Names}}"];
        let network = ["network", "ls", "--filter", filter, "--format", "{{.Name}}"];
        let volume = ["volume", "ls", "--filter", filter, "--format", "{{.Name}}"];
        all.extend(lines(&container).into_iter().map(|line| format!("container {line}")));
        all.extend(lines(&network).into_iter().map(|line| format!("network {line}")));
        all.extend(lines(&volume).into_iter().map(|line| format!("volume {line}")));
    }
    all.sort();
    all.dedup();
    all
}
