use super::*;
use crate::remote::boxed;
use crate::source::{Body, BoxFuture, ByteRange, Listing, Wanted};
use bytes::Bytes;
use sovai_core::{RecordingReporter, RelPath, Sha256};
use sovai_http::HttpError;
use sovai_listing::GitBlob;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// A source in memory whose answers are made to order.
#[derive(Debug, Default)]
struct Fake {
    files: Vec<ListedFile>,
    bytes: BTreeMap<String, Vec<u8>>,
    /// Pieces until an answer breaks off.
    break_after: Option<usize>,
    /// Whether ranges are heeded.
    no_ranges: bool,
    /// Whether each answer drips, and is given up after its first piece.
    drips: bool,
    /// Whether answers say how long a file is.
    says_no_length: bool,
    asked: Mutex<Vec<Option<ByteRange>>>,
}

impl Fake {
    fn with(mut self, path: &str, bytes: &[u8], size: Option<u64>, git: Option<[u8; 20]>) -> Self {
        let path = RelPath::new(path).unwrap();
        self.bytes.insert(path.to_string(), bytes.to_vec());
        self.files.push(ListedFile { path, size, sha256: None, git_blob: git });
        self.files.sort();
        self
    }

    fn listed(mut self, path: &str, size: u64, sha256: [u8; 32]) -> Self {
        let sha256 = Some(Sha256::from_bytes(sha256));
        self.files.push(ListedFile {
            path: RelPath::new(path).unwrap(),
            size: Some(size),
            sha256,
            git_blob: None,
        });
        self.files.sort();
        self
    }
}

impl Source for Fake {
    fn origin(&self) -> &'static str {
        "fake:"
    }

    fn list<'a>(&'a self, revision: Option<&'a str>) -> BoxFuture<'a, Listing> {
        let revision = revision.map(ToOwned::to_owned);
        boxed(async { Ok(Listing { revision, license: Some("mit".into()), files: self.files.clone() }) })
    }

    fn open<'a>(&'a self, file: &'a Wanted, range: Option<ByteRange>) -> BoxFuture<'a, Body> {
        boxed(async move {
            self.asked.lock().unwrap().push(range);
            if file.path.as_str() == "slow" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let bytes = &self.bytes[file.path.as_str()];
            let range = range.filter(|_| !self.no_ranges);
            let start = range.map_or(0, |range| range.start);
            let part = &bytes[usize::try_from(start).unwrap()..];
            let mut pieces: Vec<Result<Bytes, SourceError>> =
                part.chunks(2).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            if let Some(after) = self.break_after.filter(|after| *after < pieces.len()) {
                pieces.truncate(after);
                let source = HttpError::Body { url: "x".into(), reason: "broken".into() };
                pieces.push(Err(SourceError::Http { origin: "fake:".into(), source }));
            }
            if self.drips {
                pieces.truncate(1);
                let source = HttpError::Slow { url: "x".into(), bytes: 4096, within: Duration::from_mins(1) };
                pieces.push(Err(SourceError::Http { origin: "fake:".into(), source }));
            }
            let total = (!self.says_no_length).then_some(bytes.len() as u64);
            Ok(Body { start, length: None, total, stream: Box::pin(futures_util::stream::iter(pieces)) })
        })
    }
}

fn options() -> ResolveOptions {
    let retry = Retry { tries: 3, first: Duration::ZERO, most: Duration::ZERO };
    ResolveOptions { requests: NonZeroUsize::new(4).unwrap(), retry }
}

fn run(source: &Fake, selection: &Selection) -> Result<ResolvedModel, SourceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(resolve(source, Some("c"), selection, &options(), &RecordingReporter::default()))
}

/// `printf hello | git hash-object --stdin`.
fn hello() -> [u8; 20] {
    GitBlob::from_hex("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0").unwrap().bytes()
}
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[test]
fn what_the_list_knows_is_not_read_and_the_rest_is_hashed() {
    let source = Fake::default()
        .listed("w.safetensors", 595_000_000_000, [7; 32])
        .with("a.json", b"hello", Some(5), Some(hello()))
        .with("LICENSE", b"hello", None, None);
    let model = run(&source, &Selection::default()).unwrap();
    assert_eq!((model.revision.as_deref(), model.license.as_deref()), (Some("c"), Some("mit")));
    let found: Vec<_> = model.files.iter().map(|f| (f.pin.path.as_str(), f.pin.size, f.basis)).collect();
    let expected = [
        ("LICENSE", 5, Basis::Hashed),
        ("a.json", 5, Basis::HashedAsGitSays),
        ("w.safetensors", 595_000_000_000, Basis::Listed),
    ];
    assert_eq!(found, expected);
    assert_eq!(model.files[1].pin.sha256.hex(), HELLO);
    assert_eq!(model.license_files, [model.files[0].pin.clone()]);
    assert_eq!(source.asked.lock().unwrap().len(), 2);
    assert_eq!(run(&source, &Selection::default()).unwrap(), model);
}

