//! Checking volumes: what is damaged is found, and named.

use crate::common::{Builder, CHUNK, Made, Place, Random, noise};
use sovai_bundle::{
    BundleReport, Repair, VerifyOptions, VolumeId, VolumeSet, VolumeState, Weight, names, repairable,
    verify_bundle,
};
use sovai_core::{NullReporter, RecordingReporter};
use sovai_verifier::Cancel;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const V1: VolumeId = VolumeId::Data(1);
const V2: VolumeId = VolumeId::Data(2);
const V3: VolumeId = VolumeId::Data(3);
const P1: VolumeId = VolumeId::Parity(1);

fn options() -> VerifyOptions {
    VerifyOptions { threads: NonZeroUsize::new(3).unwrap(), cancel: Cancel::default() }
}

fn check(made: &Made) -> BundleReport {
    let set = VolumeSet::open(&[made.path().to_owned()], &[], &[]).unwrap();
    verify_bundle(&set, &options(), &NullReporter).unwrap()
}

fn kinds(report: &BundleReport) -> Vec<(&'static str, Option<VolumeId>)> {
    report.findings.iter().map(|finding| (finding.kind, finding.volume)).collect()
}

/// Changes one byte.
fn flip(path: &Path, at: u64) {
    let file = fs_err::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.file().read_exact_at(&mut byte, at).unwrap();
    file.file().write_all_at(&[byte[0] ^ 0x20], at).unwrap();
}

#[test]
fn a_whole_bundle_has_nothing_to_say_and_every_byte_is_read_once() {
    for parity in [0, 2] {
        let made = Builder::with_parity(parity).make();
        let set = VolumeSet::open(&[made.path().to_owned()], &[], &[]).unwrap();
        let reporter = RecordingReporter::default();
        let report = verify_bundle(&set, &options(), &reporter).unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(report.weight(), None);
        assert_eq!(report.repair, Repair::NotNeeded);
        assert!(report.volumes.iter().all(|volume| volume.state == VolumeState::Whole));
        let bytes: u64 = made.index.all_volumes().map(|(_, volume)| volume.payload.size).sum();
        assert_eq!(report.bytes, bytes);
        let last = reporter.events().pop().unwrap();
        assert_eq!((last.done, last.total), (Some(bytes), Some(bytes)));
    }
}

#[test]
fn the_bad_volume_is_named() {
    let made = Builder::default().make();
    let at = u64::from(CHUNK) * 3 + 17;
    flip(&made.payload(V2), at);
    let report = check(&made);
    assert_eq!(report.weight(), Some(Weight::Bytes));
    assert_eq!(report.bad, BTreeMap::from([(V2, vec![4])]));
    let states: Vec<_> = report.volumes.iter().map(|volume| volume.state).collect();
    assert_eq!(states, [VolumeState::Whole, VolumeState::Damaged, VolumeState::Whole]);
    let bad = &report.volumes[1].bad[0];
    assert_eq!((bad.first, bad.last, bad.offset, bad.length), (4, 4, u64::from(CHUNK) * 3, u64::from(CHUNK)));
    let weights = made.index.items.iter().find(|item| item.size == 100_000).unwrap();
    assert_eq!(bad.files, [weights.path.as_str()]);
    assert_eq!(report.repair, Repair::NoParity);
}

#[test]
fn a_hole_is_refused() {
    // Zeros where bytes were, of the same length: what a copy that was interrupted leaves on some file systems.
    let made = Builder::default().make();
    let length = fs_err::metadata(made.payload(V2)).unwrap().len();
    let file = fs_err::OpenOptions::new().write(true).open(made.payload(V2)).unwrap();
    file.set_len(u64::from(CHUNK) * 5).unwrap();
    file.set_len(length).unwrap();
    let report = check(&made);
    let bad = &report.volumes[1].bad;
    assert_eq!(
        (bad.len(), bad[0].first, bad[0].last),
        (1, 6, made.index.chunk_count(&made.index.volumes[1].payload))
    );
    // A volume that is not there is missing, and is nothing worse.
    fs_err::remove_dir_all(made.folder(V2)).unwrap();
    let report = check(&made);
    assert_eq!((report.weight(), report.missing.as_slice()), (Some(Weight::Missing), [V2].as_slice()));
}

