//! Passports: made from one read, compared in parallel, never wrong.

use crate::common::{Model, bytes, flip, kinds, options};
use sovai_core::{Event, FilePin, NullReporter, RecordingReporter, Reporter, Sha256};
use sovai_verifier::{
    ByteRange, Digests, Finding, Options, Pace, Passport, Report, Reread, TrustedPassport, digest_files,
    digest_source, make_passport, verify, verify_against, verify_against_trusted,
};
use std::num::{NonZeroU64, NonZeroUsize};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const MIB: u64 = 1 << 20;

/// One file of three and a half chunks, one of exactly two, some of less than one.
pub(crate) fn model() -> Model {
    Model::new(&[
        ("config.json", b"{}"),
        ("empty.txt", b""),
        ("weights/large.bin", &bytes(3_670_016, 1)),
        ("weights/two.bin", &bytes(2 << 20, 2)),
        ("weights/one.bin", &bytes(1 << 20, 3)),
    ])
}

fn full() -> Options {
    options(Reread::Full)
}

pub(crate) fn passport(model: &Model) -> Passport {
    make_passport(&model.source(), &full(), None, &NullReporter).unwrap()
}

pub(crate) fn against(model: &Model, passport: &Passport) -> Report {
    verify_against(&model.source(), passport, &full(), &NullReporter).unwrap()
}

