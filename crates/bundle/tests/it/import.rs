//! Bringing bundles into a store: in any order, over several runs, from disks that fail.

use crate::common::{Builder, CHUNK, Made, Random, blob, noise, sha256};
use sovai_bundle::import::{
    Fault, Import, ImportError, ImportOptions, Payload, Taken, forget, installed, is_complete, unfinished,
};
use sovai_bundle::{Base, BaseBlob, ChunkTable, Index, Item, Model, Part, Role, VolumeId, names};
use sovai_core::{FilePin, Name, NullReporter, RelPath, Sha256, TrustLevel};
use sovai_store::{ModelArtifact, Store};
use sovai_verifier::Cancel;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;

/// The weights of the bundle's model, and their length.
const SEED: u64 = 11;
const WEIGHTS: usize = 300_000;

fn pins() -> Vec<FilePin> {
    let weights = noise(SEED, WEIGHTS);
    let path = RelPath::new("weights.gguf").unwrap();
    vec![FilePin { path, size: weights.len() as u64, sha256: sha256(&weights) }]
}

/// The index names the model that the blobs make.
fn with_model(index: &mut Index) {
    let digest = ModelArtifact::new(&pins()).digest;
    let model = Model {
        digest,
        bytes: WEIGHTS as u64,
        source: "file:./weights.gguf".to_owned(),
        license: None,
        trust: TrustLevel::Digest,
    };
    index.models = BTreeMap::from([(Name::new("assistant").unwrap(), model)]);
}

/// A bundle that can be installed: four volumes, over which the weights are cut.
fn builder() -> Builder {
    let artifact = ModelArtifact::new(&pins());
    Builder {
        volume_bytes: 90_000,
        files: vec![
            ("stack/demo.yaml".to_owned(), Role::Manifest, b"apiVersion: sovai/v1\n".to_vec()),
            ("docs/empty.txt".to_owned(), Role::Document, Vec::new()),
            ("sbom/demo.json".to_owned(), Role::Sbom, noise(3, 70_000)),
            blob(artifact.manifest),
            blob(artifact.config),
            blob(noise(SEED, WEIGHTS)),
            blob(noise(2, 5_000)),
        ],
        change: with_model,
        ..Builder::default()
    }
}

struct Place {
    _dir: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { store, _dir: dir }
    }

    /// One run over these payloads.
    fn run(&self, made: &Made, payloads: &[(u16, &dyn Payload)]) -> Result<Run, ImportError> {
        let text = made.index.to_json();
        let table = table(made);
        let lock = self.store.stack(&made.index.stack).lock("a test").unwrap();
        let options = ImportOptions { threads: NonZeroUsize::new(2).unwrap(), cancel: Cancel::default() };
        let bundle = (&made.index, text.as_bytes());
        let import = Import::begin(&self.store, &lock, bundle, &table, options, &NullReporter)?;
        let mut taken = Vec::new();
        for (number, payload) in payloads {
            taken.push(import.take(*number, *payload)?);
        }
        let (missing, whole) = (import.missing(), import.is_whole());
        let folder = if whole { Some(import.install(|_| Ok::<(), ImportError>(()))?) } else { None };
        Ok(Run { taken, missing, folder })
    }

    /// One run over these volumes as they lie on the disk.
    fn import(&self, made: &Made, volumes: &[u16]) -> Result<Run, ImportError> {
        let files: Vec<(u16, File)> = volumes.iter().map(|number| (*number, open(made, *number))).collect();
        let files: Vec<(u16, &dyn Payload)> =
            files.iter().map(|(number, file)| (*number, file as &dyn Payload)).collect();
        self.run(made, &files)
    }

    /// Every file of the bundle is in the store under its digest, and nothing else is left.
    fn is_whole(&self, made: &Made) {
        for item in &made.index.items {
            let bytes = fs_err::read(self.store.blob(&item.sha256)).unwrap();
            assert_eq!(sha256(&bytes), item.sha256, "{}", item.path);
        }
        assert!(is_complete(&self.store, &made.index));
        assert!(self.store.partial_files().unwrap().is_empty());
        assert!(unfinished(&self.store, &made.index.stack).unwrap().is_empty());
    }

    /// No blob of the store has other bytes than its name says.
    fn is_true(&self) {
        for entry in fs_err::read_dir(self.store.root().join("blobs/sha256")).unwrap() {
            let path = entry.unwrap().path();
            let digest = sha256(&fs_err::read(&path).unwrap()).hex();
            assert_eq!(path.file_name().unwrap().to_str(), Some(digest.as_str()));
        }
    }

    /// Names and lengths of all that lies in the store.
    fn listing(&self) -> BTreeSet<(String, u64)> {
        fn walk(folder: &Path, root: &Path, all: &mut BTreeSet<(String, u64)>) {
            for entry in fs_err::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, root, all);
                } else {
                    let name = path.strip_prefix(root).unwrap().display().to_string();
                    all.insert((name, fs_err::metadata(&path).unwrap().len()));
                }
            }
        }
        let mut all = BTreeSet::new();
        walk(self.store.root(), self.store.root(), &mut all);
        // Locks and receipts say nothing of the bundle.
        all.retain(|(name, _)| !name.ends_with("lock") && !name.starts_with("receipts/"));
        all
    }
}

