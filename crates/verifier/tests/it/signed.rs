//! A folder against the list of files that a signature speaks for.

use crate::common::{Model, bytes, flip, kinds, options, pin};
use blake2::Digest as _;
use rustix::fs::{CWD, FileType, Mode};
use sovai_core::{NullReporter, RelPath, Sha256};
use sovai_signing::oms::{
    Bundle, Compat, Digest, HashAlgorithm, Method, Piece, Resource, SignRequest, Signed,
};
use sovai_signing::{Algorithm, PrivateKey};
use sovai_store::Store;
use sovai_verifier::{Finding, Links, Reason, Reread, SignedList, SignedReport, verify_signed};
use std::os::unix::fs::symlink;
use std::path::Path;

fn hash(algorithm: HashAlgorithm, bytes: &[u8]) -> Digest {
    let bytes = match algorithm {
        HashAlgorithm::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
        HashAlgorithm::Blake2b => blake2::Blake2b512::digest(bytes).to_vec(),
        HashAlgorithm::Blake3 => blake3::hash(bytes).as_bytes().to_vec(),
    };
    Digest { algorithm, bytes }
}

/// What a signature by these files would say.
fn signed(files: &[(&str, &[u8])], hash_type: HashAlgorithm, method: Method, ignore: &[&str]) -> Signed {
    let piece =
        |bytes: &[u8], start: u64, end: Option<u64>| Piece { start, end, digest: hash(hash_type, bytes) };
    let resources = files.iter().map(|(path, bytes)| Resource {
        name: RelPath::new(path).unwrap(),
        pieces: match method {
            Method::Files => vec![piece(bytes, 0, None)],
            Method::Shards { size } => (0u64..)
                .step_by(usize::try_from(size).unwrap())
                .zip(bytes.chunks(usize::try_from(size).unwrap()))
                .map(|(start, chunk)| piece(chunk, start, Some(start + chunk.len() as u64)))
                .collect(),
        },
    });
    Signed {
        model_name: "model".to_owned(),
        resources: resources.filter(|resource| !resource.pieces.is_empty()).collect(),
        method,
        hash: hash_type,
        allow_symlinks: false,
        ignore_paths: ignore.iter().map(|&path| path.to_owned()).collect(),
        root: Sha256::from_bytes([0; 32]),
        single_file: false,
        tolerated: Vec::new(),
    }
}

/// A folder and what was signed of it.
struct Case {
    model: Model,
    signed: Signed,
    links: Links,
}

impl Case {
    fn with(files: &[(&str, &[u8])], hash: HashAlgorithm, method: Method, ignore: &[&str]) -> Self {
        Self { model: Model::new(files), signed: signed(files, hash, method, ignore), links: Links::Refuse }
    }

    fn new(files: &[(&str, &[u8])], ignore: &[&str]) -> Self {
        Self::with(files, HashAlgorithm::Sha256, Method::Files, ignore)
    }

    fn usual() -> Self {
        let weights = bytes(300_000, 1);
        Self::new(&[("config.json", b"{}"), ("empty", b""), ("weights/model.safetensors", &weights)], &[])
    }

    fn run_with(&self, source: &Path, signature: Option<&Path>, store: Option<&Store>) -> SignedReport {
        let list = SignedList { signed: &self.signed, signature, links: self.links };
        verify_signed(source, &list, &options(Reread::UseReceipts), store, &NullReporter).unwrap()
    }

    fn run(&self) -> SignedReport {
        self.run_with(&self.model.source(), None, None)
    }

    #[track_caller]
    fn assert(&self, findings: &[&str], unsigned: &[(&str, Reason)]) {
        let report = self.run();
        assert_eq!(kinds(&report.report.findings), findings);
        assert_unsigned(&report, unsigned);
    }
}

