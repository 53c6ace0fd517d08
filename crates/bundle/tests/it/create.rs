//! Bundles as they are written: read back by the reader, resumed, refused.

use crate::common::{noise, sha256};
use sovai_bundle::create::{CreateError, Created, Options, Workshop};
use sovai_bundle::plan::{Contents, NewItem, Origin, Plan, PlanError, Program, plan};
use sovai_bundle::repair::{RepairOptions, repair};
use sovai_bundle::{
    Index, Model, Role, Tool, VerifyOptions, VolumeId, VolumeSet, VolumeSize, names, verify_bundle,
};
use sovai_core::{Name, NullReporter, Platform, RelPath, Sha256, TrustLevel};
use sovai_signing::{Algorithm, PrivateKey};
use sovai_store::Store;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A store with blobs, a key, and a program, in a folder of its own.
struct Place {
    dir: tempfile::TempDir,
    store: Store,
    key: PrivateKey,
    blobs: Vec<(Sha256, u64)>,
}

impl Place {
    fn new(sizes: &[usize]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let blobs = (1..)
            .zip(sizes)
            .map(|(seed, size)| (store.put(&noise(seed, *size)).unwrap(), *size as u64))
            .collect();
        fs_err::write(dir.path().join("program"), PROGRAM).unwrap();
        let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        Self { dir, store, key, blobs }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn plan(&self, size: Option<&str>) -> Result<Plan, PlanError> {
        self.plan_with(size, 0)
    }

    fn plan_with(&self, size: Option<&str>, parity: u16) -> Result<Plan, PlanError> {
        let program = self.dir.path().join("program");
        let program = Program { path: program, size: PROGRAM.len() as u64, sha256: sha256(PROGRAM) };
        plan(self.contents(), size.map(|text| text.parse::<VolumeSize>().unwrap()), parity, Some(program))
    }

    fn contents(&self) -> Contents {
        let small = |path: &str, role, bytes: &[u8]| NewItem {
            path: RelPath::new(path).unwrap(),
            role,
            size: bytes.len() as u64,
            sha256: sha256(bytes),
            origin: Origin::Bytes(bytes.to_vec()),
            runs: Vec::new(),
        };
        let blob = |(digest, size): &(Sha256, u64)| NewItem {
            path: RelPath::new(&format!("blobs/sha256/{}", digest.hex())).unwrap(),
            role: Role::Blob,
            size: *size,
            sha256: *digest,
            origin: Origin::Blob,
            runs: Vec::new(),
        };
        let mut items = vec![
            small("stack/demo.yaml", Role::Manifest, b"kind: Stack\n"),
            small("docs/empty.txt", Role::Document, b""),
            small("oci-layout", Role::Layout, b"{}"),
        ];
        items.extend(self.blobs.iter().map(blob));
        Contents {
            stack: Name::new("demo").unwrap(),
            sequence: 7,
            created: 1_700_000_000,
            platform: Platform::new("linux", "amd64", None).unwrap(),
            tool: Tool { name: "sovai".to_owned(), version: "0.1.0".to_owned() },
            manifest: RelPath::new("stack/demo.yaml").unwrap(),
            models: BTreeMap::from([(
                Name::new("assistant").unwrap(),
                Model {
                    digest: self.blobs[0].0,
                    bytes: 1,
                    source: "file:./wéights".to_owned(),
                    license: None,
                    trust: TrustLevel::Digest,
                },
            )]),
            images: BTreeMap::new(),
            base: None,
            items,
        }
    }

    fn create(&self, plan: &Plan) -> Result<Created, CreateError> {
        let mut options = Options::new(&self.key);
        options.step = 1;
        let workshop = Workshop::open(&self.out(), "a test")?;
        workshop.write(plan, &self.store, &options, &NullReporter)
    }
}

const PROGRAM: &[u8] = b"#!/bin/sh\necho a program\n";

/// Every file below a folder with its bytes.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs_err::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs_err::read(&path).unwrap());
            }
        }
    }
    found
}

/// What the reader finds wrong.
fn verified(out: &Path) -> (Index, String) {
    let set = VolumeSet::open(&[out.to_owned()], &[], &[]).unwrap();
    let options = VerifyOptions { threads: NonZeroUsize::MIN, cancel: sovai_verifier::Cancel::default() };
    let report = verify_bundle(&set, &options, &NullReporter).unwrap();
    (set.index().clone(), format!("{:?} {:?} {:?}", report.weight(), report.findings, report.bad))
}

