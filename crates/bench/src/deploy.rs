//! A deploy against Compose with the same containers.

mod compose;

use crate::error::{BenchError, io};
use crate::gateway::{Client, Target, free_port, runtime};
use crate::process::{Finished, pause, run};
use crate::report::{Bar, Figure, Unit};
use crate::stats::{differences, median, millis, ratios};
use crate::{Measured, Setting, say};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// This part's name.
pub(crate) const PART: &str = "deploy";

/// Name of the stack, and of the project of Compose: what an earlier run left is found by them.
const STACK: &str = "sovai-bench";
const PROJECT: &str = "sovai-bench-peer";
/// Holds the gateway's image, so that it is there for both and neither loads it.
const KEEP: &str = "sovai-bench/gateway:keep";
const LIMIT: Duration = Duration::from_mins(3);
/// The pause between two questions to the peer's stack while it gets ready. Short: this is all waiting that it is charged with.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// The bars.
const MAX_RATIO: f64 = 1.1;
const MAX_UNCHANGED_S: f64 = 1.0;
const MAX_PEAK_MIB: f64 = 64.0;

/// Whatever happens, nothing of either stack is left.
struct Stacks<'a> {
    setting: &'a Setting,
    store: PathBuf,
    manifest: PathBuf,
    compose: PathBuf,
    address: SocketAddr,
    /// The tag of the gateway's image, when it is here only for this measurement.
    gateway_image: Option<String>,
}

impl Drop for Stacks<'_> {
    fn drop(&mut self) {
        // A second signal is needed to interrupt this; the first has done its work.
        for mut command in [self.down_command(), self.peer_command(&["down", "-t", "10"])] {
            if let Err(error) = command.output() {
                say(&format!("deploy: cleaning up: {error}"));
            }
        }
        // Not by force: where another stack uses it, it stays.
        drop(Command::new("docker").args(["image", "rm", KEEP]).args(&self.gateway_image).output());
    }
}

impl Stacks<'_> {
    fn down_command(&self) -> Command {
        let mut command = self.setting.sovai(&self.store);
        command.args(["down", STACK, "-q"]);
        command
    }

    fn peer_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker-compose");
        command.args(["-p", PROJECT, "-f"]).arg(&self.compose).args(args);
        command
    }

    fn deploy(&self) -> Result<Finished, BenchError> {
        let mut command = self.setting.sovai(&self.store);
        command.arg("deploy").arg(&self.manifest).args(["-o", "json", "--progress", "json"]);
        run(&mut command, LIMIT)
    }

    /// One deploy from nothing, and its end; with the time of each step.
    fn ours(&self) -> Result<(Finished, Vec<(String, f64)>), BenchError> {
        let done = self.deploy()?;
        let result: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
        let answer = result.pointer("/answers/0/text").and_then(Value::as_str).unwrap_or_default();
        if result["changed"] != true || answer.trim().is_empty() {
            return Err(BenchError::Answer {
                what: "a deploy should have made all and been answered".to_owned(),
                found: done.stdout,
            });
        }
        run(&mut self.down_command(), LIMIT)?;
        let steps = steps(&done.stderr);
        Ok((done, steps))
    }

    /// The same containers by Compose until the same question is answered, and their end. Gives the whole time, and how
    /// much of it `up -d` took.
    fn peer(&self, key: &str) -> Result<(Duration, Duration), BenchError> {
        let start = Instant::now();
        let up = run(&mut self.peer_command(&["up", "-d"]), LIMIT)?.wall;
        let target = Target { address: self.address, key: key.to_owned() };
        ask_until_answered(&target, start + LIMIT)?;
        let wall = start.elapsed();
        run(&mut self.peer_command(&["down", "-t", "10"]), LIMIT)?;
        Ok((wall, up))
    }
}