#[test]
fn payloads_that_end_early_go_on_or_were_swapped_are_found() {
    let made = Builder::default().make();
    let size = fs_err::metadata(made.payload(V1)).unwrap().len();
    let payload = fs_err::OpenOptions::new().write(true).open(made.payload(V1)).unwrap();
    payload.set_len(size + 1).unwrap();
    let report = check(&made);
    assert_eq!(kinds(&report), [("payload-size", Some(V1))]);
    assert_eq!(report.volumes[0].state, VolumeState::Damaged);
    payload.set_len(u64::from(CHUNK) * 2 + 1).unwrap();
    let report = check(&made);
    let bad = &report.volumes[0].bad;
    assert_eq!((bad[0].first, bad[0].reason.as_str()), (3, "the payload ends here or before"));

    let made = Builder::default().make();
    let aside = made.path().join("aside");
    fs_err::rename(made.payload(V1), &aside).unwrap();
    fs_err::rename(made.payload(V2), made.payload(V1)).unwrap();
    fs_err::rename(&aside, made.payload(V2)).unwrap();
    let report = check(&made);
    assert_eq!(report.bad.keys().copied().collect::<Vec<_>>(), [V1, V2]);
}

#[test]
fn without_a_table_of_chunks_a_payload_is_judged_whole() {
    let made = Builder::default().make();
    for id in made.ids() {
        flip(&made.folder(id).join(names::CHUNKS), 3);
    }
    let report = check(&made);
    assert!(report.bad.is_empty());
    assert_eq!(report.weight(), Some(Weight::Bytes), "the tables themselves are damaged");
    flip(&made.payload(V3), 5);
    let report = check(&made);
    assert_eq!(report.bad.keys().copied().collect::<Vec<_>>(), [V3]);
    assert!(kinds(&report).contains(&("payload-damaged", Some(V3))));
}

#[test]
fn the_small_files_are_checked_and_strangers_are_told() {
    let made = Builder::default().make();
    flip(&made.folder(V1).join(names::README), 0);
    flip(&made.folder(V1).join(names::PROGRAM), 0);
    flip(&made.folder(V2).join(names::SUMS), 3);
    fs_err::remove_file(made.folder(V3).join(names::README)).unwrap();
    fs_err::write(made.folder(V3).join("autorun.inf"), "x").unwrap();
    let report = check(&made);
    assert_eq!(
        kinds(&report),
        [
            ("file-damaged", Some(V1)),
            ("file-damaged", Some(V1)),
            ("sums-damaged", Some(V2)),
            ("file-missing", Some(V3)),
            ("foreign", Some(V3)),
        ]
    );
    assert_eq!(report.findings.last().unwrap().weight, Weight::Note);
}

#[test]
fn nothing_hides_between_the_files() {
    // The creator itself hides it: chunks and signature are right, and the index does not speak of it.
    let hide = |at: Place, bytes: &'static [u8]| {
        let made = Builder { hide: Some((at, bytes)), ..Builder::default() }.make();
        check(&made)
    };
    // In the zeros at the end; in the padding of the manifest, which is 21 bytes long; in its header; a whole file.
    let places: [(Place, &[u8]); 3] = [
        (|payload| payload.len() - 9, b"hidden"),
        (|payload| payload.windows(5).position(|bytes| bytes == b"/v1\n\0").unwrap() + 30, b"hidden"),
        (|payload| payload.windows(5).position(|bytes| bytes == b"ustar").unwrap() + 20, b"mallory"),
    ];
    for (at, bytes) in places {
        let report = hide(at, bytes);
        assert_eq!(kinds(&report), [("not-in-index", Some(V1))], "{bytes:?}");
        assert!(report.bad.is_empty());
    }
    let made =
        Builder { change: |index| index.items.retain(|item| item.size != 5_000), ..Builder::default() }
            .make();
    let report = check(&made);
    assert_eq!(report.weight(), Some(Weight::Bytes), "a file that the index does not have");
    assert!(report.findings.iter().all(|finding| finding.kind == "not-in-index"));
}

#[test]
fn parity_makes_good_as_much_in_each_column_as_it_has_volumes() {
    let made = Builder::with_parity(1).make();
    flip(&made.payload(V1), 0);
    flip(&made.payload(V2), u64::from(CHUNK));
    assert_eq!(check(&made).repair, Repair::Possible { parity: 1, lost: 1 });
    flip(&made.payload(V3), u64::from(CHUNK) + 9);
    assert_eq!(
        check(&made).repair,
        Repair::Impossible { parity: 1, lost: 2, columns: vec![2], column_count: 1 }
    );
    fs_err::remove_dir_all(made.folder(V3)).unwrap();
    let report = check(&made);
    assert!(
        matches!(report.repair, Repair::Impossible { lost: 2, column_count: 2, .. }),
        "{:?}",
        report.repair
    );
    // A forged volume of parity counts as lost, like any other.
    let forged = Builder::with_parity(1).make();
    fs_err::write(forged.payload(P1), noise(9, 40_000)).unwrap();
    let report = check(&forged);
    assert_eq!(report.bad.keys().copied().collect::<Vec<_>>(), [P1]);
    assert!(matches!(report.repair, Repair::Possible { lost: 1, .. }));
    // A volume that is both damaged and missing counts once.
    let twice = repairable(&made.index, &[V1], &BTreeMap::from([(V1, vec![1, 2])]));
    assert_eq!(twice, Repair::Possible { parity: 1, lost: 1 });
}

