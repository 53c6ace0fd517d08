//! What size does to it: a folder as large as the largest models, and one of very many small files.

use crate::error::{BenchError, io};
use crate::machine::cores;
use crate::process::{Finished, check_signals, run};
use crate::report::{Bar, Figure, Unit};
use crate::stats::{float, length, median};
use crate::{Measured, Setting, say};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// This part's name.
pub(crate) const PART: &str = "shape";

/// The shape of `DeepSeek-V4-Flash`: 46 shards, 149 GiB.
const SHARDS: u64 = 46;
const MODEL_MIB: u64 = 149 << 10;
const TENSORS: u64 = 32;
/// The folder of small files.
const SMALL_FILES: u64 = 200_000;
const SMALL_BYTES: u64 = 1 << 10;
const LIMIT: Duration = Duration::from_mins(15);
/// The bars.
const MAX_UNCHANGED_S: f64 = 1.0;
const MAX_SMALL_S: f64 = 5.0;
const BASE_MIB: f64 = 64.0;
const THREAD_MIB: f64 = 8.0;
/// How much slower a byte of the large folder may be than one of half of it: linear, with room for a noisy machine. Both are
/// larger than a machine's memory, so that both push pages out of the system's cache.
const MAX_LINEAR: f64 = 1.2;

/// Measures.
pub(crate) fn measure(setting: &Setting) -> Result<Measured, BenchError> {
    let (mut figures, notes) = large(setting)?;
    figures.extend(small(setting)?);
    Ok((figures, notes))
}

fn large(setting: &Setting) -> Result<Measured, BenchError> {
    let work = setting.temp()?;
    let total = if setting.quick { MODEL_MIB / 512 } else { MODEL_MIB } << 20;
    say(&format!("{PART}: {SHARDS} sparse shards of {} GiB in all", total >> 30));
    let whole = Case::shards(work.path(), "whole", total)?;
    let half = Case::shards(work.path(), "half", total / 2)?;
    // Reading all of it takes a minute: once, and once half of it.
    setting.begin(PART, 0)?;
    let (part_pins, _) = (half.pin(setting)?, half.verify(setting, false)?);
    let pins = whole.pin(setting)?;
    let full = whole.verify(setting, true)?;
    let part = half.verify(setting, true)?;
    let again: Vec<f64> = (0..setting.rounds)
        .map(|_| Ok(whole.verify(setting, false)?.wall.as_secs_f64()))
        .collect::<Result<_, BenchError>>()?;
    let per_byte = |bytes: u64, done: &Finished| done.wall.as_secs_f64() / float(bytes);
    let linear = per_byte(pins, &full) / per_byte(part_pins, &part);
    let max_peak = length(cores()).mul_add(THREAD_MIB, BASE_MIB);
    let gib = float(pins) / f64::from(1 << 30);
    Ok((
        vec![
            Figure::new(PART, "149 GiB in 46 shards: peak memory", Unit::Mebibytes, vec![full.peak_mib])
                .bar(Bar::Below(max_peak))
                .detail(format!("{gib:.1} GiB of sparse files with valid headers, {} threads", cores())),
            Figure::new(
                PART,
                "149 GiB in 46 shards: time of a byte : that in half of it",
                Unit::Ratio,
                vec![linear],
            )
            .bar(Bar::AtMost(MAX_LINEAR))
            .detail(format!(
                "{:.1} s for {gib:.1} GiB, {:.2} GB/s; one run",
                full.wall.as_secs_f64(),
                float(pins) / 1e9 / full.wall.as_secs_f64()
            )),
            Figure::new(PART, "149 GiB in 46 shards: again, nothing changed", Unit::Seconds, again)
                .bar(Bar::Below(MAX_UNCHANGED_S))
                .detail("receipts answer"),
        ],
        Vec::new(),
    ))
}

fn small(setting: &Setting) -> Result<Vec<Figure>, BenchError> {
    let work = setting.temp()?;
    let count = if setting.quick { SMALL_FILES / 100 } else { SMALL_FILES };
    say(&format!("{PART}: {count} files of {SMALL_BYTES} bytes in one folder"));
    let folder = Signed::new(work.path(), count, setting)?;
    // The first one fills the system's caches and writes receipts.
    folder.verify(setting, true)?;
    let (mut full, mut again, mut peaks) = (vec![], vec![], vec![]);
    for round in 0..setting.rounds {
        setting.begin(PART, round)?;
        let done = folder.verify(setting, true)?;
        peaks.push(done.peak_mib);
        full.push(done.wall.as_secs_f64());
        again.push(folder.verify(setting, false)?.wall.as_secs_f64());
    }
    let mib = float(count * SMALL_BYTES) / f64::from(1 << 20);
    Ok(vec![
        Figure::new(PART, "200,000 small files in one signed folder, all read", Unit::Seconds, full)
            .bar(Bar::Below(MAX_SMALL_S))
            .detail(format!(
                "{count} files, {mib:.0} MiB: hashing alone is a fraction of a second; peak memory {:.0} MiB",
                median(&peaks)
            )),
        Figure::new(PART, "200,000 small files: again, nothing changed", Unit::Seconds, again)
            .detail("receipts answer; each file is opened all the same, to say what it is"),
    ])
}

