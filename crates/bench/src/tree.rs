//! Verification inside one large file, against `b3sum`, and what a second digest costs.

use crate::error::{BenchError, io};
use crate::machine::cores;
use crate::process::{check_signals, first_line, run};
use crate::report::{Bar, Figure, Unit};
use crate::stats::{float, median, ratios};
use crate::verify::{LIMIT, manifest_text, write_random};
use crate::{Measured, Setting, say};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// This part's name.
pub(crate) const PART: &str = "tree";

const FILE_MIB: u64 = 4096;
/// The bars: against `b3sum`, against our own SHA-256, and of both digests in one pass against SHA-256 alone.
const MIN_B3SUM: f64 = 0.95;
const MIN_SHA256: f64 = 2.0;
const MAX_BOTH: f64 = 1.6;

/// Measures.
pub(crate) fn measure(setting: &Setting) -> Result<Measured, BenchError> {
    let work = setting.temp()?;
    let size = if setting.quick { 64 } else { FILE_MIB } << 20;
    let model = work.path().join("model");
    fs_err::create_dir(&model).map_err(io("the model's folder"))?;
    let file = model.join("part-0.safetensors");
    say(&format!("{PART}: writing one file of {} MiB", size >> 20));
    write_random(&file, size)?;
    let manifest = work.path().join("bench.yaml");
    fs_err::write(&manifest, manifest_text(std::slice::from_ref(&file), size)?)
        .map_err(io("the manifest"))?;
    let store = work.path().join("store");
    let passport = work.path().join("passport.json");
    let threads = cores().to_string();
    let sovai = |what: &[&Path], flags: &[&str]| {
        let mut command = setting.sovai(&store);
        command.arg("verify").args(what).args(flags).args([
            "--full",
            "-o",
            "json",
            "-q",
            "--threads",
            &threads,
        ]);
        let done = run(&mut command, LIMIT)?;
        let result: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
        if result["ok"] != true {
            let what = "sovai verify should have found nothing".to_owned();
            return Err(BenchError::Answer { what, found: done.stdout });
        }
        Ok(done.wall.as_secs_f64())
    };
    let (passport_flag, against_flag) = (Path::new("--passport"), Path::new("--against"));
    sovai(&[&model, passport_flag, &passport], &[])?;
    agree(setting, &file, &passport)?;

    let (mut tree, mut sha, mut peer, mut alone, mut both) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..setting.rounds {
        setting.begin(PART, round)?;
        let b3sum = || {
            let mut command = Command::new(&setting.b3sum);
            command.args(["--num-threads", &threads]).arg(&file);
            Ok::<_, BenchError>(run(&mut command, LIMIT)?.wall.as_secs_f64())
        };
        let ours = || sovai(&[&model, against_flag, &passport], &[]);
        if round % 2 == 0 {
            peer.push(b3sum()?);
            tree.push(ours()?);
        } else {
            tree.push(ours()?);
            peer.push(b3sum()?);
        }
        sha.push(sovai(&[&manifest], &[])?);
        // One thread, one file: what the second digest costs shows best where nothing else plays a part.
        let digests = |mode: &str| {
            let mut command = Command::new(&setting.throughput);
            command.args(["--mode", mode, "1"]).arg(&model);
            Ok::<_, BenchError>(run(&mut command, LIMIT)?.wall.as_secs_f64())
        };
        alone.push(digests("sha256")?);
        both.push(digests("both")?);
    }
    let speed = |seconds: &[f64]| float(size) / 1e9 / median(seconds);
    let version = first_line(Command::new(&setting.b3sum).arg("--version"));
    Ok((
        vec![
            Figure::new(PART, "`sovai verify --against PASSPORT` : `b3sum`, speed", Unit::Ratio, ratios(&peer, &tree))
                .bar(Bar::AtLeast(MIN_B3SUM))
                .detail(format!(
                    "one file of {} MiB in the page cache, {threads} threads each; sovai {:.2} GB/s with reads, {version} {:.2} GB/s with a memory map",
                    size >> 20,
                    speed(&tree),
                    speed(&peer)
                )),
            Figure::new(PART, "`sovai verify --against PASSPORT` : its own SHA-256, speed", Unit::Ratio, ratios(&sha, &tree))
                .bar(Bar::AtLeast(MIN_SHA256))
                .detail(format!("SHA-256 {:.2} GB/s: one file is one thread", speed(&sha))),
            Figure::new(PART, "SHA-256 and BLAKE3 tree in one read : SHA-256 alone, time", Unit::Ratio, ratios(&both, &alone))
                .bar(Bar::AtMost(MAX_BOTH))
                .detail(format!("one thread: {:.2} GB/s and {:.2} GB/s", speed(&both), speed(&alone))),
        ],
        Vec::new(),
    ))
}

/// Both programs must come to the same digest.
fn agree(setting: &Setting, file: &Path, passport: &Path) -> Result<(), BenchError> {
    check_signals()?;
    let done = run(Command::new(&setting.b3sum).arg("--no-names").arg(file), LIMIT)?;
    let text = fs_err::read_to_string(passport).map_err(io("the passport"))?;
    let stated: Value = serde_json::from_str(&text).unwrap_or_default();
    let digest = stated.pointer("/files/0/blake3").and_then(Value::as_str).unwrap_or_default();
    if digest.is_empty() || digest != done.stdout.trim() {
        let what = format!("the passport should say what b3sum says, {}", done.stdout.trim());
        return Err(BenchError::Answer { what, found: digest.to_owned() });
    }
    Ok(())
}
