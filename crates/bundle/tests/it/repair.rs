//! Lost and damaged volumes come back as they were, or nothing is touched.

use crate::common::{Builder, CHUNK, Made, Random, blob, noise};
use sovai_bundle::repair::{Lost, Patch, RepairError, RepairOptions, Repaired, repair};
use sovai_bundle::{
    BundleReport, Repair, VerifyOptions, VolumeId, VolumeSet, VolumeState, names, verify_bundle,
};
use sovai_core::NullReporter;
use sovai_verifier::Cancel;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

fn options() -> VerifyOptions {
    VerifyOptions { threads: NonZeroUsize::new(3).unwrap(), cancel: Cancel::default() }
}

fn look(folder: &Path) -> (VolumeSet, BundleReport) {
    let set = VolumeSet::open(&[folder.to_owned()], &[], &[]).unwrap();
    let report = verify_bundle(&set, &options(), &NullReporter).unwrap();
    (set, report)
}

fn mend(folder: &Path, out: Option<&Path>, patches: &[Patch]) -> Result<Repaired, RepairError> {
    let (set, report) = look(folder);
    let options = RepairOptions { verify: options(), folder, out, patches, program: None };
    repair(&set, &report, &options, &NullReporter)
}

/// All files below a folder with their bytes, but those that no index speaks of.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.clone(), fs_err::read(path).unwrap());
        }
    }
    all
}

/// The files but the sums, whose lines may stand in any order.
fn essence(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = files(folder);
    all.retain(|path, _| path.file_name().unwrap() != names::SUMS);
    all
}

fn assert_whole(folder: &Path) {
    let (_, report) = look(folder);
    assert!(report.volumes.iter().all(|volume| volume.state == VolumeState::Whole), "{:?}", report.findings);
    assert_eq!(report.repair, Repair::NotNeeded);
    assert_eq!(report.findings, []);
}