#[test]
fn what_is_written_is_read_back_whole_and_signed() {
    let place = Place::new(&[3_000_000, 5_000_001, 0, 700]);
    let plan = place.plan(Some("2MiB")).unwrap();
    let created = place.create(&plan).unwrap();
    assert!(created.volumes.len() >= 4, "{:?}", created.volumes);
    let (index, found) = verified(&place.out());
    assert_eq!(found, "None [] {}");
    assert_eq!(index, created.index);
    let set = VolumeSet::open(&[place.out()], &[], &[]).unwrap();
    assert_eq!(set.signed_by(&[place.key.public().clone()]), [place.key.public().id()].into());
    // The folder holds the volumes and nothing else, and no volume is larger than was asked.
    let names: Vec<_> =
        fs_err::read_dir(place.out()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), created.volumes.len(), "{names:?}");
    for ((id, bytes), folder) in plan.ids().zip(plan.folder_sizes()).zip(&created.volumes) {
        let on_disk: u64 = tree(folder)
            .iter()
            .filter(|(path, _)| !path.starts_with(names::SIGNATURES))
            .map(|(_, bytes)| bytes.len() as u64)
            .sum();
        assert_eq!(on_disk, bytes, "{id}");
        assert!(bytes <= 2 << 20, "{id}: {bytes}");
    }
}