/// Measures.
pub(crate) fn measure(setting: &Setting) -> Result<Measured, BenchError> {
    let work = setting.temp()?;
    let mut stacks = Stacks {
        setting,
        store: work.path().join("store"),
        manifest: work.path().join("bench.yaml"),
        compose: work.path().join("docker-compose.json"),
        address: free_port()?,
        gateway_image: None,
    };
    let weights = fs_err::canonicalize(&setting.weights).map_err(io("the weights"))?;
    fs_err::write(&stacks.manifest, manifest_text(&weights, &setting.image, stacks.address)?)
        .map_err(io("the manifest"))?;
    run(&mut stacks.down_command(), LIMIT)?;
    run(setting.sovai(&stacks.store).args(["lock", "-q"]).arg(&stacks.manifest), LIMIT)?;
    let images_before = docker(&["images", "-q", "--no-trunc"])?;
    // The first deploy verifies the weights and loads the gateway's image; neither is counted. Its containers are what
    // Compose is told to make.
    stacks.deploy()?;
    let unchanged =
        (0..setting.rounds).map(|_| unchanged(stacks.deploy()?)).collect::<Result<Vec<_>, _>>()?;
    let file = compose::from_stack(STACK)?;
    let image = compose::gateway_image(&file)?;
    if !images_before.contains(&image) {
        stacks.gateway_image = docker(&["image", "inspect", "--format", "{{index .RepoTags 0}}", &image])?
            .lines()
            .next()
            .map(str::to_owned);
    }
    docker(&["tag", &image, KEEP])?;
    fs_err::write(&stacks.compose, file.to_string()).map_err(io("the file of Compose"))?;
    let key_file = stacks.store.join("stacks").join(STACK).join("keys/default.key");
    let key = fs_err::read_to_string(key_file).map_err(io("the key"))?;
    run(&mut stacks.down_command(), LIMIT)?;
    // Both once, uncounted: what the first run finds cold is warm for all that follow.
    stacks.peer(key.trim())?;

    let (mut ours, mut peaks, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut theirs, mut ups) = (Vec::new(), Vec::new());
    let mut peer = || {
        let (wall, up) = stacks.peer(key.trim())?;
        theirs.push(wall.as_secs_f64());
        ups.push(millis(up));
        Ok::<_, BenchError>(())
    };
    for round in 0..setting.rounds {
        setting.begin(PART, round)?;
        // Who goes first changes from round to round.
        if round % 2 == 1 {
            peer()?;
        }
        let (done, steps) = stacks.ours()?;
        ours.push(done.wall.as_secs_f64());
        peaks.push(done.peak_mib);
        runs.push(steps);
        if round % 2 == 0 {
            peer()?;
        }
    }
    let note = format!(
        "`deploy`, median milliseconds of each step: {}; of Compose, `up -d` {:.0} and then until the answer {:.0}",
        step_note(&runs),
        median(&ups),
        median(&differences(&theirs.iter().map(|seconds| seconds * 1e3).collect::<Vec<_>>(), &ups))
    );
    Ok((
        vec![
            Figure::new(
                PART,
                "`sovai deploy` : `docker-compose up -d` until an answer",
                Unit::Ratio,
                ratios(&ours, &theirs),
            )
            .bar(Bar::AtMost(MAX_RATIO))
            .detail(format!(
                "sovai {:.2} s, Compose {:.2} s, difference {:+.2} s",
                median(&ours),
                median(&theirs),
                median(&differences(&ours, &theirs))
            )),
            Figure::new(PART, "again, nothing changed", Unit::Seconds, unchanged)
                .bar(Bar::Below(MAX_UNCHANGED_S))
                .detail("the container engine is only read"),
            Figure::new(PART, "peak memory", Unit::Mebibytes, peaks)
                .bar(Bar::Below(MAX_PEAK_MIB))
                .detail("resident, of the command itself"),
        ],
        vec![note],
    ))
}

fn manifest_text(weights: &Path, image: &str, listen: SocketAddr) -> Result<String, BenchError> {
    let size = fs_err::metadata(weights).map_err(io("the weights"))?.len();
    let done = run(Command::new("openssl").args(["dgst", "-sha256", "-r"]).arg(weights), LIMIT)?;
    let digest = done.stdout.split(' ').next().unwrap_or_default();
    let name = weights.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!(
        "apiVersion: sovai/v1
kind: Stack
metadata:
  name: {STACK}
spec:
  models:
    assistant:
      source: file:{}
      license: Apache-2.0
      files:
        - {{path: {name}, size: {size}, sha256: {digest}}}
  services:
    engine:
      engine: llama.cpp
      image: {image}
      model: assistant
      context: 4096
      resources: {{memory: 2GiB}}
  gateway:
    listen: {listen}
    routes: {{assistant: engine}}
",
        weights.display()
    ))
}