struct Run {
    taken: Vec<Taken>,
    missing: Vec<VolumeId>,
    folder: Option<std::path::PathBuf>,
}

fn table(made: &Made) -> ChunkTable {
    let text = fs_err::read_to_string(made.folder(VolumeId::Data(1)).join(names::CHUNKS)).unwrap();
    ChunkTable::parse(&text).unwrap()
}

fn open(made: &Made, number: u16) -> File {
    fs_err::File::open(made.payload(VolumeId::Data(number))).unwrap().into_parts().0
}

fn all(made: &Made) -> Vec<u16> {
    (1..=u16::try_from(made.index.volumes.len()).unwrap()).collect()
}

/// A payload that notes what was read of it, and cannot be read in some places.
struct Watched {
    bytes: Vec<u8>,
    reads: Mutex<Vec<(u64, usize)>>,
    fails: std::ops::Range<u64>,
}

impl Watched {
    fn new(made: &Made, number: u16) -> Self {
        let bytes = fs_err::read(made.payload(VolumeId::Data(number))).unwrap();
        Self { bytes, reads: Mutex::default(), fails: 0..0 }
    }

    fn read(&self) -> u64 {
        self.reads.lock().unwrap().iter().map(|(_, length)| *length as u64).sum()
    }
}

impl Payload for Watched {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if at < self.fails.end && at + buffer.len() as u64 > self.fails.start {
            return Err(io::Error::other("the disk is gone"));
        }
        let rest = self.bytes.get(usize::try_from(at).unwrap()..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.reads.lock().unwrap().push((at, length));
        Ok(length)
    }
}

#[test]
fn a_bundle_comes_in_with_one_read_of_each_payload_from_its_start_to_its_end() {
    let (made, place) = (builder().make(), Place::new());
    let payloads: Vec<Watched> = all(&made).into_iter().map(|number| Watched::new(&made, number)).collect();
    let given: Vec<(u16, &dyn Payload)> =
        (1..).zip(&payloads).map(|(number, payload)| (number, payload as &dyn Payload)).collect();
    let run = place.run(&made, &given).unwrap();
    assert_eq!((run.missing, run.folder.is_some()), (Vec::new(), true));
    for payload in &payloads {
        let reads = payload.reads.lock().unwrap().clone();
        assert!(
            reads.is_sorted_by(|(at, length), (next, _)| at + *length as u64 <= *next),
            "forward, and once"
        );
        assert!(payload.read() <= payload.bytes.len() as u64);
    }
    place.is_whole(&made);
    let folder = run.folder.unwrap();
    assert_eq!(fs_err::read(folder.join("stack/demo.yaml")).unwrap(), b"apiVersion: sovai/v1\n");
    assert_eq!(sha256(&fs_err::read(folder.join("bundle.json")).unwrap()), made.digest);
    let tree = place.store.tree(&ModelArtifact::new(&pins()).digest);
    assert_eq!(fs_err::read(tree.join("weights.gguf")).unwrap(), noise(SEED, WEIGHTS));
    let (newest, same) = installed(&place.store, &made.index.stack, made.index.sequence).unwrap();
    assert_eq!(newest, same);
    assert_eq!(newest.unwrap().digest, made.digest);
    // The same again finds all of it there.
    let again = place.import(&made, &all(&made)).unwrap();
    assert!(again.taken.iter().all(|taken| taken.read == 0), "nothing is read again");
}