/// A folder of small files with a signature. A manifest or a lock of so many files would be over the limits of both.
#[derive(Debug)]
struct Signed {
    folder: PathBuf,
    signature: PathBuf,
    public: PathBuf,
    store: PathBuf,
}

impl Signed {
    fn new(work: &Path, count: u64, setting: &Setting) -> Result<Self, BenchError> {
        let made = Self {
            folder: work.join("small"),
            signature: work.join("small.sig"),
            public: work.join("k.pub"),
            store: work.join("small.store"),
        };
        fs_err::create_dir(&made.folder).map_err(io("the folder of small files"))?;
        let mut bytes = [0x5au8; 1 << 10];
        for number in 0..count {
            if number % 1000 == 0 {
                check_signals()?;
            }
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            fs_err::write(made.folder.join(format!("part-{number:06}.bin")), bytes)
                .map_err(io("a small file"))?;
        }
        let key = work.join("k");
        let mut generate = setting.sovai(&made.store);
        run(generate.args(["keys", "generate", "--algorithm", "p256", "-q", "--out"]).arg(&key), LIMIT)?;
        let mut sign = setting.sovai(&made.store);
        sign.args(["sign", "model", "-q"]).arg(&made.folder);
        run(sign.arg("--key").arg(&key).arg("--signature").arg(&made.signature), LIMIT)?;
        Ok(made)
    }

    fn verify(&self, setting: &Setting, full: bool) -> Result<Finished, BenchError> {
        let mut command = setting.sovai(&self.store);
        command.arg("verify").arg(&self.folder).arg("--signature").arg(&self.signature);
        command.arg("--key").arg(&self.public).args(["-q", "--threads", &cores().to_string()]);
        if full {
            command.arg("--full");
        }
        // Its exit code says whether it found anything.
        run(&mut command, LIMIT)
    }
}

/// A folder with its manifest and its store.
#[derive(Debug)]
struct Case {
    manifest: PathBuf,
    store: PathBuf,
    bytes: u64,
}

impl Case {
    fn new(work: &Path, name: &str, bytes: u64) -> Result<Self, BenchError> {
        let manifest = work.join(format!("{name}.yaml"));
        let text = format!(
            "apiVersion: sovai/v1\nkind: Stack\nmetadata: {{name: {name}}}\nspec:\n  models:\n    bytes: {{source: \"file:./{name}\", \
             license: MIT}}\n  services:\n    unused: {{engine: vllm, image: {{name: unused, id: \"sha256:{}\"}}, model: bytes}}\n",
            "0".repeat(64)
        );
        fs_err::write(&manifest, text).map_err(io("the manifest"))?;
        fs_err::create_dir(work.join(name)).map_err(io("the model's folder"))?;
        Ok(Self { manifest, store: work.join(format!("{name}.store")), bytes })
    }

    /// Safetensors shards whose bytes are holes, behind headers that are valid.
    fn shards(work: &Path, name: &str, total: u64) -> Result<Self, BenchError> {
        let case = Self::new(work, name, total)?;
        let tensor = total / SHARDS / TENSORS / 4096 * 4096;
        for shard in 1..=SHARDS {
            check_signals()?;
            let mut header = String::from("{");
            for number in 0..TENSORS {
                let comma = if number == 0 { "" } else { "," };
                let (start, end) = (number * tensor, (number + 1) * tensor);
                let _ = write!(
                    header,
                    "{comma}\"layers.{shard}.{number}.weight\":{{\"dtype\":\"F8_E4M3\",\"shape\":[{tensor}],\"data_offsets\":[{start},{end}]}}"
                );
            }
            header.push('}');
            while header.len() % 8 != 0 {
                header.push(' ');
            }
            let path = work.join(name).join(format!("model-{shard:05}-of-{SHARDS:05}.safetensors"));
            let mut file = fs_err::File::create(path).map_err(io("a shard"))?;
            let length = header.len() as u64;
            file.write_all(&length.to_le_bytes()).map_err(io("a shard"))?;
            file.write_all(header.as_bytes()).map_err(io("a shard"))?;
            file.set_len(8 + length + TENSORS * tensor).map_err(io("a shard"))?;
        }
        Ok(case)
    }

    /// Makes the lock; gives the number of bytes that are pinned.
    fn pin(&self, setting: &Setting) -> Result<u64, BenchError> {
        let mut command = setting.sovai(&self.store);
        run(command.arg("lock").arg(&self.manifest).args(["-o", "json", "-q"]), LIMIT)?;
        Ok(self.bytes)
    }

    fn verify(&self, setting: &Setting, full: bool) -> Result<Finished, BenchError> {
        let mut command = setting.sovai(&self.store);
        command.arg("verify").arg(&self.manifest).args([
            "-o",
            "json",
            "-q",
            "--threads",
            &cores().to_string(),
        ]);
        if full {
            command.arg("--full");
        }
        let done = run(&mut command, LIMIT)?;
        let result: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
        let read = result.pointer("/models/0/hashed").and_then(Value::as_u64).unwrap_or_default();
        if result["ok"] != true || (full && read == 0) {
            let what = "sovai verify should have read every file and found nothing".to_owned();
            return Err(BenchError::Answer { what, found: done.stdout });
        }
        Ok(done)
    }
}