fn unchanged(done: Finished) -> Result<f64, BenchError> {
    let result: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
    if result["changed"] != false {
        return Err(BenchError::Answer {
            what: "a second deploy should have changed nothing".to_owned(),
            found: done.stdout,
        });
    }
    Ok(done.wall.as_secs_f64())
}

/// Runs `docker` and gives what it wrote.
fn docker(args: &[&str]) -> Result<String, BenchError> {
    run(Command::new("docker").args(args), LIMIT).map(|done| done.stdout)
}

/// The question that `sovai deploy` asks, again and again until the model answers.
fn ask_until_answered(target: &Target, deadline: Instant) -> Result<(), BenchError> {
    let question = json!({
        "model": "assistant",
        "messages": [{ "role": "user", "content": "What is the capital of Malaysia?" }],
        "max_tokens": 32,
        "temperature": 0,
    });
    let body = Bytes::from(question.to_string());
    let runtime = runtime()?;
    loop {
        let answer = runtime.block_on(async { Client::connect(target).await?.ask(&body).await });
        match answer {
            Ok(answer) => {
                let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
                let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
                return match text {
                    Some(text) if !text.trim().is_empty() => Ok(()),
                    _ => Err(target.failed(answer)),
                };
            }
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => pause(ASK_EVERY)?,
        }
    }
}

/// Milliseconds from each step's beginning to its end, from the events of a run, in the order of their beginnings;
/// several steps of one name are added up.
fn steps(events: &str) -> Vec<(String, f64)> {
    let mut steps: Vec<(String, f64)> = Vec::new();
    let mut open: BTreeMap<String, f64> = BTreeMap::new();
    for event in events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let (Some(step), Some(time)) = (event["step"].as_str(), event["time"].as_str().and_then(time_of_day))
        else {
            continue;
        };
        let key = format!("{step} {}", event["subject"].as_str().unwrap_or_default());
        match event["type"].as_str() {
            Some("started") => {
                open.insert(key, time);
                if !steps.iter().any(|(name, _)| name == step) {
                    steps.push((step.to_owned(), 0.0));
                }
            }
            Some("done" | "skipped" | "failed") => {
                if let Some(begin) = open.remove(&key)
                    && let Some((_, sum)) = steps.iter_mut().find(|(name, _)| name == step)
                {
                    // Midnight may lie between.
                    *sum += (time - begin).rem_euclid(86_400_000.0);
                }
            }
            _ => {}
        }
    }
    steps
}

/// Milliseconds since midnight of `2026-11-24T21:23:04.512Z`.
fn time_of_day(time: &str) -> Option<f64> {
    let (_, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let mut parts = clock.split(':');
    let mut part = || parts.next()?.parse::<f64>().ok();
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    Some(((hours * 60.0 + minutes) * 60.0 + seconds) * 1e3)
}

fn step_note(runs: &[Vec<(String, f64)>]) -> String {
    let mut text = String::new();
    for (name, _) in runs.first().into_iter().flatten() {
        let all: Vec<f64> =
            runs.iter().flatten().filter(|(step, _)| step == name).map(|(_, millis)| *millis).collect();
        let _ = write!(text, "{}{name} {:.0}", if text.is_empty() { "" } else { ", " }, median(&all));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_a_run_are_added_up_by_name() {
        let events = r#"
warning: plain text on the same stream
{"time":"2026-11-24T23:59:59.900Z","type":"started","step":"create-network","subject":"a"}
{"time":"2026-11-25T00:00:00.000Z","type":"done","step":"create-network","subject":"a"}
{"time":"2026-11-25T00:00:00.000Z","type":"started","step":"ask","subject":"m"}
{"time":"2026-11-25T00:00:00.010Z","type":"started","step":"create-network","subject":"b"}
{"time":"2026-11-25T00:00:00.020Z","type":"done","step":"create-network","subject":"b"}
{"time":"2026-11-25T00:00:01.500Z","type":"done","step":"ask","subject":"m"}"#;
        let seen: Vec<(String, i64)> =
            steps(events).into_iter().map(|(name, ms)| (name, format!("{ms:.0}").parse().unwrap())).collect();
        assert_eq!(seen, [("create-network".to_owned(), 110), ("ask".to_owned(), 1500)]);
    }

    #[test]
    fn the_note_has_the_median_of_each_step() {
        let run = |ms: f64| vec![("ask".to_owned(), ms)];
        assert_eq!(step_note(&[run(1.0), run(30.0), run(2.0)]), "ask 2");
    }
}
