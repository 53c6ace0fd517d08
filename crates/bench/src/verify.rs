//! Verification against `openssl dgst -sha256` on one core.

use crate::error::{BenchError, io};
use crate::machine::cores;
use crate::process::{Finished, check_signals, run};
use crate::report::{Bar, Figure, Unit};
use crate::stats::{float, length, median};
use crate::{Measured, Setting, say};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// This part's name.
pub(crate) const PART: &str = "verify";

/// Files of the folder that is hashed.
pub(crate) const FILES: usize = 4;
const FILE_MIB: u64 = 1024;
/// Longest time of one run.
pub(crate) const LIMIT: Duration = Duration::from_mins(10);
/// The bars: of a thread against one core's OpenSSL; of a verification without a change; of memory, without and with a thread.
const MIN_RATIO: f64 = 0.95;
const MAX_UNCHANGED_S: f64 = 1.0;
const BASE_MIB: f64 = 64.0;
const THREAD_MIB: f64 = 8.0;

/// Measures.
pub(crate) fn measure(setting: &Setting) -> Result<Measured, BenchError> {
    let work = setting.temp()?;
    let size = file_size(setting);
    let threads = cores();
    say(&format!("verify: writing {FILES} files of {} MiB", size >> 20));
    let files = write_files(&work.path().join("model"), size)?;
    let manifest = work.path().join("bench.yaml");
    // OpenSSL gives the pins, so that both programs must agree on every byte; reading them warms the page cache.
    let text = manifest_text(&files, size)?;
    fs_err::write(&manifest, text).map_err(io("the manifest"))?;
    let store = work.path().join("store");
    let verify = |full: bool| {
        let mut command = setting.sovai(&store);
        command.arg("verify").arg(&manifest).args(["-o", "json", "-q", "--threads", &threads.to_string()]);
        if full {
            command.arg("--full");
        }
        checked(run(&mut command, LIMIT)?, if full { size * FILES as u64 } else { 0 })
    };
    verify(true)?;

    let (mut ours, mut theirs, mut plain, mut again, mut peaks) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..setting.rounds {
        setting.begin(PART, round)?;
        let file = &files[round % FILES];
        let openssl = || {
            let done = run(
                Command::new("taskset").args(["-c", "0", "openssl", "dgst", "-sha256"]).arg(file),
                LIMIT,
            )?;
            Ok::<_, BenchError>(speed(size, &done))
        };
        let mut full = || {
            let done = verify(true)?;
            peaks.push(done.peak_mib);
            Ok::<_, BenchError>(speed(size * FILES as u64, &done))
        };
        // Who goes first changes from round to round.
        if round % 2 == 0 {
            theirs.push(openssl()?);
            ours.push(full()?);
        } else {
            ours.push(full()?);
            theirs.push(openssl()?);
        }
        plain.push(speed(
            size,
            &run(Command::new("taskset").args(["-c", "0", "sha256sum"]).arg(file), LIMIT)?,
        ));
        again.push(verify(false)?.wall.as_secs_f64());
    }
    let ratios = ours.iter().zip(&theirs).map(|(a, b)| a / (length(threads) * b)).collect();
    let gib = float(size * FILES as u64) / f64::from(1 << 30);
    let max_peak = length(threads).mul_add(THREAD_MIB, BASE_MIB);
    Ok((
        vec![
            Figure::new(PART, "a thread of `sovai verify --full` : `openssl dgst -sha256` on one core", Unit::Ratio, ratios)
                .bar(Bar::AtLeast(MIN_RATIO))
                .detail(format!(
                    "{:.2} GB/s with {threads} threads over {FILES} files, {gib:.0} GiB in the page cache; openssl {:.2} GB/s",
                    median(&ours),
                    median(&theirs)
                )),
            Figure::new(PART, "`sha256sum` on one core", Unit::GigabytesPerSecond, plain)
                .detail("for scale: the one of this machine's coreutils"),
            Figure::new(PART, "again, nothing changed", Unit::Seconds, again)
                .bar(Bar::Below(MAX_UNCHANGED_S))
                .detail("receipts answer, no byte is read"),
            Figure::new(PART, "peak memory", Unit::Mebibytes, peaks)
                .bar(Bar::Below(max_peak))
                .detail(format!("resident, with {threads} threads")),
        ],
        Vec::new(),
    ))
}

/// Bytes of each file.
pub(crate) const fn file_size(setting: &Setting) -> u64 {
    (if setting.quick { 16 } else { FILE_MIB }) << 20
}

/// Makes the folder with its files of random bytes.
pub(crate) fn write_files(folder: &Path, size: u64) -> Result<Vec<PathBuf>, BenchError> {
    fs_err::create_dir(folder).map_err(io("the folder of files"))?;
    let mut files = Vec::new();
    for number in 0..FILES {
        check_signals()?;
        let path = folder.join(format!("part-{number}.safetensors"));
        write_random(&path, size)?;
        files.push(path);
    }
    Ok(files)
}

/// A file of random bytes behind a header of safetensors with one tensor: the policy wants to know what a file is.
pub(crate) fn write_random(path: &Path, size: u64) -> Result<(), BenchError> {
    const HEADER: u64 = 128;
    let bytes = size.saturating_sub(8 + HEADER);
    let header = format!("{{\"t\":{{\"dtype\":\"U8\",\"shape\":[{bytes}],\"data_offsets\":[0,{bytes}]}}}}");
    let random = fs_err::File::open("/dev/urandom").map_err(io("random bytes"))?;
    let mut file = fs_err::File::create(path).map_err(io("a file of random bytes"))?;
    let head = [&HEADER.to_le_bytes()[..], format!("{header:<128}").as_bytes()].concat();
    file.write_all(&head).map_err(io("a header"))?;
    std::io::copy(&mut random.take(bytes), &mut file)
        .map_err(io(format!("{size} bytes into {}", path.display())))?;
    // On disk now, so that writing them does not go on beside what is measured.
    file.sync_all().map_err(io("a file of random bytes"))
}

/// A manifest that pins the files to what OpenSSL says of them.
pub(crate) fn manifest_text(files: &[PathBuf], size: u64) -> Result<String, BenchError> {
    let folder = files.first().and_then(|file| file.parent()).unwrap_or(Path::new("/"));
    let mut text = format!(
        "apiVersion: sovai/v1\nkind: Stack\nmetadata:\n  name: bench\nspec:\n  models:\n    bytes:\n      source: file:{}\n      \
        license: Apache-2.0\n      files:\n",
        folder.display()
    );
    for file in files {
        let done = run(Command::new("openssl").args(["dgst", "-sha256", "-r"]).arg(file), LIMIT)?;
        let digest = done.stdout.split(' ').next().unwrap_or_default();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(text, "        - {{path: {name}, size: {size}, sha256: {digest}}}");
    }
    // A model is there for a service; this one is never started.
    text.push_str("  services:\n    unused: {engine: vllm, image: \"unused:1\", model: bytes}\n");
    Ok(text)
}

/// The run as it was, if sovai says that it found nothing and read so many bytes.
fn checked(done: Finished, hashed: u64) -> Result<Finished, BenchError> {
    let result: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
    let read = result.pointer("/models/0/hashed").and_then(Value::as_u64);
    if result["ok"] != true || read != Some(hashed) {
        return Err(BenchError::Answer {
            what: format!("sovai verify should have read {hashed} bytes and found nothing"),
            found: done.stdout,
        });
    }
    Ok(done)
}

/// 10^9 bytes a second.
fn speed(bytes: u64, done: &Finished) -> f64 {
    float(bytes) / 1e9 / done.wall.as_secs_f64()
}