#[test]
fn volumes_come_in_any_order_one_run_each() {
    let made = builder().make();
    let count = all(&made).len();
    assert!(count >= 4, "{count} volumes");
    let mut orders = vec![all(&made), all(&made).into_iter().rev().collect::<Vec<_>>()];
    let mut random = Random::new(5);
    for _ in 0..4 {
        let mut order = all(&made);
        for at in (1..order.len()).rev() {
            order.swap(at, usize::try_from(random.next() % (at as u64 + 1)).unwrap());
        }
        orders.push(order);
    }
    for order in orders {
        let place = Place::new();
        for (at, number) in order.iter().enumerate() {
            let run = place.import(&made, &[*number]).unwrap();
            let left: BTreeSet<VolumeId> = order[at + 1..].iter().map(|n| VolumeId::Data(*n)).collect();
            assert_eq!(run.missing.into_iter().collect::<BTreeSet<_>>(), left, "{order:?}");
            assert_eq!(run.folder.is_some(), left.is_empty());
            place.is_true();
        }
        place.is_whole(&made);
    }
}

/// How far the weights are hashed, as the store remembers it.
fn hashed(place: &Place, made: &Made) -> u64 {
    let path = place.store.stack(&made.index.stack).path().join("bundles/7.partial/hashes.json");
    let saved: serde_json::Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    saved[pins()[0].sha256.to_string()]["bytes"].as_u64().unwrap_or(0)
}

#[test]
fn no_file_is_hashed_as_a_whole_again_when_its_volumes_come_in_order() {
    let (made, place) = (builder().make(), Place::new());
    let mut last = 0;
    for number in all(&made).into_iter().rev().skip(1).rev() {
        place.import(&made, &[number]).unwrap();
        let now = hashed(&place, &made);
        let there = place.store.partial_bytes(&pins()[0].sha256, WEIGHTS as u64);
        assert_eq!(now, there, "what is there is hashed");
        assert!(now > last || now == 0);
        last = now;
    }
    assert!(last > 200_000, "{last}");
    // A file that somebody touched in between is read again, and right all the same.
    let path = place.store.root().join("partial").join(pins()[0].sha256.hex());
    let times = std::fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    File::options().write(true).open(path).unwrap().set_times(times).unwrap();
    place.import(&made, &all(&made)).unwrap();
    place.is_whole(&made);
}

