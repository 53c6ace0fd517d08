//! A lock of one of the largest models, as a hub lists it.

use crate::error::{BenchError, io};
use crate::process::run;
use crate::report::{Bar, Figure, Unit};
use crate::stats::median;
use crate::{Measured, Setting, say};
use sovai_test_hub::{Content, Hub, Repo};
use std::time::Duration;

/// This part's name.
pub(crate) const PART: &str = "lock";

/// The shape of Kimi K2 with four bits: 62 shards, 595 GB.
const SHARDS: u64 = 62;
const SHARD_BYTES: u64 = 595_000_000_000 / SHARDS;
/// Files that a hub lists without a SHA-256, which are read: configuration, tokenizer, licence, code.
const SMALL: u64 = 16;
const SMALL_BYTES: u64 = 256 << 10;
const COMMIT: &str = "cccccccccccccccccccccccccccccccccccccccc";
const MAX_S: f64 = 5.0;
const LIMIT: Duration = Duration::from_mins(2);

/// Measures.
pub(crate) fn measure(setting: &Setting) -> Result<Measured, BenchError> {
    let work = setting.temp()?;
    say(&format!("{PART}: {SHARDS} shards, listed"));
    let hub = Hub::start();
    let mut repo = Repo::new("acme/huge", COMMIT).refs(["main"]).license("mit");
    for at in 1..=SHARDS {
        let path = format!("model-{at:05}-of-{SHARDS:05}.safetensors");
        repo = repo.lfs(path, Content::listed(SHARD_BYTES, format!("{at:064x}")));
    }
    for at in 0..SMALL {
        repo = repo.file(format!("config-{at}.json"), Content::pattern(at, SMALL_BYTES));
    }
    hub.add(repo);
    let manifest = work.path().join("bench.yaml");
    let text = format!(
        "apiVersion: sovai/v1
kind: Stack
metadata: {{ name: bench }}
spec:
  models:
    bench: {{ source: 'hf:acme/huge@main', license: MIT }}
  services:
    engine:
      engine: vllm
      image: example/engine:1@sha256:{}
      model: bench
",
        "0".repeat(64)
    );
    fs_err::write(&manifest, text).map_err(io("the manifest"))?;
    let (mut seconds, mut peaks, mut sent) = (Vec::new(), Vec::new(), 0);
    for round in 0..setting.rounds {
        setting.begin(PART, round)?;
        hub.forget();
        let before = hub.bytes_sent();
        let mut command = setting.sovai(&work.path().join("store"));
        command.env("HF_ENDPOINT", hub.url()).args(["lock", "-q"]).arg(&manifest);
        let done = run(&mut command, LIMIT)?;
        seconds.push(done.wall.as_secs_f64());
        peaks.push(done.peak_mib);
        sent = hub.bytes_sent() - before;
    }
    let requests = hub.requests().len();
    let detail = format!(
        "{SHARDS} shards and {SMALL} small files on loopback: {requests} requests, {} MiB, peak memory {:.0} MiB",
        sent >> 20,
        median(&peaks)
    );
    let figure = Figure::new(PART, "`sovai lock` of 595 GB in 62 shards", Unit::Seconds, seconds)
        .bar(Bar::Below(MAX_S))
        .detail(detail);
    Ok((vec![figure], Vec::new()))
}