#[track_caller]
fn assert_unsigned(report: &SignedReport, expected: &[(&str, Reason)]) {
    let found: Vec<(&str, Reason)> =
        report.unsigned.iter().map(|item| (item.path.as_str(), item.reason)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_signed_folder_is_verified_from_its_bundle_to_its_files() {
    let model = Model::usual();
    let files: Vec<(RelPath, Sha256)> = model.pins.iter().map(|pin| (pin.path.clone(), pin.sha256)).collect();
    let key = PrivateKey::generate(Algorithm::P256).unwrap();
    let request = SignRequest {
        model_name: "model".to_owned(),
        files: &files,
        ignore_paths: vec![RelPath::new("model.sig").unwrap()],
        key: &key,
        chain: None,
    };
    let bundle = sovai_signing::oms::sign(request).unwrap();
    model.write("model.sig", &bundle);
    let signed = Bundle::parse(&bundle, Compat::Strict).unwrap().verify_key(key.public()).unwrap();
    let case = Case { model, signed, links: Links::Refuse };
    let signature = case.model.path("model.sig");
    let report = case.run_with(&case.model.source(), Some(&signature), None);
    assert_eq!(report.report.findings, []);
    assert_unsigned(&report, &[]);
    assert_eq!((report.report.files, report.report.bytes, report.report.hashed), (4, 305_002, 305_002));
}

#[test]
fn missing_extra_and_changed_files_are_found() {
    let case = Case::usual();
    case.assert(&[], &[]);
    flip(&case.model.path("weights/model.safetensors"), 299_999);
    case.model.write("extra/file", b"");
    fs_err::remove_file(case.model.path("config.json")).unwrap();
    fs_err::create_dir(case.model.path("config.json")).unwrap();
    fs_err::remove_file(case.model.path("empty")).unwrap();
    case.assert(
        &["not-regular config.json", "missing empty", "extra extra/file", "digest weights/model.safetensors"],
        &[],
    );
}

#[test]
fn an_unchanged_signed_model_is_not_read_again_and_a_changed_one_is() {
    let case = Case::usual();
    let store = case.model.store();
    let run = || case.run_with(&case.model.source(), None, Some(&store)).report;
    assert_eq!((run().hashed, run().hashed), (300_002, 0));
    flip(&case.model.path("weights/model.safetensors"), 7);
    assert_eq!(
        (kinds(&run().findings), run().hashed),
        (vec!["digest weights/model.safetensors".to_owned()], 300_000)
    );
    flip(&case.model.path("weights/model.safetensors"), 7);
    assert_eq!((run().findings, run().hashed), (vec![], 0));
    // A grown file is not the one of the receipt, whatever its first bytes are.
    case.model.write("config.json", b"{} ");
    assert_eq!(kinds(&run().findings), ["digest config.json"]);
}

#[test]
fn a_receipt_speaks_for_a_digest_and_not_for_a_signature() {
    let mut case = Case::usual();
    let store = case.model.store();
    assert_eq!(case.run_with(&case.model.source(), None, Some(&store)).report.findings, []);
    case.signed.resources[0].pieces[0].digest = hash(HashAlgorithm::Sha256, b"[]");
    let report = case.run_with(&case.model.source(), None, Some(&store)).report;
    assert_eq!((kinds(&report.findings), report.hashed), (vec!["digest config.json".to_owned()], 2));
}

#[test]
fn files_dropped_into_git_folders_are_an_unsigned_remainder() {
    let case = Case::usual();
    case.model.write(".git/hooks/post-checkout", b"#!/bin/sh");
    case.model.write(".github/workflows/evil.yaml", b"");
    case.model.write(".gitignore", b"");
    case.assert(
        &[],
        &[
            (".git/hooks/post-checkout", Reason::Vcs),
            (".github/workflows/evil.yaml", Reason::Vcs),
            (".gitignore", Reason::Vcs),
        ],
    );
    assert_eq!(case.run().report.remainder.counts[&Reason::Vcs], 3);
    // Only at the root.
    case.model.write("weights/.git/config", b"");
    case.model.write(".gitlab/x", b"");
    assert_eq!(kinds(&case.run().report.findings), ["extra .gitlab/x", "extra weights/.git/config"]);
}

#[test]
fn a_signed_file_under_a_git_name_is_verified() {
    let case = Case::new(&[(".gitattributes", b"x"), ("a", b"a")], &[".gitattributes.d"]);
    case.assert(&[], &[]);
    flip(&case.model.path(".gitattributes"), 0);
    case.assert(&["digest .gitattributes"], &[]);
}

#[test]
fn a_hole_that_the_signer_chose_is_an_unsigned_remainder() {
    // `a/b` was there when it was signed, and is not listed, because `a` is ignored.
    let case = Case::new(&[("config.json", b"{}")], &["a", "notes/draft.txt"]);
    case.assert(&[], &[]);
    case.model.write("a/b", b"anything");
    case.model.write("a/deep/er/c", b"");
    case.model.write("notes/draft.txt", b"");
    case.assert(
        &[],
        &[("a/b", Reason::Ignored), ("a/deep/er/c", Reason::Ignored), ("notes/draft.txt", Reason::Ignored)],
    );
}

#[test]
fn ignored_is_what_is_named_and_nothing_that_looks_like_it() {
    let case = Case::new(&[("config.json", b"{}")], &["a", "*.txt", "notes/draft.txt", "."]);
    for path in ["ab", "b/a", "x.txt", "notes/draft.txt.bak", "notes/other", "A"] {
        case.model.write(path, b"");
    }
    case.assert(
        &[
            "extra A",
            "extra ab",
            "extra b/a",
            "extra notes/draft.txt.bak",
            "extra notes/other",
            "extra x.txt",
        ],
        &[],
    );
}

#[test]
fn the_signature_itself_counts_only_where_it_does_not_ignore_itself() {
    let run = |ignore: &[&str], signature: &str| {
        let case = Case::new(&[("config.json", b"{}")], ignore);
        case.model.write("model.sig", b"{}");
        let signature = case.model.dir.path().join(signature);
        let report = case.run_with(&case.model.source(), Some(&signature), None);
        let unsigned: Vec<_> = report.unsigned.iter().map(|item| item.reason).collect();
        (kinds(&report.report.findings), unsigned)
    };
    assert_eq!(run(&["model.sig"], "source/model.sig"), (vec![], vec![]));
    assert_eq!(
        run(&["model.sig"], "store/../source/./model.sig"),
        (vec![], vec![Reason::Ignored]),
        "no such path"
    );
    assert_eq!(run(&["model.sig"], "source/../source/./model.sig"), (vec![], vec![]));
    assert_eq!(run(&[], "source/model.sig"), (vec![], vec![Reason::Signature]));
    // Another file of that name is no signature.
    assert_eq!(run(&["model.sig"], "model.sig"), (vec![], vec![Reason::Ignored]));
    assert_eq!(run(&[], "model.sig"), (vec!["extra model.sig".to_owned()], vec![]));
}

#[test]
fn notes_of_a_hub_are_an_unsigned_remainder_unless_signed() {
    let note = ".cache/huggingface/download/config.json.metadata";
    let case = Case::new(&[("config.json", b"{}")], &[]);
    case.model.write(note, b"0\n0\n0\n");
    case.assert(&[], &[(note, Reason::HubMetadata)]);
    let case = Case::new(&[("config.json", b"{}"), (note, b"0\n0\n0\n")], &[]);
    case.assert(&[], &[]);
    flip(&case.model.path(note), 0);
    case.assert(&[&format!("digest {note}")], &[]);
}

#[test]
fn every_hash_function_is_compared_whole_and_in_pieces() {
    let weights = bytes(300_000, 1);
    let files: [(&str, &[u8]); 3] = [("a", b"{}"), ("empty", b""), ("weights", &weights)];
    let piece = |start: u64, end: u64| (start, end);
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Blake2b, HashAlgorithm::Blake3] {
        for (method, at, expected) in [
            (Method::Files, 150_000, piece(0, 300_000)),
            (Method::Shards { size: 1_000 }, 150_000, piece(150_000, 151_000)),
            (Method::Shards { size: 131_072 }, 131_071, piece(0, 131_072)),
            (Method::Shards { size: 131_072 }, 299_999, piece(262_144, 300_000)),
            (Method::Shards { size: 300_000 }, 0, piece(0, 300_000)),
            (Method::Shards { size: 1 << 40 }, 0, piece(0, 300_000)),
        ] {
            let case = Case::with(&files, algorithm, method, &[]);
            let empty = [("empty", Reason::EmptyFile)];
            let unsigned = if method == Method::Files { &[][..] } else { &empty[..] };
            case.assert(&[], unsigned);
            flip(&case.model.path("weights"), at);
            let found = case.run().report.findings;
            match &found[..] {
                [Finding::Piece { path, range, expected: text, .. }] => {
                    assert_eq!((path.as_str(), (range.start, range.end)), ("weights", expected));
                    assert!(text.starts_with(algorithm.id()), "{text}");
                }
                // Where one piece is the whole file, it is told as of any file.
                [Finding::Digest { .. }] => {
                    assert_eq!((algorithm, expected), (HashAlgorithm::Sha256, (0, 300_000)));
                }
                other => panic!("{algorithm} {method:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn an_empty_file_is_compared_where_it_is_listed() {
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Blake2b, HashAlgorithm::Blake3] {
        let mut case = Case::with(&[("empty", b"")], algorithm, Method::Files, &[]);
        case.assert(&[], &[]);
        case.signed.resources[0].pieces[0].digest.bytes[0] ^= 1;
        assert_eq!(case.run().report.findings.len(), 1, "{algorithm}");
    }
}

#[test]
fn in_pieces_a_file_ends_where_its_last_piece_ends() {
    let case = Case::with(&[("w", &bytes(10, 1))], HashAlgorithm::Sha256, Method::Shards { size: 4 }, &[]);
    case.assert(&[], &[]);
    let mut longer = bytes(10, 1);
    longer.push(0);
    case.model.write("w", &longer);
    assert_eq!(case.run().report.findings, [Finding::Size { path: "w".to_owned(), expected: 10, found: 11 }]);
    case.model.write("w", &bytes(8, 1));
    case.assert(&["size w"], &[]);
    // What was empty when it was signed and is not now.
    case.model.write("w", &bytes(10, 1));
    case.model.write("__init__.py", b"");
    case.assert(&[], &[("__init__.py", Reason::EmptyFile)]);
    case.model.write("__init__.py", b"import os");
    case.assert(&["extra __init__.py"], &[]);
}

#[test]
fn all_wrong_pieces_are_told_up_to_a_bound() {
    let case =
        Case::with(&[("w", &bytes(1_000, 1))], HashAlgorithm::Blake3, Method::Shards { size: 10 }, &[]);
    for at in [0, 555, 999] {
        flip(&case.model.path("w"), at);
    }
    assert_eq!(case.run().report.findings.len(), 3);
    case.model.write("w", &bytes(1_000, 2));
    assert_eq!(case.run().report.findings.len(), 20);
}

#[test]
fn links_are_followed_only_if_signer_and_operator_agree() {
    for (signer, operator, followed) in [
        (false, Links::Refuse, false),
        (false, Links::InsideRoot, false),
        (true, Links::Refuse, false),
        (true, Links::InsideRoot, true),
    ] {
        let mut case = Case::new(&[("a", b"aaa"), ("sub/b", b"aaa")], &[]);
        (case.signed.allow_symlinks, case.links) = (signer, operator);
        fs_err::remove_file(case.model.path("sub/b")).unwrap();
        symlink("../a", case.model.path("sub/b")).unwrap();
        if followed {
            case.assert(&[], &[]);
            assert_eq!(case.run().report.remainder.counts[&Reason::Link], 1);
            case.model.write("a", b"bbb");
            case.assert(&["digest a", "digest sub/b"], &[]);
        } else {
            case.assert(&["symlink sub/b"], &[]);
        }
    }
}

#[test]
fn links_that_lead_elsewhere_are_findings_also_where_links_are_allowed() {
    let mut case = Case::new(&[("sub/b", b"aaa")], &["ignored"]);
    (case.signed.allow_symlinks, case.links) = (true, Links::InsideRoot);
    let outside = case.model.dir.path().join("outside");
    fs_err::write(&outside, b"aaa").unwrap();
    let file = case.model.path("sub/b");
    case.model.write("ignored/file", b"aaa");
    symlink("../ignored", case.model.path("sub/folder")).unwrap();
    assert_eq!(kinds(&case.run().report.findings), ["symlink sub/folder"]);
    fs_err::remove_file(case.model.path("sub/folder")).unwrap();
    symlink("file", case.model.path("ignored/hop")).unwrap();
    symlink("around", case.model.path("ignored/round")).unwrap();
    symlink("round", case.model.path("ignored/around")).unwrap();
    let target = |target: &str| {
        fs_err::remove_file(&file).unwrap();
        symlink(target, &file).unwrap();
        let found = kinds(&case.run().report.findings);
        found.into_iter().filter(|found| found.contains("sub/b")).collect::<Vec<_>>()
    };
    assert_eq!(target("../ignored/file"), [""; 0]);
    assert_eq!(target("../ignored/hop"), [""; 0]);
    for refused in [
        "../../outside",
        &*outside.to_string_lossy(),
        "/proc/self/cmdline",
        "../ignored",
        "../ignored/round",
        "../ignored/none",
        "../ignored/../ignored/file",
        "../../source/ignored/file",
        "b",
        "..",
    ] {
        assert_eq!(target(refused), ["symlink sub/b"], "{refused}");
    }
}

#[test]
fn what_is_no_file_is_a_finding_under_ignored_paths_too_and_nothing_blocks() {
    let case = Case::new(&[("a", b"a")], &["ignored"]);
    case.model.write("ignored/x", b"");
    for path in ["fifo", "ignored/fifo"] {
        rustix::fs::mknodat(CWD, case.model.path(path), FileType::Fifo, Mode::RUSR, 0).unwrap();
    }
    let socket = std::os::unix::net::UnixListener::bind(case.model.path("ignored/socket")).unwrap();
    symlink("/etc/passwd", case.model.path("ignored/link")).unwrap();
    case.assert(
        &[
            "not-regular fifo",
            "not-regular ignored/fifo",
            "symlink ignored/link",
            "not-regular ignored/socket",
        ],
        &[("ignored/x", Reason::Ignored)],
    );
    drop(socket);
    // In the place of a listed file.
    fs_err::remove_file(case.model.path("a")).unwrap();
    rustix::fs::mknodat(CWD, case.model.path("a"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(kinds(&case.run().report.findings)[0], "not-regular a");
}

#[test]
fn a_signature_of_one_file() {
    let mut case = Case::new(&[("model.gguf", b"GGUF")], &[]);
    case.model.write("neighbour", b"does not count");
    let run =
        |case: &Case, name: &str| kinds(&case.run_with(&case.model.path(name), None, None).report.findings);
    assert_eq!(run(&case, "model.gguf"), [""; 0]);
    fs_err::rename(case.model.path("model.gguf"), case.model.path("renamed.gguf")).unwrap();
    assert_eq!(run(&case, "renamed.gguf"), ["missing model.gguf", "extra renamed.gguf"]);
    // The reference implementation signs one file as `.`, without a name.
    case.signed.single_file = true;
    assert_eq!(run(&case, "renamed.gguf"), [""; 0]);
    flip(&case.model.path("renamed.gguf"), 3);
    assert_eq!(run(&case, "renamed.gguf"), ["digest renamed.gguf"]);
    // One file is not the whole of a model of two.
    let case = Case::new(&[("a", b"a"), ("b", b"b")], &[]);
    assert_eq!(run(&case, "a"), ["missing b"]);
}

#[test]
fn a_file_of_absurd_length_costs_nothing_in_pieces() {
    let case = Case::with(&[("w", b"w")], HashAlgorithm::Sha256, Method::Shards { size: 4 }, &[]);
    fs_err::File::create(case.model.path("w")).unwrap().file().set_len(1 << 43).unwrap();
    let report = case.run().report;
    assert_eq!((kinds(&report.findings), report.hashed), (vec!["size w".to_owned()], 0));
}

#[test]
fn a_snapshot_of_a_hubs_cache_is_compared_like_a_folder() {
    let case = Case::new(&[], &[]);
    let case =
        Case { signed: signed(&[("config.json", b"{}")], HashAlgorithm::Sha256, Method::Files, &[]), ..case };
    let repository = case.model.path("models--org--name");
    let blob = pin("x", b"{}").sha256.hex();
    fs_err::create_dir_all(repository.join("blobs")).unwrap();
    fs_err::create_dir_all(repository.join("snapshots/0a")).unwrap();
    fs_err::write(repository.join("blobs").join(&blob), b"{}").unwrap();
    symlink(format!("../../blobs/{blob}"), repository.join("snapshots/0a/config.json")).unwrap();
    let signature = repository.join("snapshots/0a/model.sig");
    fs_err::write(&signature, b"").unwrap();
    let report = case.run_with(&repository, Some(&signature), None);
    assert_eq!(report.report.findings, []);
    assert_unsigned(&report, &[("model.sig", Reason::Signature)]);
    fs_err::write(repository.join("blobs").join(&blob), b"[]").unwrap();
    assert_eq!(
        kinds(&case.run_with(&repository, None, None).report.findings),
        ["digest config.json", "extra model.sig"]
    );
}

#[test]
fn files_whose_listed_bytes_are_all_there_are_covered() {
    let weights = bytes(300_000, 1);
    let files = [("config.json", &b"{}"[..]), ("weights/model.safetensors", &weights), ("cut", b"abc")];
    for (hash, method) in [
        (HashAlgorithm::Sha256, Method::Files),
        (HashAlgorithm::Blake3, Method::Files),
        (HashAlgorithm::Blake2b, Method::Shards { size: 100_000 }),
    ] {
        let case = Case::with(&files, hash, method, &["logs"]);
        case.model.write("logs/a", b"x");
        let covered = |case: &Case| case.run().covered.into_iter().collect::<Vec<_>>();
        assert_eq!(covered(&case), ["config.json", "cut", "weights/model.safetensors"]);
        case.model.write("cut", b"ab");
        flip(&case.model.path("weights/model.safetensors"), 299_999);
        assert_eq!(covered(&case), ["config.json"]);
    }
}
