//! The corpora of the fuzz targets are replayed: each seed's name says what must come of it.

use sovai_formats::index::{Check, Index};
use sovai_formats::{FormatError, gguf, safetensors, sniff};
use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Name and bytes of each seed of a target.
pub(crate) fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = fs_err::read_dir(folder).unwrap();
    files
        .map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), fs_err::read(file.path()).unwrap())
        })
        .collect()
}

/// Replays the seeds of a target; gives the codes that were seen.
fn replay(target: &str, parse: impl Fn(&[u8]) -> Result<(), FormatError>) -> BTreeSet<&'static str> {
    let mut seen = BTreeSet::new();
    let seeds = seeds(target);
    assert!(seeds.len() > 10, "{target}");
    for (name, bytes) in seeds {
        let begin = Instant::now();
        let found = parse(&bytes).map_or_else(|error| error.code(), |()| "ok");
        assert!(begin.elapsed() < Duration::from_secs(1), "{target}/{name} took {:?}", begin.elapsed());
        assert_eq!(found, name.split('-').next().unwrap(), "{target}/{name}: {:?}", parse(&bytes));
        seen.insert(found);
    }
    seen
}

/// Whether every rule of a group, but for those that need no bytes, has a seed.
fn covers(seen: &BTreeSet<&str>, group: &str, but: &[&str]) {
    for rule in sovai_formats::rules().iter().filter(|rule| rule.code.starts_with(group)) {
        assert_ne!(seen.contains(rule.code), but.contains(&rule.code), "{}", rule.code);
    }
}

#[test]
fn safetensors_seeds() {
    let seen = replay("safetensors", |bytes| safetensors::parse(bytes, bytes.len() as u64).map(drop));
    covers(&seen, "SOV20", &[]);
    // The reader that takes a stream agrees.
    replay("safetensors", |bytes| safetensors::read(bytes, bytes.len() as u64).map(drop));
}

#[test]
fn gguf_seeds() {
    let seen = replay("gguf", |bytes| gguf::parse(&mut Cursor::new(bytes), bytes.len() as u64).map(drop));
    covers(&seen, "SOV22", &[]);
}

#[test]
fn index_seeds() {
    let seen = replay("index", |bytes| Index::parse(bytes).and_then(Check::new).map(drop));
    // The others need shards.
    let but = ["SOV2104", "SOV2105", "SOV2106", "SOV2107", "SOV2108", "SOV2109", "SOV2110", "SOV2111"];
    covers(&seen, "SOV21", &but);
}

#[test]
fn sniff_seeds() {
    for (name, bytes) in seeds("sniff") {
        let found = sniff(&bytes, bytes.len() as u64, "model.safetensors");
        assert_eq!(Some(found.word()), name.split_once("--").map(|(word, _)| word), "{name}");
    }
}
