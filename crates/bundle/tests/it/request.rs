//! What is asked for again, and the answer to it.

use crate::common::{Builder, CHUNK, Made, blob, noise};
use sovai_bundle::repair::{Patch, RepairError, RepairOptions, find_patches, repair};
use sovai_bundle::request::{AnswerError, Request, Wanted, answer};
use sovai_bundle::{BundleReport, VerifyOptions, VolumeId, VolumeSet, names, verify_bundle};
use sovai_core::NullReporter;
use sovai_verifier::Cancel;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

const V1: VolumeId = VolumeId::Data(1);
const V2: VolumeId = VolumeId::Data(2);

fn look(folder: &Path) -> (VolumeSet, BundleReport) {
    let set = VolumeSet::open(&[folder.to_owned()], &[], &[]).unwrap();
    let options = VerifyOptions { threads: NonZeroUsize::MIN, cancel: Cancel::default() };
    let report = verify_bundle(&set, &options, &NullReporter).unwrap();
    (set, report)
}

fn patches(set: &VolumeSet, folder: &Path) -> Vec<Patch> {
    let found = find_patches(folder, &set.index().name()).unwrap();
    found.iter().map(|path| Patch::open(path, set.index(), set.index_bytes()).unwrap()).collect()
}

fn wanted(folder: &Path) -> Request {
    let (set, report) = look(folder);
    Request::of(&set, &report, &patches(&set, folder))
}

fn mend(folder: &Path) -> Result<u64, RepairError> {
    let (set, report) = look(folder);
    let patches = patches(&set, folder);
    let verify = VerifyOptions { threads: NonZeroUsize::MIN, cancel: Cancel::default() };
    let options = RepairOptions { verify, folder, out: None, patches: &patches, program: None };
    let repaired = repair(&set, &report, &options, &NullReporter)?;
    Ok(repaired.volumes.iter().map(|volume| volume.received).sum())
}

fn flip(path: &Path, chunk: u64) {
    let file = fs_err::OpenOptions::new().write(true).open(path).unwrap();
    file.file().write_all_at(b"damaged", (chunk - 1) * u64::from(CHUNK) + 5).unwrap();
}

/// A bundle, and a copy of it on the other side.
fn made(parity: u16) -> (Made, tempfile::TempDir) {
    let mut builder = Builder::with_parity(parity);
    builder.files.push(blob(noise(3, 61_111)));
    let made = builder.make();
    let there = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(made.path().join(".")).arg(there.path()).status().unwrap();
    assert!(copied.success());
    (made, there)
}

fn sent(made: &Made, there: &Path) -> u64 {
    let request = Request::parse(&wanted(made.path()).to_text()).unwrap();
    let (set, _) = look(there);
    let answered = answer(&set, &request, made.path(), &Cancel::default()).unwrap();
    let status = Command::new("sha256sum")
        .args(["--check", "--quiet", names::SUMS])
        .current_dir(&answered.folder)
        .status()
        .unwrap();
    assert!(status.success());
    answered.chunks
}

#[test]
fn exactly_the_bad_chunks_are_asked_for_sent_and_put_in_place() {
    let (made, there) = made(0);
    for (id, chunk) in [(V1, 2), (V1, 3), (V1, 4), (V2, 7)] {
        flip(&made.payload(id), chunk);
    }
    let request = wanted(made.path());
    let chunks = |chunks: &[(u64, u64)]| Wanted { chunks: chunks.to_vec(), ..Wanted::default() };
    assert_eq!(request.volumes, BTreeMap::from([(V1, chunks(&[(2, 4)])), (V2, chunks(&[(7, 7)]))]));
    assert!(matches!(mend(made.path()), Err(RepairError::NotEnough { .. })));
    assert_eq!(sent(&made, there.path()), 4);
    assert!(wanted(made.path()).is_empty(), "nothing is asked for twice");
    assert_eq!(mend(made.path()).unwrap(), 4);
    assert_eq!(look(made.path()).1.weight(), None);
    for id in made.ids() {
        let name = made.payload(id).strip_prefix(made.path()).unwrap().to_owned();
        assert!(fs_err::read(made.payload(id)).unwrap() == fs_err::read(there.path().join(name)).unwrap());
    }
}

#[test]
fn with_parity_only_what_it_cannot_make_good_is_asked_for() {
    let (made, there) = made(1);
    fs_err::remove_dir_all(made.folder(V2)).unwrap();
    assert!(wanted(made.path()).is_empty(), "parity does that");
    flip(&made.payload(V1), 3);
    flip(&made.payload(V1), 5);
    let request = wanted(made.path());
    let both = Wanted { chunks: vec![(3, 3), (5, 5)], ..Wanted::default() };
    assert_eq!(request.volumes, BTreeMap::from([(V1, both)]), "one of two in each place");
    assert_eq!(sent(&made, there.path()), 2);
    assert_eq!(mend(made.path()).unwrap(), 2);
    assert_eq!(look(made.path()).1.weight(), None);
}

#[test]
fn whole_volumes_and_small_files_are_sent_too() {
    let (made, there) = made(0);
    fs_err::remove_dir_all(made.folder(V1)).unwrap();
    let request = wanted(made.path());
    // Nothing else here has the program.
    assert_eq!(request.volumes[&V1], Wanted { all: true, chunks: Vec::new(), files: true });
    sent(&made, there.path());
    mend(made.path()).unwrap();
    assert_eq!(look(made.path()).1.weight(), None);
}

#[test]
fn a_patch_is_believed_no_more_than_a_disk() {
    let (made, there) = made(0);
    flip(&made.payload(V1), 2);
    let bad = fs_err::read(made.payload(V1)).unwrap();
    sent(&made, there.path());
    let archive = made.path().join("demo-7.r001/demo-7.r001.tar");
    let mut bytes = fs_err::read(&archive).unwrap();
    let end = bytes.len() - 2000;
    bytes[end] ^= 1;
    fs_err::write(&archive, bytes).unwrap();
    assert!(matches!(mend(made.path()), Err(RepairError::NotEnough { .. })));
    assert!(fs_err::read(made.payload(V1)).unwrap() == bad);
}

#[test]
fn a_request_for_another_bundle_or_for_what_is_damaged_here_too_is_refused() {
    let (made, there) = made(0);
    flip(&made.payload(V1), 2);
    let request = wanted(made.path());
    let (set, _) = look(made.path());
    let out = tempfile::tempdir().unwrap();
    let error = answer(&set, &request, out.path(), &Cancel::default()).unwrap_err();
    assert_eq!(error.to_string(), "chunk 2 of v001 is not here, or not as the index says");
    let (set, _) = look(there.path());
    let other = Request { index: "00000000".to_owned(), ..request.clone() };
    let error = answer(&set, &other, out.path(), &Cancel::default()).unwrap_err();
    assert!(matches!(error, AnswerError::Other { .. }), "{error}");
    let mut beyond = request;
    beyond.volumes.get_mut(&V1).unwrap().chunks = vec![(2, 9999)];
    let error = answer(&set, &beyond, out.path(), &Cancel::default()).unwrap_err();
    assert!(matches!(error, AnswerError::Unknown { .. }), "{error}");
    let there = fs_err::read_dir(out.path()).unwrap();
    let left: Vec<_> = there.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}