#[test]
fn a_passport_has_all_digests_and_survives_a_round_trip() {
    let model = model();
    let passport = passport(&model);
    let mut pins = model.pins.clone();
    pins.sort();
    assert_eq!(passport.pins(), pins);
    assert_eq!((passport.chunk_size(), passport.bytes()), (MIB, FilePin::total(&pins)));
    let counts: Vec<usize> = passport.files().iter().map(|file| file.chunks.len()).collect();
    assert_eq!(counts, [0, 0, 4, 0, 2]);
    for file in passport.files() {
        let bytes = fs_err::read(model.path(file.path.as_str())).unwrap();
        assert_eq!(file.blake3.as_bytes(), blake3::hash(&bytes).as_bytes(), "{}", file.path);
    }
    // `git hash-object` of `{}` and of nothing.
    let ids: Vec<String> =
        passport.files().iter().take(2).map(|file| file.git_blob.unwrap().to_string()).collect();
    assert_eq!(ids, ["9e26dfeeb6e641a33dae4961196235bdb965b21b", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"]);

    let json = passport.to_json();
    assert_eq!(Passport::parse(&json).unwrap(), passport);
    assert_eq!(make_passport(&model.source(), &full(), None, &NullReporter).unwrap().to_json(), json);
    let report = against(&model, &passport);
    assert_eq!((report.findings, report.hashed), (Vec::new(), passport.bytes()));
}

#[test]
fn only_the_digests_that_are_asked_for_are_made() {
    let model = model();
    let none = Digests { blake3: false, git_blob: false, fsverity: false };
    let files = digest_files(&model.source(), none, &full(), &NullReporter).unwrap();
    assert!(
        files.iter().all(|file| (&file.blake3, file.git_blob, file.fsverity) == (&None, None, None)),
        "{files:?}"
    );
    let pins = digest_source(&model.source(), &full(), &NullReporter).unwrap();
    let digests: Vec<Sha256> = files.iter().map(|file| file.sha256).collect();
    assert_eq!(digests, pins.iter().map(|pin| pin.sha256).collect::<Vec<_>>());
}

#[test]
fn damage_is_named_to_the_range() {
    let model = model();
    let passport = passport(&model);
    flip(&model.path("weights/large.bin"), 1 << 20);
    flip(&model.path("weights/large.bin"), (3 << 20) - 1);
    flip(&model.path("weights/two.bin"), 0);
    flip(&model.path("config.json"), 1);
    let findings = against(&model, &passport).findings;
    let damaged = |path: &str, start, end| Finding::Damaged {
        path: path.to_owned(),
        ranges: vec![ByteRange { start, end }],
        more: 0,
        bytes: end - start,
        tensors: Vec::new(),
        more_tensors: 0,
    };
    assert_eq!(
        findings,
        [
            damaged("config.json", 0, 2),
            damaged("weights/large.bin", MIB, 3 * MIB),
            damaged("weights/two.bin", 0, MIB),
        ]
    );
    assert_eq!(findings[1].to_string(), "`weights/large.bin` is damaged at bytes 1,048,576-3,145,727");
}

#[test]
fn damage_is_named_to_the_tensor_unless_the_header_is_damaged_too() {
    let header = r#"{"a":{"dtype":"U8","shape":[1500000],"data_offsets":[0,1500000]},"b.scales":{"dtype":"U8","shape":[1000000],"data_offsets":[1500000,2500000]},"c":{"dtype":"U8","shape":[1000000],"data_offsets":[2500000,3500000]}}"#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(&bytes(3_500_000, 1));
    let model = Model::new(&[("model-00038.safetensors", &file)]);
    let passport = passport(&model);
    let path = model.path("model-00038.safetensors");
    flip(&path, 2_400_000);
    let findings = against(&model, &passport).findings;
    assert_eq!(
        findings[0].to_string(),
        "`model-00038.safetensors` is damaged at bytes 2,097,152-3,145,727: tensors `b.scales`, `c`"
    );
    flip(&path, 10);
    let findings = against(&model, &passport).findings;
    assert_eq!(
        findings[0].to_string(),
        "`model-00038.safetensors` is damaged at bytes 0-1,048,575, 2,097,152-3,145,727"
    );
}

#[test]
fn all_else_is_found_as_by_verify() {
    let model = model();
    let passport = passport(&model);
    fs_err::remove_file(model.path("config.json")).unwrap();
    symlink("large.bin", model.path("weights/link")).unwrap();
    model.write("extra", b"");
    model.write("weights/one.bin", b"short");
    fs_err::remove_file(model.path("empty.txt")).unwrap();
    fs_err::create_dir(model.path("empty.txt")).unwrap();
    let found = against(&model, &passport).findings;
    let by_verify = verify(&model.source(), &model.pins, &full(), None, &NullReporter).unwrap().findings;
    assert_eq!(found, by_verify);
    assert_eq!(found.len(), 5);
}

/// Does something to the source while the first file, the largest, is being read.
struct Meddler<F: Fn() + Send + Sync>(F, std::sync::Once);

impl<F: Fn() + Send + Sync> Reporter for Meddler<F> {
    fn report(&self, event: Event) {
        if event.done < event.total {
            self.1.call_once(&self.0);
        }
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_found() {
    let meddle: [&(dyn Fn(&Model) + Sync); 3] = [
        // The same bytes, written again.
        &|model| {
            let path = model.path("weights/large.bin");
            flip(&path, 0);
            flip(&path, 0);
        },
        &|model| {
            let file = fs_err::OpenOptions::new().write(true).open(model.path("weights/large.bin")).unwrap();
            file.set_len(3_670_017).unwrap();
        },
        &|model| {
            let file = fs_err::OpenOptions::new().write(true).open(model.path("weights/large.bin")).unwrap();
            file.set_len(1).unwrap();
        },
    ];
    for meddle in meddle {
        for from_disk in [false, true] {
            let model = model();
            let passport = passport(&model);
            // A change within one tick of the clock would not show.
            std::thread::sleep(Duration::from_millis(25));
            let options = Options { from_disk, ..full() };
            let reporter = || Meddler(|| meddle(&model), std::sync::Once::new());
            let report = verify_against(&model.source(), &passport, &options, &reporter()).unwrap();
            assert_eq!(kinds(&report.findings), ["changed-during-read weights/large.bin"]);

            model.write("weights/large.bin", &bytes(3_670_016, 1));
            std::thread::sleep(Duration::from_millis(25));
            let report = verify(&model.source(), &model.pins, &options, None, &reporter()).unwrap();
            assert_eq!(kinds(&report.findings), ["changed-during-read weights/large.bin"]);

            model.write("weights/large.bin", &bytes(3_670_016, 1));
            std::thread::sleep(Duration::from_millis(25));
            let error = make_passport(&model.source(), &options, None, &reporter()).unwrap_err();
            assert!(error.to_string().ends_with("`weights/large.bin` changed while it was read"), "{error}");
        }
    }
}

#[test]
fn receipts_are_written_and_believed_only_for_a_trusted_passport() {
    let model = model();
    let store = model.store();
    let passport = passport(&model);
    let trusted = TrustedPassport::judged_by_caller(&passport);
    let run = |options: &Options| {
        let report =
            verify_against_trusted(&model.source(), trusted, options, Some(&store), &NullReporter).unwrap();
        assert_eq!(report.findings, []);
        report.hashed
    };
    let usual = options(Reread::UseReceipts);
    assert_eq!(run(&usual), passport.bytes());
    assert_eq!(run(&usual), 0);
    assert_eq!(run(&full()), passport.bytes());
    assert_eq!(run(&Options { from_disk: true, ..usual.clone() }), passport.bytes());
    // The receipts are for the SHA-256, so that `verify` takes them too.
    let report = verify(&model.source(), &model.pins, &usual, Some(&store), &NullReporter).unwrap();
    assert_eq!(report.hashed, 0);
    let report = verify_against(&model.source(), &passport, &usual, &NullReporter).unwrap();
    assert_eq!(report.hashed, passport.bytes());

    flip(&model.path("weights/two.bin"), 5);
    let report =
        verify_against_trusted(&model.source(), trusted, &usual, Some(&store), &NullReporter).unwrap();
    assert_eq!(kinds(&report.findings), ["damaged weights/two.bin"]);
    assert_eq!(report.hashed, 2 * MIB);
    // A damaged file has no receipt.
    let report = verify(&model.source(), &model.pins, &usual, Some(&store), &NullReporter).unwrap();
    assert_eq!(kinds(&report.findings), ["digest weights/two.bin"]);
}

#[test]
fn making_a_passport_leaves_receipts() {
    let model = model();
    let store = model.store();
    make_passport(&model.source(), &full(), Some(&store), &NullReporter).unwrap();
    let usual = options(Reread::UseReceipts);
    let report = verify(&model.source(), &model.pins, &usual, Some(&store), &NullReporter).unwrap();
    assert_eq!((report.findings, report.hashed), (Vec::new(), 0));
}

#[test]
fn what_cannot_be_verified_gets_no_passport() {
    let model = model();
    symlink("one.bin", model.path("weights/link")).unwrap();
    let error = make_passport(&model.source(), &full(), None, &NullReporter).unwrap_err();
    assert!(error.to_string().contains("is a symbolic link"), "{error}");
}

#[test]
fn the_disk_is_read_to_the_same_end() {
    let model = model();
    let passport = passport(&model);
    let options = Options { from_disk: true, ..full() };
    let reporter = RecordingReporter::default();
    let report = verify_against(&model.source(), &passport, &options, &reporter).unwrap();
    assert_eq!((report.findings, report.hashed), (Vec::new(), passport.bytes()));
    let report = verify(&model.source(), &model.pins, &options, None, &reporter).unwrap();
    assert_eq!((report.findings, report.hashed), (Vec::new(), passport.bytes()));
    assert_eq!(digest_source(&model.source(), &options, &reporter).unwrap(), passport.pins());
    flip(&model.path("weights/large.bin"), 3_670_015);
    let report = verify_against(&model.source(), &passport, &options, &reporter).unwrap();
    assert_eq!(kinds(&report.findings), ["damaged weights/large.bin"]);
    let report = verify(&model.source(), &model.pins, &options, None, &reporter).unwrap();
    assert_eq!(kinds(&report.findings), ["digest weights/large.bin"]);
}

#[test]
fn a_file_system_without_direct_reads_is_told_once() {
    let options = Options { from_disk: true, ..full() };
    // procfs cannot be read round its cache: it has neither.
    let reporter = RecordingReporter::default();
    let pins = [crate::common::pin("status", b"")];
    let report = verify(Path::new("/proc/self/status"), &pins, &options, None, &reporter).unwrap();
    assert_eq!(kinds(&report.findings), ["changed-during-read status"]);
    let notes: Vec<Event> = reporter.events().into_iter().filter(|event| event.message.is_some()).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
}

#[test]
fn a_limit_holds_over_all_threads() {
    let model =
        Model::new(&[("a", &bytes(300_000, 1)), ("b", &bytes(300_000, 2)), ("c", &bytes(300_000, 3))]);
    let passport = passport(&model);
    let pace = || Pace::limited(NonZeroU64::new(MIB).unwrap());
    for against in [false, true] {
        let options = Options { pace: pace(), ..full() };
        let start = Instant::now();
        let report = if against {
            verify_against(&model.source(), &passport, &options, &NullReporter).unwrap()
        } else {
            verify(&model.source(), &model.pins, &options, None, &NullReporter).unwrap()
        };
        assert_eq!((report.findings, report.hashed), (Vec::new(), 900_000));
        // The first read of each of two threads is ahead of the limit.
        let least = Duration::from_secs_f64((900_000.0 - 2.0 * 131_072.0) / 1_048_576.0 - 0.1);
        assert!(start.elapsed() >= least, "{:?}", start.elapsed());
    }
}

#[test]
fn many_files_and_many_threads_come_to_the_same() {
    let small: Vec<(String, Vec<u8>)> = (0..300u64)
        .map(|n| (format!("dir{}/{n}", n % 7), bytes(usize::try_from(n).unwrap(), n + 1)))
        .collect();
    let files: Vec<(&str, &[u8])> =
        small.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let model = Model::new(&files);
    model.write("large", &bytes(5 << 20, 9));
    let passport = passport(&model);
    for threads in [1, 3, 16] {
        let options = Options { threads: NonZeroUsize::new(threads).unwrap(), ..full() };
        let report = verify_against(&model.source(), &passport, &options, &NullReporter).unwrap();
        assert_eq!((report.findings, report.hashed), (Vec::new(), passport.bytes()));
    }
}