fn flip(made: &Made, number: u16, at: usize) {
    let path = made.payload(VolumeId::Data(number));
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[at] ^= 1;
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_bit_is_named_by_its_chunk_and_never_imported() {
    let made = builder().make();
    let mut random = Random::new(9);
    for _ in 0..20 {
        let place = Place::new();
        let number = u16::try_from(random.next() % made.index.volumes.len() as u64).unwrap() + 1;
        let size = made.index.volumes[usize::from(number) - 1].payload.size;
        let at = usize::try_from(random.next() % size).unwrap();
        flip(&made, number, at);
        let run = place.import(&made, &all(&made)).unwrap();
        let damaged: Vec<_> = run.taken.iter().flat_map(|taken| &taken.damaged).collect();
        place.is_true();
        let chunk = at as u64 / u64::from(CHUNK);
        if let [damage] = damaged.as_slice() {
            assert_eq!((damage.volume, damage.chunk), (VolumeId::Data(number), chunk + 1));
            assert_eq!(damage.at, chunk * u64::from(CHUNK));
            assert!(matches!(damage.fault, Fault::Wrong));
            assert_eq!(run.missing, [VolumeId::Data(number)]);
            assert_eq!(run.folder, None, "not deployed");
        } else {
            // A chunk of padding alone holds nothing that could be brought in.
            assert!(damaged.is_empty() && run.folder.is_some(), "{damaged:?}");
        }
        // Sent again, that chunk alone is read.
        flip(&made, number, at);
        let mended = Watched::new(&made, number);
        place.run(&made, &[(number, &mended)]).unwrap();
        assert!(mended.read() <= u64::from(CHUNK), "{}", mended.read());
        place.is_whole(&made);
    }
}

#[test]
fn a_payload_that_is_cut_off_gives_what_it_has() {
    let (made, place) = (builder().make(), Place::new());
    let whole = fs_err::read(made.payload(VolumeId::Data(2))).unwrap();
    fs_err::write(made.payload(VolumeId::Data(2)), &whole[..50_000]).unwrap();
    let run = place.import(&made, &all(&made)).unwrap();
    let damaged = &run.taken[1].damaged;
    assert_eq!(damaged[0].at, 50_000 / u64::from(CHUNK) * u64::from(CHUNK));
    assert!(damaged.iter().all(|damage| matches!(damage.fault, Fault::Short)));
    assert_eq!(run.missing, [VolumeId::Data(2)]);
    fs_err::write(made.payload(VolumeId::Data(2)), whole).unwrap();
    place.import(&made, &[2]).unwrap();
    place.is_whole(&made);
}

#[test]
fn a_disk_that_is_pulled_out_costs_only_what_was_not_read() {
    let (made, place) = (builder().make(), Place::new());
    let mut pulled = Watched::new(&made, 2);
    pulled.fails = 40_000..u64::MAX;
    let run = place.run(&made, &[(1, &open(&made, 1)), (2, &pulled), (3, &open(&made, 3))]).unwrap();
    let taken = &run.taken[1];
    assert!(taken.given_up);
    let first = &taken.damaged[0];
    assert_eq!((first.volume, first.at), (VolumeId::Data(2), 36_864));
    assert!(matches!(&first.fault, Fault::Unreadable(error) if error.to_string().contains("gone")));
    assert_eq!(run.missing, [2, 4, 5].map(VolumeId::Data));
    place.is_true();
    let again = Watched::new(&made, 2);
    place.run(&made, &[(2, &again)]).unwrap();
    assert!(
        again.reads.lock().unwrap().iter().all(|(at, _)| *at >= 36_864),
        "what was right is not read again"
    );
    place.import(&made, &[4, 5]).unwrap();
    place.is_whole(&made);
}

#[test]
fn one_bad_sector_costs_one_chunk() {
    let (made, place) = (builder().make(), Place::new());
    let mut bad = Watched::new(&made, 2);
    bad.fails = 40_000..40_001;
    let run = place.run(&made, &[(2, &bad)]).unwrap();
    let taken = &run.taken[0];
    assert_eq!((taken.damaged.len(), taken.given_up), (1, false));
    let last = bad.reads.lock().unwrap().last().copied().unwrap();
    assert!(last.0 > 60_000, "the rest is read");
}

#[test]
fn what_was_signed_and_contradicts_itself_becomes_no_blob() {
    fn lie(index: &mut Index) {
        with_model(index);
        let item = index.items.iter_mut().find(|item| item.path.as_str() == "sbom/demo.json").unwrap();
        item.sha256 = Sha256::from_bytes([1; 32]);
    }
    let (made, place) = (Builder { change: lie, ..builder() }.make(), Place::new());
    let error = place.import(&made, &all(&made)).err().unwrap();
    assert!(matches!(&error, ImportError::Contradiction(why) if why.contains("010101")), "{error}");
    place.is_true();
    assert!(!place.store.has_blob(&Sha256::from_bytes([1; 32])));
}

#[test]
fn what_is_forgotten_leaves_nothing_but_what_was_there_before() {
    let (made, place) = (builder().make(), Place::new());
    let shared = place.store.put(&noise(2, 5_000)).unwrap();
    let before = place.listing();
    place.import(&made, &[1, 3]).unwrap();
    assert_ne!(place.listing(), before);
    let found = unfinished(&place.store, &made.index.stack).unwrap();
    assert_eq!(
        found.iter().map(|found| (found.sequence, found.digest)).collect::<Vec<_>>(),
        [(7, made.digest)]
    );
    let lock = place.store.stack(&made.index.stack).lock("a test").unwrap();
    let alone = place.store.hold_alone("a test").unwrap();
    let brought = forget(&place.store, &lock, &found[0]).unwrap();
    assert!(brought.remove(&place.store, &alone, &BTreeSet::new()).unwrap() > 100_000);
    assert_eq!(place.listing(), before);
    assert!(place.store.has_blob(&shared));
}

#[test]
fn another_bundle_with_the_number_of_one_that_is_half_in_is_refused() {
    let (made, place) = (builder().make(), Place::new());
    place.import(&made, &[1]).unwrap();
    let other = Builder { volume_bytes: 50_000, ..builder() }.make();
    let error = place.import(&other, &[1]).err().unwrap();
    assert!(matches!(error, ImportError::Other { found, .. } if found == made.digest), "{error}");
}

#[test]
fn an_unfinished_download_of_the_same_file_is_not_believed() {
    let (made, place) = (builder().make(), Place::new());
    let partial = place.store.partial(&pins()[0].sha256, WEIGHTS as u64, "a download").unwrap();
    partial.write(0, &[vec![7; 100_000]]).unwrap();
    drop(partial);
    place.import(&made, &all(&made)).unwrap();
    place.is_whole(&made);
}

/// The bundle, with the first half of its weights taken from a blob that the other side is to have.
fn delta(index: &mut Index) {
    with_model(index);
    let base = noise(77, 50_000);
    let digest = sha256(&base);
    index.base = Some(Base {
        kind: "list".to_owned(),
        digest: Sha256::from_bytes([3; 32]),
        blobs: vec![BaseBlob { digest, size: base.len() as u64 }],
    });
    let file = [&base[1000..41_000], &noise(2, 5_000)].concat();
    let item = index.items.iter_mut().find(|item| item.sha256 == sha256(&noise(2, 5_000))).unwrap();
    item.path = RelPath::new(&format!("blobs/sha256/{}", sha256(&file).hex())).unwrap();
    (item.size, item.sha256) = (file.len() as u64, sha256(&file));
    item.parts.insert(0, Part::Based { base: digest, offset: 1000, length: 40_000 });
    index.items.sort_by(|a: &Item, b| a.path.as_str().cmp(b.path.as_str()));
}

#[test]
fn bytes_of_the_base_are_checked_before_anything_is_applied() {
    let (made, place) = (Builder { change: delta, ..builder() }.make(), Place::new());
    let before = place.listing();
    let base = noise(77, 50_000);
    let error = place.import(&made, &all(&made)).err().unwrap();
    assert!(matches!(&error, ImportError::Base { missing } if *missing == [sha256(&base)]), "{error}");
    // Something else under its name is no base.
    fs_err::write(place.store.blob(&sha256(&base)), noise(78, 50_000)).unwrap();
    let error = place.import(&made, &all(&made)).err().unwrap();
    assert!(matches!(error, ImportError::Base { .. }), "{error}");
    fs_err::remove_file(place.store.blob(&sha256(&base))).unwrap();
    assert_eq!(place.listing(), before, "nothing was applied");
    place.store.put(&base).unwrap();
    for number in all(&made) {
        place.import(&made, &[number]).unwrap();
    }
    place.is_whole(&made);
}
