//! Every finding, from a real fault.

use crate::common::{Model, bytes, flip, kinds, name, options, pin, trees};
use rustix::fs::{CWD, FileType, Mode};
use sovai_core::{NullReporter, RelPath, Sha256};
use sovai_verifier::{
    Admission, Finding, Kind, Reread, VerifyError, admit, digest_source, open_file, verify,
};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Verification finds it, and admission finds the same and makes no tree.
#[track_caller]
fn assert_found(model: &Model, expected: &[&str]) -> Vec<Finding> {
    let report = model.verify();
    assert_eq!(kinds(&report.findings), expected);
    let Admission { report: admitted, receipt } = model.admit();
    assert_eq!(admitted.findings, report.findings);
    assert!(receipt.is_none());
    assert_eq!(trees(&model.store()), 0);
    report.findings
}

#[test]
fn a_whole_model_has_no_findings() {
    let model = Model::usual();
    let report = model.verify();
    assert_eq!(report.findings, []);
    assert_eq!((report.files, report.bytes, report.hashed), (4, 305_002, 305_002));
}

#[test]
fn digests_are_those_of_sha256sum() {
    let model = Model::usual();
    let pins = digest_source(&model.source(), &options(Reread::Full), &NullReporter).unwrap();
    assert_eq!(pins.len(), 4);
    for pin in &pins {
        let output = std::process::Command::new("sha256sum")
            .arg("-b")
            .arg(model.path(pin.path.as_str()))
            .output()
            .expect("sha256sum of coreutils");
        let digits = String::from_utf8(output.stdout).unwrap();
        assert_eq!(digits.split_once(' ').unwrap().0, pin.sha256.hex());
    }
    // FIPS 180-4's own examples, so that not only two programs agree.
    let model = Model::new(&[("abc", b"abc"), ("empty", b"")]);
    let pins = digest_source(&model.source(), &options(Reread::Full), &NullReporter).unwrap();
    let hex = |at: usize| pins[at].sha256.hex();
    assert_eq!(hex(0), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(hex(1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let path = "weights/model-00001.safetensors";
    for at in [0, 131_071, 131_072, 150_000, 299_999] {
        let model = Model::usual();
        let original = pin(path, &bytes(300_000, 1)).sha256;
        flip(&model.path(path), at);
        let findings = assert_found(&model, &[&format!("digest {path}")]);
        let [Finding::Digest { expected, found, .. }] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(*expected, original);
        assert_eq!(*found, pin(path, &fs_err::read(model.path(path)).unwrap()).sha256);
    }
}

#[test]
fn other_lengths_are_found_without_reading() {
    let model = Model::usual();
    model.write("weights/more/model-00002.safetensors", &bytes(4_999, 2));
    model.write("empty.txt", b"x");
    let findings = assert_found(&model, &["size empty.txt", "size weights/more/model-00002.safetensors"]);
    assert_eq!(findings[0].to_string(), "`empty.txt` is too long: expected 0 bytes, found 1");
    assert_eq!(
        findings[1].to_string(),
        "`weights/more/model-00002.safetensors` is truncated: expected 5000 bytes, found 4999"
    );
    assert_eq!(model.verify().hashed, 300_002);
}

#[test]
fn a_file_of_absurd_length_is_not_read() {
    let model = Model::usual();
    fs_err::File::create(model.path("config.json")).unwrap().file().set_len(1 << 43).unwrap();
    assert_found(&model, &["size config.json"]);
}

#[test]
fn missing_extra_and_swapped_files_are_found() {
    let model = Model::new(&[("a", &bytes(100, 1)), ("b", &bytes(100, 2)), ("c", b"c")]);
    fs_err::remove_file(model.path("c")).unwrap();
    model.write("d/e", b"");
    model.write("a", &bytes(100, 2));
    model.write("b", &bytes(100, 1));
    assert_found(&model, &["digest a", "digest b", "missing c", "extra d/e"]);
}

#[test]
fn an_empty_folder_is_no_finding() {
    let model = Model::usual();
    fs_err::create_dir_all(model.path("nothing/here")).unwrap();
    assert_eq!(model.verify().findings, []);
}

#[test]
fn links_are_findings_wherever_they_point() {
    let model = Model::new(&[("a", b"aaa"), ("b", b"bbb"), ("sub/c", b"ccc"), ("d", b"ddd")]);
    fs_err::write(model.dir.path().join("outside"), b"aaa").unwrap();
    for file in ["a", "b", "d"] {
        fs_err::remove_file(model.path(file)).unwrap();
    }
    fs_err::rename(model.path("sub"), model.dir.path().join("moved")).unwrap();
    symlink("../outside", model.path("a")).unwrap();
    model.write("elsewhere", b"bbb");
    symlink("elsewhere", model.path("b")).unwrap();
    symlink("../moved", model.path("sub")).unwrap();
    symlink("d", model.path("d")).unwrap();
    let findings = assert_found(
        &model,
        &["symlink a", "symlink b", "symlink d", "extra elsewhere", "symlink sub", "missing sub/c"],
    );
    assert_eq!(findings[0].to_string(), "`a` is a symbolic link to `../outside`");
}

#[test]
fn what_is_no_regular_file_is_found_and_blocks_nothing() {
    let model = Model::new(&[("fifo", b"f"), ("socket", b"s"), ("folder", b"d"), ("under/file", b"u")]);
    for file in ["fifo", "socket", "folder", "under/file"] {
        fs_err::remove_file(model.path(file)).unwrap();
    }
    fs_err::remove_dir(model.path("under")).unwrap();
    rustix::fs::mknodat(CWD, model.path("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(model.path("socket")).unwrap();
    fs_err::create_dir(model.path("folder")).unwrap();
    model.write("under", b"a file where a folder must be");
    let mut expected = vec![
        "not-regular fifo",
        "not-regular folder",
        "not-regular socket",
        "extra under",
        "missing under/file",
    ];
    // Only root makes devices.
    let device = rustix::fs::mknodat(CWD, model.path("null"), FileType::CharacterDevice, Mode::RUSR, 0x103);
    if device.is_ok() {
        expected.insert(2, "not-regular null");
    }
    let findings = assert_found(&model, &expected);
    assert!(matches!(&findings[0], Finding::NotRegular { found: Kind::Fifo, .. }));
    assert_eq!(findings[1].to_string(), "`folder` is a folder, expected a file");
}

#[test]
fn bad_and_colliding_names_are_found_and_are_safe_to_print() {
    let model = Model::new(&[("Model.bin", b"m")]);
    model.write("model.BIN", b"m");
    model.write("back\\slash", b"");
    model.write("\u{202e}txt.exe", b"");
    model.write("e\u{301}", b"");
    model.write("bell\u{7}\u{1b}[31m", b"");
    let not_utf8 = std::ffi::OsString::from_vec(b"caf\xe9".to_vec());
    fs_err::write(model.source().join(not_utf8), b"").unwrap();
    let findings = assert_found(
        &model,
        &[
            "bad-name \\u{202e}txt.exe",
            "bad-name back\\slash",
            "bad-name bell\\u{7}\\u{1b}[31m",
            "bad-name caf\\xe9",
            "bad-name e\\u{301}",
            "collision model.BIN",
        ],
    );
    for finding in &findings {
        assert!(finding.to_string().chars().all(|c| c.is_ascii_graphic() || c == ' '), "{finding:?}");
    }
    assert_eq!(findings[3].to_string(), "`caf\\xe9` is no valid name: it is not UTF-8");
}

#[test]
fn what_the_system_will_not_read_is_a_finding() {
    // A regular file of size 0 whose read fails with EIO, on every Linux and also for root.
    let pins = [pin("mem", b"")];
    let report = verify(Path::new("/proc/self/mem"), &pins, &options(Reread::Full), None, &NullReporter);
    let report = report.unwrap();
    assert_eq!(kinds(&report.findings), ["unreadable mem"]);
    assert!(report.findings[0].to_string().contains("Input/output error"), "{}", report.findings[0]);
}

#[test]
fn a_file_that_goes_on_beyond_its_length_changed() {
    // Size 0 by `stat`, and yet there are bytes.
    let pins = [pin("status", b"")];
    let report = verify(Path::new("/proc/self/status"), &pins, &options(Reread::Full), None, &NullReporter);
    assert_eq!(kinds(&report.unwrap().findings), ["changed-during-read status"]);
}

#[test]
fn depth_and_number_are_bounded() {
    let model = Model::new(&[]);
    let deep = ["d"; 40].join("/");
    model.write(&format!("{deep}/file"), b"");
    let at_limit = ["d"; 33].join("/");
    assert_found(&model, &[&format!("too-deep {at_limit}")]);
}

#[test]
fn one_file_is_a_source_too_and_its_neighbours_do_not_count() {
    let model = Model::new(&[("w.gguf", &bytes(1000, 1))]);
    model.write("neighbour", b"");
    let source = model.path("w.gguf");
    let run = |pins: &[_]| verify(&source, pins, &options(Reread::Full), None, &NullReporter);
    assert_eq!(run(&model.pins).unwrap().findings, []);
    assert_eq!(digest_source(&source, &options(Reread::Full), &NullReporter).unwrap(), model.pins);
    assert!(open_file(&source, &model.pins[0].path).is_ok());
    let neighbour = open_file(&source, &pin("neighbour", b"").path);
    assert!(matches!(neighbour, Err(VerifyError::SourceMissing { .. })));

    let error = run(&[pin("other.gguf", b"")]).unwrap_err();
    assert!(error.to_string().ends_with("has one pin, `w.gguf`; found 1 (`other.gguf`)"), "{error}");
    assert!(matches!(run(&[]), Err(VerifyError::Pins { .. })));

    flip(&source, 999);
    assert_eq!(kinds(&run(&model.pins).unwrap().findings), ["digest w.gguf"]);
    fs_err::remove_file(&source).unwrap();
    assert!(matches!(run(&model.pins), Err(VerifyError::SourceMissing { .. })));
    symlink("neighbour", &source).unwrap();
    assert_eq!(kinds(&run(&model.pins).unwrap().findings), ["symlink w.gguf"]);
    fs_err::remove_file(&source).unwrap();
    symlink("nowhere", &source).unwrap();
    assert_eq!(kinds(&run(&model.pins).unwrap().findings), ["symlink w.gguf"]);
}

#[test]
fn a_model_of_no_files_is_a_model() {
    let model = Model::new(&[]);
    model.admitted();
    assert_eq!(model.admitted().hashed, 0);
}

#[test]
fn a_source_that_is_not_there_is_an_error_and_leaves_nothing() {
    for model in [Model::new(&[]), Model::usual()] {
        fs_err::remove_dir_all(model.source()).unwrap();
        let error = model.try_admit(Reread::UseReceipts).unwrap_err();
        assert!(matches!(error, VerifyError::SourceMissing { .. }), "{error}");
        assert_eq!(trees(&model.store()), 0);
    }
}

#[test]
fn contradicting_pins_are_an_error() {
    let model = Model::usual();
    let run = |pins: &[_]| {
        admit(&name(), &model.source(), pins, &model.store(), &options(Reread::Full), &NullReporter)
            .unwrap_err()
    };
    let twice = [pin("a", b"1"), pin("A", b"2")];
    assert!(run(&twice).to_string().ends_with("`A` collides with `a`"));
    let mut sizes = [pin("a", b"1"), pin("b", b"1")];
    sizes[1].size = 2;
    assert!(run(&sizes).to_string().ends_with("`a` and `b` have one digest and two sizes"));
}

#[test]
fn what_could_never_be_verified_is_not_pinned() {
    let model = Model::usual();
    symlink("config.json", model.path("link")).unwrap();
    model.write("CONFIG.json", b"");
    let error = digest_source(&model.source(), &options(Reread::Full), &NullReporter).unwrap_err();
    let VerifyError::Unfit { findings, .. } = error else { panic!("{error}") };
    assert_eq!(kinds(&findings), ["symlink link", "collision config.json"]);
}

#[test]
fn findings_are_documented_json() {
    let finding = Finding::Digest {
        path: "a".into(),
        expected: Sha256::from_bytes([0; 32]),
        found: Sha256::from_bytes([255; 32]),
    };
    let json = serde_json::to_string(&finding).unwrap();
    let (zeros, effs) = ("0".repeat(64), "f".repeat(64));
    assert_eq!(
        json,
        format!(r#"{{"type":"digest","path":"a","expected":"sha256:{zeros}","found":"sha256:{effs}"}}"#)
    );
    assert_eq!(serde_json::from_str::<Finding>(&json).unwrap(), finding);
    assert!(RelPath::new(finding.subject()).is_ok());
}
