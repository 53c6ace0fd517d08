//! Random folders against random signatures, judged by a second, simpler way.

use crate::common::Model;
use proptest::prelude::*;
use sha2::Digest as _;
use sovai_core::{NullReporter, RelPath, Sha256};
use sovai_signing::oms::{Digest, HashAlgorithm, Method, Piece, Resource, Signed};
use sovai_verifier::{Links, Options, SignedList, verify_signed};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

/// Paths with what each is when it is not signed; no path is another's folder.
const PATHS: [(&str, &str); 16] = [
    ("a", "extra"),
    ("a.b", "extra"),
    ("d/a", "extra"),
    ("d/e/f", "extra"),
    ("d.x/f", "extra"),
    ("d/.git/config", "extra"),
    (".git/config", "vcs"),
    (".github/w/y.yaml", "vcs"),
    (".gitignore", "vcs"),
    (".gitignored", "extra"),
    ("skip/a", "ignored"),
    ("skip/b/c", "ignored"),
    ("skipped", "extra"),
    ("n/only.txt", "ignored"),
    (".cache/huggingface/download/a.metadata", "hub-metadata"),
    (".cache/huggingface/evil.py", "extra"),
];
const IGNORED: [&str; 2] = ["skip", "n/only.txt"];
const PIECE: usize = 2;
const CONTENTS: [&[u8]; 7] = [b"", b"x", b"y", b"xy", b"xyz", b"xyZ", b"Xyz"];

#[derive(Debug, Clone, PartialEq)]
enum Thing {
    File(&'static [u8]),
    Link,
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        8 => prop::sample::select(&CONTENTS[..]).prop_map(Thing::File),
        1 => Just(Thing::Link),
    ]
}

/// For each path, what was signed and what is there now. Mostly the same.
fn states() -> impl Strategy<Value = Vec<(Option<Thing>, Option<Thing>)>> {
    let state =
        (prop::option::of(thing()), prop::option::of(thing()), 0..4).prop_map(|(signed, now, change)| {
            let now = if change == 0 { now } else { signed.clone() };
            (signed.filter(|thing| *thing != Thing::Link), now)
        });
    proptest::collection::vec(state, PATHS.len())
}

fn digest(bytes: &[u8]) -> Digest {
    Digest { algorithm: HashAlgorithm::Sha256, bytes: sha2::Sha256::digest(bytes).to_vec() }
}

fn resource(path: &str, bytes: &[u8], shards: bool) -> Resource {
    let whole = Piece { start: 0, end: None, digest: digest(bytes) };
    let piece = |(at, chunk): (usize, &[u8])| {
        let start = (at * PIECE) as u64;
        Piece { start, end: Some(start + chunk.len() as u64), digest: digest(chunk) }
    };
    let pieces = if shards { bytes.chunks(PIECE).enumerate().map(piece).collect() } else { vec![whole] };
    Resource { name: RelPath::new(path).unwrap(), pieces }
}

/// What must be found, and what must be left unsigned.
fn expected(states: &[(Option<Thing>, Option<Thing>)], shards: bool) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut findings, mut unsigned) = (BTreeSet::new(), BTreeSet::new());
    for ((path, unlisted), (signed, now)) in PATHS.iter().zip(states) {
        // A signature of pieces does not list what is empty.
        let signed = match signed {
            Some(Thing::File(bytes)) if !(shards && bytes.is_empty()) => Some(*bytes),
            _ => None,
        };
        match (signed, now) {
            (_, Some(Thing::Link)) => drop(findings.insert(format!("symlink {path}"))),
            (None, None) => {}
            (Some(_), None) => drop(findings.insert(format!("missing {path}"))),
            (Some(old), Some(Thing::File(new))) if old == *new => {}
            (Some(old), Some(Thing::File(new))) => {
                let kind = match shards {
                    true if old.len() != new.len() => "size",
                    true if old.len() > PIECE => "piece",
                    _ => "digest",
                };
                findings.insert(format!("{kind} {path}"));
            }
            (None, Some(Thing::File(new))) => match *unlisted {
                "extra" if shards && new.is_empty() => drop(unsigned.insert(format!("empty-file {path}"))),
                "extra" => drop(findings.insert(format!("extra {path}"))),
                reason => drop(unsigned.insert(format!("{reason} {path}"))),
            },
        }
    }
    (findings, unsigned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_ways_judge_alike(states in states(), shards: bool, with_store: bool) {
        let model = Model::new(&[]);
        let mut resources = BTreeMap::new();
        let write = |path: &str, thing: &Thing| match thing {
            Thing::File(bytes) => model.write(path, bytes),
            Thing::Link => {
                fs_err::create_dir_all(model.path(path).parent().unwrap()).unwrap();
                std::os::unix::fs::symlink("a", model.path(path)).unwrap();
            }
        };
        for ((path, _), (signed, _)) in PATHS.iter().zip(&states) {
            if let Some(thing @ Thing::File(bytes)) = signed {
                write(path, thing);
                resources.insert(*path, resource(path, bytes, shards));
            }
        }
        let signed = Signed {
            model_name: String::new(),
            resources: resources.into_values().filter(|resource| !resource.pieces.is_empty()).collect(),
            method: if shards { Method::Shards { size: PIECE as u64 } } else { Method::Files },
            hash: HashAlgorithm::Sha256,
            allow_symlinks: false,
            ignore_paths: IGNORED.map(str::to_owned).to_vec(),
            root: Sha256::from_bytes([0; 32]),
            single_file: false,
            tolerated: Vec::new(),
        };
        let store = with_store.then(|| model.store());
        let options = Options::new(NonZeroUsize::new(2).unwrap());
        let run = || {
            let list = SignedList { signed: &signed, signature: None, links: Links::InsideRoot };
            verify_signed(&model.source(), &list, &options, store.as_ref(), &NullReporter).unwrap()
        };
        // As it was signed; with a store, receipts are made.
        prop_assert_eq!(run().report.findings, vec![]);
        for ((path, _), (before, now)) in PATHS.iter().zip(&states) {
            if before != now {
                if before.is_some() {
                    fs_err::remove_file(model.path(path)).unwrap();
                }
                if let Some(thing) = now {
                    write(path, thing);
                }
            }
        }
        let report = run();
        let found: BTreeSet<String> = crate::common::kinds(&report.report.findings).into_iter().collect();
        let unsigned: BTreeSet<String> = report
            .unsigned
            .iter()
            .map(|item| format!("{} {}", serde_json::to_value(item).unwrap()["reason"].as_str().unwrap(), item.path))
            .collect();
        prop_assert_eq!((found, unsigned), expected(&states, shards));
    }
}
