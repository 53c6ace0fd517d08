//! What changes between the look at a source and the reading of it.

use crate::common::{Model, bytes, kinds, options};
use rustix::fs::{CWD, FileType, Mode};
use sovai_core::{Event, EventKind, NullReporter, Reporter};
use sovai_signing::oms::{Bundle, Compat, SignRequest, Signed};
use sovai_signing::{Algorithm, PrivateKey};
use sovai_verifier::{Links, Options, Reread, SignedList, verify, verify_signed};
use std::num::NonZeroUsize;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Once;

/// Does something at the first sign of reading: the largest file is open then, and no other one was.
struct AtFirstRead<F>(Once, F);

impl<F: Fn() + Send + Sync> Reporter for AtFirstRead<F> {
    fn report(&self, event: Event) {
        if event.kind == EventKind::Progress {
            self.0.call_once(&self.1);
        }
    }
}

fn one_thread() -> Options {
    Options { threads: NonZeroUsize::MIN, ..options(Reread::Full) }
}

fn signed(model: &Model) -> Signed {
    let files: Vec<_> = model.pins.iter().map(|pin| (pin.path.clone(), pin.sha256)).collect();
    let key = PrivateKey::generate(Algorithm::P256).unwrap();
    let request = SignRequest {
        model_name: "model".to_owned(),
        files: &files,
        ignore_paths: Vec::new(),
        key: &key,
        chain: None,
    };
    let bundle = sovai_signing::oms::sign(request).unwrap();
    let signed = Bundle::parse(&bundle, Compat::Strict).unwrap().verify_key(key.public()).unwrap();
    // The most that a signer can allow.
    Signed { allow_symlinks: true, ..signed }
}

/// What is found by pins, and by a signature with links allowed, when `swap` happens while the largest file is read.
#[track_caller]
fn assert_found(swap: impl Fn(&Path, &Path) + Send + Sync, expected: &[&str]) {
    let new = || Model::new(&[("large", &bytes(300_000, 1)), ("sub/small", b"small"), ("sub/tiny", b"tiny")]);
    let prepare = |model: &Model| {
        let outside = model.dir.path().join("outside");
        fs_err::create_dir(&outside).unwrap();
        fs_err::write(outside.join("small"), b"small").unwrap();
        fs_err::write(outside.join("tiny"), b"tiny").unwrap();
        outside
    };
    let model = new();
    let outside = prepare(&model);
    let reporter = AtFirstRead(Once::new(), || swap(&model.source(), &outside));
    let report = verify(&model.source(), &model.pins, &one_thread(), None, &reporter).unwrap();
    assert_eq!(kinds(&report.findings), expected, "pins");

    let model = new();
    let outside = prepare(&model);
    let reporter = AtFirstRead(Once::new(), || swap(&model.source(), &outside));
    let signed = signed(&model);
    let list = SignedList { signed: &signed, signature: None, links: Links::InsideRoot };
    let report = verify_signed(&model.source(), &list, &one_thread(), None, &reporter).unwrap().report;
    assert_eq!(kinds(&report.findings), expected, "signature");
}

#[test]
fn a_file_that_became_a_link_is_found() {
    // The bytes behind the link are the right ones.
    assert_found(
        |source, outside| {
            fs_err::remove_file(source.join("sub/small")).unwrap();
            symlink(outside.join("small"), source.join("sub/small")).unwrap();
        },
        &["symlink sub/small"],
    );
}

#[test]
fn a_folder_that_became_a_link_is_found() {
    assert_found(
        |source, outside| {
            fs_err::rename(source.join("sub"), source.join("moved")).unwrap();
            symlink(outside, source.join("sub")).unwrap();
        },
        &["symlink sub/small", "symlink sub/tiny"],
    );
}

#[test]
fn a_file_that_became_a_pipe_blocks_nothing() {
    assert_found(
        |source, _| {
            fs_err::remove_file(source.join("sub/small")).unwrap();
            rustix::fs::mknodat(CWD, source.join("sub/small"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        },
        &["not-regular sub/small"],
    );
}

#[test]
fn a_file_that_vanished_or_grew_is_found() {
    assert_found(
        |source, _| {
            fs_err::remove_file(source.join("sub/small")).unwrap();
            fs_err::write(source.join("sub/tiny"), b"tiny and more").unwrap();
        },
        &["missing sub/small", "changed-during-read sub/tiny"],
    );
}

#[test]
fn a_link_that_was_allowed_is_judged_again_when_it_is_opened() {
    let model = Model::new(&[("large", &bytes(300_000, 1)), ("sub/small", b"small"), ("target", b"small")]);
    fs_err::write(model.dir.path().join("outside"), b"small").unwrap();
    let link = model.path("sub/small");
    fs_err::remove_file(&link).unwrap();
    symlink("../target", &link).unwrap();
    let signed = signed(&model);
    let list = SignedList { signed: &signed, signature: None, links: Links::InsideRoot };
    let run = |reporter: &dyn Reporter| {
        kinds(&verify_signed(&model.source(), &list, &one_thread(), None, reporter).unwrap().report.findings)
    };
    assert_eq!(run(&NullReporter), [""; 0]);
    let swap = AtFirstRead(Once::new(), || {
        fs_err::remove_file(&link).unwrap();
        symlink("../../outside", &link).unwrap();
    });
    assert_eq!(run(&swap), ["symlink sub/small"]);
}