#[test]
fn a_check_can_be_stopped() {
    let made = Builder::default().make();
    let set = VolumeSet::open(&[made.path().to_owned()], &[], &[]).unwrap();
    let options = options();
    options.cancel.cancel();
    assert!(verify_bundle(&set, &options, &NullReporter).is_err());
}

/// Random flips, truncations, swaps and removals over all files of all volumes. 200 when `SOVAI_SOAK` is set.
#[test]
fn random_damage_is_found_and_named() {
    let is_soak = std::env::var_os("SOVAI_SOAK").is_some_and(|value| !value.is_empty());
    let rounds = if is_soak { 200 } else { 30 };
    let mut random = Random::new(0x5eed);
    let made = Builder::with_parity(1).make();
    let ids = made.ids();
    for round in 0..rounds {
        let id = ids[usize::try_from(random.below(ids.len() as u64)).unwrap()];
        let folder = made.folder(id);
        let payload = made.payload(id);
        let mut files = vec![payload.clone(), payload.clone(), payload.clone()];
        for name in [names::README, names::SUMS, names::INDEX, names::CHUNKS] {
            files.push(folder.join(name));
        }
        files.extend(
            fs_err::read_dir(folder.join(names::SIGNATURES)).unwrap().map(|entry| entry.unwrap().path()),
        );
        let path = files[usize::try_from(random.below(files.len() as u64)).unwrap()].clone();
        let before = fs_err::read(&path).unwrap();
        let at = random.below(before.len() as u64);
        let kind = random.below(4);
        let mut expected = vec![at / u64::from(CHUNK) + 1];
        match kind {
            0 => flip(&path, at),
            1 => {
                fs_err::OpenOptions::new().write(true).open(&path).unwrap().set_len(at).unwrap();
                let chunks = (before.len() as u64).div_ceil(u64::from(CHUNK));
                expected = (expected[0]..=chunks).collect();
            }
            2 => {
                // Two runs of bytes of the same file change places, where they differ.
                let half = before.len() / 2;
                let (a, b) = (usize::try_from(at).unwrap() % half, half);
                let length = (half - a).min(64).min(before.len() - b);
                let mut after = before.clone();
                after[a..a + length].copy_from_slice(&before[b..b + length]);
                after[b..b + length].copy_from_slice(&before[a..a + length]);
                if after == before {
                    continue;
                }
                expected = (1_u64..)
                    .zip(before.chunks(CHUNK as usize).zip(after.chunks(CHUNK as usize)))
                    .filter(|(_, (before, after))| before != after)
                    .map(|(number, _)| number)
                    .collect();
                fs_err::write(&path, &after).unwrap();
            }
            _ => fs_err::remove_file(&path).unwrap(),
        }
        let what = format!("round {round}: kind {kind} at {at} of {}", path.display());
        let report = check(&made);
        let is_signature =
            path.extension().is_some_and(|end| end == "json") && path.parent() != Some(&folder);
        if path == payload && kind == 3 {
            assert_eq!(report.missing, [id], "{what}");
        } else if path == payload {
            assert_eq!(report.bad, BTreeMap::from([(id, expected)]), "{what}");
        } else if is_signature && kind == 3 {
            // The other volumes have it: nothing is lost.
            assert!(report.weight() <= Some(Weight::Note), "{what}");
        } else {
            let named = report.findings.iter().any(|finding| {
                finding.weight > Weight::Note
                    && (finding.volume == Some(id) || finding.kind == "copies-differ")
                    && finding.path.contains(path.file_name().unwrap().to_str().unwrap())
            });
            assert!(named, "{what}: {:?}", report.findings);
            assert!(report.bad.is_empty(), "{what}");
        }
        fs_err::write(&path, &before).unwrap();
    }
    assert_eq!(check(&made).weight(), None);
}