#[test]
fn bytes_that_contradict_the_list_are_a_mismatch() {
    for (size, git, bytes, part) in [
        (5, hello(), &b"hellO"[..], "git blob b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"),
        (4, hello(), b"hello", "expected 4 bytes"),
        (6, hello(), b"hello", "expected 6 bytes"),
    ] {
        let error =
            run(&Fake::default().with("a", bytes, Some(size), Some(git)), &Selection::default()).unwrap_err();
        assert!(matches!(error, SourceError::Mismatch { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_file_that_breaks_off_goes_on_where_it_was() {
    for no_ranges in [false, true] {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut source = Fake::default().with("a", &bytes, Some(256), None);
        (source.break_after, source.no_ranges) = (Some(if no_ranges { 100 } else { 10 }), no_ranges);
        if no_ranges {
            // It never gets beyond byte 200, and is given up.
            assert!(run(&source, &Selection::default()).unwrap_err().is_transient());
            assert_eq!(source.asked.lock().unwrap().len(), 3);
            source.break_after = None;
        }
        let model = run(&source, &Selection::default()).unwrap();
        let expected = Sha256::from_bytes(
            sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), &bytes)).into(),
        );
        assert_eq!(model.files[0].pin.sha256, expected);
        if !no_ranges {
            let asked = source.asked.lock().unwrap();
            assert_eq!(asked[..2], [None, Some(ByteRange { start: 20, end: 256 })]);
        }
    }
}

#[test]
fn files_are_sorted_whichever_comes_first() {
    let source = Fake::default()
        .with("slow", b"hello", None, None)
        .with("z", b"", None, None)
        .with("a", b"", None, None);
    let model = run(&source, &Selection::default()).unwrap();
    let found: Vec<_> = model.files.iter().map(|file| (file.pin.path.as_str(), file.pin.size)).collect();
    assert_eq!(found, [("a", 0), ("slow", 5), ("z", 0)]);
}

#[test]
fn a_selection_that_takes_nothing_is_an_error() {
    let source = Fake::default().with("a", b"x", Some(1), None);
    let selection = Selection::new(&["*.gguf"], &[]).unwrap();
    let error = run(&source, &selection).unwrap_err();
    assert!(error.to_string().contains("none of its 1 files"), "{error}");
    assert!(run(&Fake::default(), &Selection::default()).unwrap_err().to_string().contains("no files"));
}

#[test]
fn licence_files_are_known_by_name() {
    for glob in LICENSE_FILES {
        assert!(globset::Glob::new(glob).is_ok(), "{glob}");
    }
    let names = license_names();
    for name in [
        "license",
        "license.md",
        "license-model",
        "license-code",
        "licence.txt",
        "copying",
        "model_license",
        "model-license.txt",
    ] {
        assert!(names.is_match(name), "{name}");
    }
    for name in ["readme.md", "licensed.safetensors", "model.gguf", "config.json", "copyings"] {
        assert!(!names.is_match(name), "{name}");
    }
}

#[test]
fn a_server_that_drips_is_given_up_though_bytes_came() {
    let source = Fake { drips: true, ..Fake::default() }.with("a", &[7; 100], Some(100), None);
    let error = run(&source, &Selection::default()).unwrap_err();
    assert!(error.is_slow(), "{error:?}");
    assert_eq!(source.asked.lock().unwrap().len(), 3);
}

#[test]
fn a_file_whose_length_nobody_states_is_read_up_to_a_bound() {
    let source = Fake { says_no_length: true, ..Fake::default() }.with("a", &[7; 100], None, None);
    let read = |most: u64| {
        let reporter = RecordingReporter::default();
        let progress = Progress::new("fake:", &reporter, &[]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(hash_file(&source, &source.files[0], None, Retry::ONCE, most, &progress))
    };
    assert_eq!(read(100).unwrap().pin.size, 100);
    let error = read(99).unwrap_err();
    assert!(matches!(error, SourceError::Malformed { .. }), "{error:?}");
    assert!(error.to_string().contains("more than 99 B came"), "{error}");
}