fn made(parity: u16) -> Made {
    let mut builder = Builder::with_parity(parity);
    // Volumes of different lengths, some of whose ends are in the middle of a block.
    builder.files.push(blob(noise(3, 61_111)));
    builder.make()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs_err::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn nothing_is_written_when_nothing_is_wrong() {
    let made = made(1);
    let before = files(made.path());
    let repaired = mend(made.path(), None, &[]).unwrap();
    assert_eq!(repaired, Repaired::default());
    assert_eq!(files(made.path()), before);
}

#[test]
fn any_as_many_lost_volumes_as_there_is_parity_come_back_and_one_more_is_refused() {
    for parity in 1..=3_u16 {
        let made = made(parity);
        let before = essence(made.path());
        let ids = made.ids();
        let mut random = Random::new(u64::from(parity));
        for _ in 0..6 {
            let mut order = ids.clone();
            for at in 0..order.len() {
                order.swap(at, usize::try_from(random.below(ids.len() as u64)).unwrap());
            }
            for id in &order[..usize::from(parity)] {
                fs_err::remove_dir_all(made.folder(*id)).unwrap();
            }
            mend(made.path(), None, &[]).unwrap();
            assert!(essence(made.path()) == before, "{parity}: {order:?}");
            assert_whole(made.path());
        }
        for id in &ids[..=usize::from(parity)] {
            fs_err::remove_dir_all(made.folder(*id)).unwrap();
        }
        let left = files(made.path());
        let Err(RepairError::NotEnough { lost, .. }) = mend(made.path(), None, &[]) else { panic!() };
        assert_eq!(lost.keys().copied().collect::<Vec<_>>(), ids[..=usize::from(parity)]);
        assert_eq!(files(made.path()), left, "a refusal touches nothing");
    }
}

#[test]
fn flips_cuts_removals_and_swaps_come_back_bit_by_bit() {
    let rounds = std::env::var("SOVAI_TEST_DAMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let made = made(1);
    let before = essence(made.path());
    let mut random = Random::new(42);
    let ids = made.ids();
    for round in 0..rounds {
        let id = ids[usize::try_from(random.below(ids.len() as u64)).unwrap()];
        let payload = made.payload(id);
        let length = fs_err::metadata(&payload).unwrap().len();
        match round % 6 {
            0 | 1 => flip(&payload, usize::try_from(random.below(length)).unwrap()),
            2 => {
                let file = fs_err::OpenOptions::new().write(true).open(&payload).unwrap();
                file.set_len(random.below(length)).unwrap();
            }
            3 => {
                let mut bytes = fs_err::read(&payload).unwrap();
                bytes.extend(noise(round, 1 + usize::try_from(random.below(9000)).unwrap()));
                fs_err::write(&payload, bytes).unwrap();
            }
            4 if random.below(2) == 0 => fs_err::remove_file(&payload).unwrap(),
            4 => {
                let mut bytes = fs_err::read(&payload).unwrap();
                let chunk = CHUNK as usize;
                let (first, second) = bytes.split_at_mut(chunk);
                first.swap_with_slice(&mut second[..chunk]);
                fs_err::write(&payload, bytes).unwrap();
            }
            _ => {
                let all = [names::README, names::INDEX, names::CHUNKS, names::SUMS, names::PROGRAM];
                let path = made.folder(id).join(all[usize::try_from(random.below(5)).unwrap()]);
                if path.exists() && random.below(2) == 0 {
                    flip(&path, 5);
                } else if path.exists() {
                    fs_err::remove_file(path).unwrap();
                }
            }
        }
        mend(made.path(), None, &[]).unwrap();
        assert!(essence(made.path()) == before, "round {round}: {id}");
    }
    assert_whole(made.path());
}

#[test]
fn many_damaged_volumes_are_mended_when_no_two_are_bad_in_the_same_place() {
    let made = made(1);
    let before = files(made.path());
    for (at, id) in made.ids().into_iter().enumerate() {
        flip(&made.payload(id), at * CHUNK as usize + 7);
    }
    let repaired = mend(made.path(), None, &[]).unwrap();
    assert_eq!(repaired.volumes.len(), made.ids().len());
    assert!(repaired.volumes.iter().all(|volume| (volume.computed, volume.received) == (1, 0)));
    assert_eq!(files(made.path()), before);

    // Two in one place are too many for one volume of parity; they are named.
    flip(&made.payload(VolumeId::Data(1)), 3 * CHUNK as usize);
    flip(&made.payload(VolumeId::Data(2)), 3 * CHUNK as usize);
    flip(&made.payload(VolumeId::Data(2)), 0);
    let Err(RepairError::NotEnough { lost, repair }) = mend(made.path(), None, &[]) else { panic!() };
    let fourth = || Lost::Some([4].into());
    assert_eq!(lost, BTreeMap::from([(VolumeId::Data(1), fourth()), (VolumeId::Data(2), fourth())]));
    assert!(matches!(repair, Repair::Impossible { parity: 1, lost: 2, .. }));
}

#[test]
fn only_bad_chunks_are_written_and_the_file_stays_the_same_one() {
    let made = made(1);
    let payload = made.payload(VolumeId::Data(1));
    fs_err::set_permissions(&payload, std::fs::Permissions::from_mode(0o444)).unwrap();
    let inode = fs_err::metadata(&payload).unwrap().ino();
    let before = fs_err::read(&payload).unwrap();
    fs_err::set_permissions(&payload, std::fs::Permissions::from_mode(0o644)).unwrap();
    flip(&payload, 10);
    fs_err::set_permissions(&payload, std::fs::Permissions::from_mode(0o444)).unwrap();
    mend(made.path(), None, &[]).unwrap();
    let after = fs_err::metadata(&payload).unwrap();
    assert_eq!((after.ino(), after.mode() & 0o777), (inode, 0o444));
    assert_eq!(fs_err::read(&payload).unwrap(), before);
}

#[test]
fn a_payload_with_another_name_elsewhere_is_replaced_and_not_overwritten() {
    let made = made(1);
    let payload = made.payload(VolumeId::Data(2));
    flip(&payload, 10);
    let other = made.path().join("other");
    fs_err::hard_link(&payload, &other).unwrap();
    let bad = fs_err::read(&other).unwrap();
    mend(made.path(), None, &[]).unwrap();
    assert_eq!(fs_err::read(&other).unwrap(), bad);
    assert_ne!(fs_err::read(&payload).unwrap(), bad);
    assert_whole(made.path());
}

#[test]
fn with_another_folder_the_volumes_stay_as_they_are() {
    let made = made(2);
    let good = essence(&made.folder(VolumeId::Data(2)));
    flip(&made.payload(VolumeId::Data(2)), 5000);
    fs_err::remove_dir_all(made.folder(VolumeId::Data(3))).unwrap();
    let before = files(made.path());
    let out = tempfile::tempdir().unwrap();
    mend(made.path(), Some(out.path()), &[]).unwrap();
    assert_eq!(files(made.path()), before);
    let there: Vec<_> =
        fs_err::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(there.len(), 2, "{there:?}");
    let again = essence(&out.path().join("demo-7.v002"));
    assert!(again.into_values().eq(good.into_values()));
}

#[test]
fn parity_that_was_not_made_of_this_data_is_found_and_nothing_takes_its_name() {
    // Forged where the index speaks for it: the table has the forged chunks, the data does not agree with them.
    let made = made(1);
    let payload = made.payload(VolumeId::Data(1));
    let good = fs_err::read(&payload).unwrap();
    // Forged on the disk alone: the chunk is not what the table says, and no use is made of it.
    let parity = made.payload(VolumeId::Parity(1));
    flip(&parity, 100);
    flip(&payload, 100);
    let bad = fs_err::read(&payload).unwrap();
    assert!(matches!(mend(made.path(), None, &[]), Err(RepairError::NotEnough { .. })));
    assert_eq!(fs_err::read(&payload).unwrap(), bad);
    assert_ne!(bad, good);
}

#[test]
fn a_bundle_whose_signed_parity_is_wrong_is_told_and_its_bad_chunk_is_left() {
    let builder = Builder { forge_parity: true, ..Builder::with_parity(1) };
    let made = builder.make();
    let payload = made.payload(VolumeId::Data(1));
    flip(&payload, 100);
    let bad = fs_err::read(&payload).unwrap();
    let error = mend(made.path(), None, &[]).unwrap_err();
    let RepairError::Contradiction { volume, place } = &error else { panic!("{error}") };
    assert_eq!((*volume, place.as_str()), (VolumeId::Data(1), "chunk 1"));
    assert_eq!(fs_err::read(&payload).unwrap(), bad, "nothing was written that was not looked at");
    // A whole volume: nothing half-made has its name.
    fs_err::remove_file(&payload).unwrap();
    assert!(matches!(mend(made.path(), None, &[]), Err(RepairError::Contradiction { .. })));
    assert!(!payload.exists());
}

#[test]
fn two_hundred_volumes_are_repaired_too() {
    let mut builder = Builder::with_parity(2);
    builder.volume_bytes = 6_000;
    builder.files.push(blob(noise(9, 800_000)));
    let made = builder.make();
    assert!(made.index.volumes.len() >= 200, "{}", made.index.volumes.len());
    let before = essence(made.path());
    fs_err::remove_dir_all(made.folder(VolumeId::Data(77))).unwrap();
    fs_err::remove_dir_all(made.folder(VolumeId::Parity(1))).unwrap();
    mend(made.path(), None, &[]).unwrap();
    assert!(essence(made.path()) == before);
}

const CHILD: &str = "SOVAI_TEST_REPAIR";

/// What is killed in the next test: this program once more.
#[test]
fn child() {
    if let Some(folder) = std::env::var_os(CHILD) {
        mend(Path::new(&folder), None, &[]).unwrap();
    }
}

#[test]
fn whoever_is_killed_is_followed_by_a_run_that_ends_whole() {
    let rounds = std::env::var("SOVAI_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let mut builder = Builder::with_parity(2);
    builder.volume_bytes = 3_000_000;
    builder.files.push(blob(noise(5, 8_000_000)));
    let made = builder.make();
    let before = essence(made.path());
    let mut random = Random::new(5);
    let mut killed = 0;
    for round in 0..rounds {
        fs_err::remove_dir_all(made.folder(VolumeId::Data(1 + round % 3))).unwrap();
        let payload = made.payload(VolumeId::Parity(1));
        let length = fs_err::metadata(&payload).unwrap().len();
        for _ in 0..20 {
            flip(&payload, usize::try_from(random.below(length)).unwrap());
        }
        for _ in 0..4 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "repair::child"])
                .env(CHILD, made.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(20 + random.below(400)));
            killed += u32::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        mend(made.path(), None, &[]).unwrap();
        assert!(essence(made.path()) == before, "round {round}");
        assert_whole(made.path());
    }
    assert!(killed > 0, "none was killed in the middle");
}
