//! Measures the computing of parity: GB of data read a second, by the clock and by the time that CPUs worked for it, and how
//! much memory it took.
//!
//! `parity FOLDER DATA PARITY MIB THREADS` makes DATA payloads of MIB MiB in FOLDER, encodes them, loses as many as there
//! is parity, and computes these again.
#![expect(clippy::print_stdout, reason = "a program for people")]

use fs_err::{File, OpenOptions};
use sovai_bundle::parity::{Column, ParityError, Run, Shard, encode, rebuild};
use sovai_verifier::Cancel;
use std::error::Error;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("a folder is missing")?);
    let mut number =
        || arguments.next().ok_or("a number is missing")?.parse::<usize>().map_err(Box::<dyn Error>::from);
    let (data, parity, mib, threads) = (number()?, number()?, number()?, number()?);
    let threads = NonZeroUsize::new(threads).ok_or("no thread")?;
    let mut state = 1_u64;
    let mut block = vec![0; 1 << 20];
    let open = |name: String| {
        OpenOptions::new().create(true).truncate(true).read(true).write(true).open(folder.join(name))
    };
    let mut files = Vec::new();
    for at in 0..data {
        let mut file = open(format!("data-{at}"))?;
        for _ in 0..mib {
            for word in block.chunks_exact_mut(8) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                word.copy_from_slice(&(state ^ (state >> 29)).to_le_bytes());
            }
            file.write_all(&block)?;
        }
        files.push(file);
    }
    let size = (mib as u64) << 20;
    let shards: Vec<_> = files.iter().map(|file| Shard { file, size }).collect();
    let out = (0..parity).map(|at| open(format!("parity-{at}"))).collect::<Result<Vec<_>, _>>()?;
    let cancel = Cancel::default();
    let run = Run { threads, cancel: &cancel, progress: &|_| {} };
    let begin = (Instant::now(), worked()?);
    encode(&shards, &out, 4 << 20, &run)?;
    say("encode", (data * mib) << 20, begin)?;
    let sizes = vec![size; data];
    let lost = parity.min(data);
    let begin = (Instant::now(), worked()?);
    let column = Column {
        sizes: &sizes,
        range: 0..size,
        data: files.iter().enumerate().map(|(at, file)| (at >= lost).then_some(file)).collect(),
        parity: out.iter().map(Some).collect::<Vec<Option<&File>>>(),
    };
    let mut bytes = 0;
    rebuild(&column, &run, &mut |_, _, slice| -> Result<(), ParityError> {
        bytes += slice.len();
        Ok(())
    })?;
    say("rebuild", (data * mib) << 20, begin)?;
    println!("{bytes} bytes computed; {}", memory()?);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn say(what: &str, bytes: usize, begin: (Instant, Duration)) -> Result<(), Box<dyn Error>> {
    let clock = bytes as f64 / begin.0.elapsed().as_secs_f64() / 1e9;
    let work = bytes as f64 / worked()?.saturating_sub(begin.1).as_secs_f64() / 1e9;
    println!("{what}: {clock:.2} GB/s, {work:.2} GB a second of one CPU");
    Ok(())
}

/// How long CPUs worked for this process: the two fields of `/proc/self/stat` in hundredths of a second.
fn worked() -> Result<Duration, Box<dyn Error>> {
    let stat = fs_err::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn memory() -> Result<String, Box<dyn Error>> {
    let status = fs_err::read_to_string("/proc/self/status")?;
    Ok(status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned())
}