#[test]
fn without_sovai_the_files_are_there_too() {
    let place = Place::new(&[3_000_000, 700]);
    let plan = place.plan(Some("1MiB")).unwrap();
    let created = place.create(&plan).unwrap();
    let unpacked = place.dir.path().join("unpacked");
    fs_err::create_dir(&unpacked).unwrap();
    let run = |folder: &Path, line: &str| {
        let done = Command::new("sh").args(["-ec", line]).current_dir(folder).output().unwrap();
        assert!(done.status.success(), "{line}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let mut joins = String::new();
    for folder in &created.volumes {
        run(folder, "sha256sum --strict -c SHA256SUMS");
        run(folder, &format!("tar -xf *.tar -C {}", unpacked.display()));
        let readme = fs_err::read_to_string(folder.join(names::README)).unwrap();
        assert!(readme.is_ascii(), "{readme}");
        let lines = readme.lines().filter(|line| line.trim_start().starts_with("cat pieces/"));
        joins = lines.fold(String::new(), |all, line| all + line + "\n");
    }
    assert!(!joins.is_empty());
    run(&unpacked, &joins);
    let listed = run(&unpacked.join("blobs/sha256"), "for f in *; do echo \"$f  $f\"; done | sha256sum -c");
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert_eq!(fs_err::read(unpacked.join("docs/empty.txt")).unwrap(), b"");
}

#[test]
fn with_parity_any_volume_comes_back_as_it_was_written() {
    let place = Place::new(&[3_000_000, 5_000_001, 700]);
    let plan = place.plan_with(Some("2MiB"), 2).unwrap();
    let created = place.create(&plan).unwrap();
    let (index, found) = verified(&place.out());
    assert_eq!((index.parity.unwrap().volumes.len(), found.as_str()), (2, "None [] {}"));
    let before = tree(&place.out());
    for lost in created.volumes.windows(2) {
        for folder in lost {
            fs_err::remove_dir_all(folder).unwrap();
        }
        let set = VolumeSet::open(&[place.out()], &[], &[]).unwrap();
        let verify = VerifyOptions { threads: NonZeroUsize::MIN, cancel: sovai_verifier::Cancel::default() };
        let report = verify_bundle(&set, &verify, &NullReporter).unwrap();
        let options = RepairOptions { verify, folder: &place.out(), out: None, patches: &[], program: None };
        let repaired = repair(&set, &report, &options, &NullReporter).unwrap();
        assert!(repaired.volumes.iter().all(|volume| volume.lacking.is_empty()), "{repaired:?}");
        assert!(tree(&place.out()) == before, "{lost:?}");
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    let place = Place::new(&[2_000_000, 700]);
    let plan = place.plan(Some("1MiB")).unwrap();
    place.create(&plan).unwrap();
    let first = tree(&place.out());
    fs_err::remove_dir_all(place.out()).unwrap();
    place.create(&place.plan(Some("1MiB")).unwrap()).unwrap();
    assert!(first == tree(&place.out()));
}

#[test]
fn a_blob_that_rots_is_named_and_nothing_is_left() {
    let place = Place::new(&[2_000_000, 700]);
    let path = place.store.blob(&place.blobs[0].0);
    let mut bytes = fs_err::read(&path).unwrap();
    for damage in 0..3 {
        match damage {
            0 => bytes[1_999_999] ^= 1,
            1 => bytes.truncate(1_999_998),
            _ => bytes.clear(),
        }
        fs_err::remove_file(&path).unwrap();
        if !bytes.is_empty() {
            fs_err::write(&path, &bytes).unwrap();
        }
        let error = place.create(&place.plan(Some("1MiB")).unwrap()).unwrap_err();
        let CreateError::Rotten { expected, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*expected, place.blobs[0].0);
        assert_eq!(tree(&place.out()).len(), 0);
    }
}

#[test]
fn a_folder_is_written_by_one_at_a_time_and_never_over_another_bundle() {
    let place = Place::new(&[700]);
    let plan = place.plan(None).unwrap();
    let held = Workshop::open(&place.out(), "a first one").unwrap();
    let busy = place.create(&plan).unwrap_err();
    assert!(busy.to_string().contains("a first one"), "{busy}");
    drop(held);
    place.create(&plan).unwrap();
    let before = tree(&place.out());
    let again = place.create(&plan).unwrap_err();
    assert!(matches!(again, CreateError::Exists { .. }), "{again}");
    assert!(before == tree(&place.out()));
}

#[test]
fn too_small_volumes_are_refused_with_the_size_that_does() {
    let place = Place::new(&[3_000_000, 700]);
    let PlanError::TooSmall { minimum, .. } = place.plan(Some("1000")).unwrap_err() else { panic!() };
    assert!(minimum < 400_000, "{minimum}");
    let plan = place.plan(Some(&minimum.to_string())).unwrap();
    assert!(plan.folder_sizes().iter().all(|bytes| *bytes <= minimum));
    assert!(place.plan(Some(&(minimum - minimum / 20).to_string())).is_err());
    assert_eq!(plan.payload_size(VolumeId::Data(1)), plan.volumes[0].size);
}

#[test]
fn a_run_that_is_stopped_in_the_middle_of_a_volume_goes_on_there() {
    let mut place = Place::new(&[700]);
    // Twelve chunks and a bit.
    let mut blob = noise(9, 1 << 20).repeat(48);
    blob.extend_from_slice(b"the end");
    place.blobs.push((place.store.put(&blob).unwrap(), blob.len() as u64));
    let plan = place.plan(None).unwrap();
    place.create(&plan).unwrap();
    let whole = tree(&place.out());
    fs_err::remove_dir_all(place.out()).unwrap();

    let journal = place.out().join(".sovai-create/journal");
    let mut resumed = 0;
    for lines in [2, 5, 8] {
        let cancel = sovai_verifier::Cancel::default();
        let options = Options { step: 1, cancel: cancel.clone(), ..Options::new(&place.key) };
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let written = || fs_err::read_to_string(&journal).map_or(0, |text| text.lines().count());
                while written() < lines && !done.load(std::sync::atomic::Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                cancel.cancel();
            });
            let workshop = Workshop::open(&place.out(), "a test").unwrap();
            match workshop.write(&plan, &place.store, &options, &NullReporter) {
                Err(CreateError::Cancelled) => {}
                // It was faster than who was to stop it.
                Ok(created) => {
                    resumed = resumed.max(created.resumed);
                    fs_err::remove_dir_all(place.out()).unwrap();
                }
                Err(error) => panic!("{error}"),
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
    // A line that was cut off by the end of its writer, and bytes that nothing speaks of.
    if let Ok(text) = fs_err::read_to_string(&journal) {
        fs_err::write(&journal, format!("{text}{{\"mark\":{{\"vol")).unwrap();
    }
    let created = place.create(&plan).unwrap();
    assert!(created.resumed.max(resumed) > 0, "nothing was gone on with");
    assert!(whole == tree(&place.out()), "another bundle came of it");
}

#[test]
fn what_was_written_and_then_damaged_is_written_anew() {
    let mut place = Place::new(&[700]);
    let blob = noise(9, 1 << 20).repeat(24);
    place.blobs.push((place.store.put(&blob).unwrap(), blob.len() as u64));
    let plan = place.plan(None).unwrap();
    place.create(&plan).unwrap();
    let whole = tree(&place.out());
    fs_err::remove_dir_all(place.out()).unwrap();
    // Stopped by the cancellation that is set before the second blob is read: the journal has a beginning alone.
    let cancel = sovai_verifier::Cancel::default();
    cancel.cancel();
    let options = Options { step: 1, cancel, ..Options::new(&place.key) };
    let workshop = Workshop::open(&place.out(), "a test").unwrap();
    let stopped = workshop.write(&plan, &place.store, &options, &NullReporter).unwrap_err();
    assert!(matches!(stopped, CreateError::Cancelled), "{stopped}");
    for entry in
        tree(&place.out()).into_keys().filter(|path| path.extension().is_some_and(|end| end == "tar"))
    {
        fs_err::write(place.out().join(entry), b"other bytes").unwrap();
    }
    place.create(&plan).unwrap();
    assert!(whole == tree(&place.out()));
}
