//! Admission as a whole: two at once, stopped, no room, and a source that changes under the reader.

use crate::common::{Model, assert_sound, bytes, flip, kinds, name, options, trees};
use sovai_core::{Event, NullReporter, RecordingReporter, Reporter, Step};
use sovai_store::StoreError;
use sovai_verifier::{Options, Reread, VerifyError, admit, verify};
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[test]
fn the_store_shares_no_inode_with_the_source() {
    let model = Model::usual();
    model.admitted();
    for pin in &model.pins {
        let source = fs_err::metadata(model.path(pin.path.as_str())).unwrap();
        let blob = fs_err::metadata(model.store().blob(&pin.sha256)).unwrap();
        assert_ne!(source.ino(), blob.ino());
        assert_eq!((source.nlink(), blob.nlink()), (1, 2));
    }
}

#[test]
fn a_faulty_source_leaves_blobs_only_under_their_digest() {
    let model = Model::new(&[("a", &bytes(1000, 1)), ("b", &bytes(2000, 2))]);
    model.write("b", &bytes(2000, 3));
    assert_eq!(kinds(&model.admit().report.findings), ["digest b"]);
    let store = model.store();
    assert!(store.has_blob(&model.pins[0].sha256));
    assert!(!store.has_blob(&model.pins[1].sha256));
    assert_eq!(trees(&store), 0);
    assert_sound(&store);
    // Once the file is right, only what is missing is read.
    model.write("b", &bytes(2000, 2));
    assert_eq!(model.admitted().hashed, 2000);
}

#[test]
fn a_source_with_a_file_too_many_is_not_copied() {
    let model = Model::usual();
    model.write("extra", b"");
    assert_eq!(kinds(&model.admit().report.findings), ["extra extra"]);
    assert_eq!(fs_err::read_dir(model.store().root().join("blobs/sha256")).unwrap().count(), 0);
}

#[test]
fn equal_files_are_stored_once() {
    let model = Model::new(&[("a", b"same"), ("b/c", b"same"), ("d", b"")]);
    assert_eq!(model.admitted().hashed, 8);
    assert_eq!(fs_err::metadata(model.store().blob(&model.pins[0].sha256)).unwrap().nlink(), 3);
    assert_eq!(model.admitted().hashed, 0);
}

#[test]
fn while_another_holds_the_store_admission_is_busy_and_names_it() {
    let model = Model::usual();
    let store = model.store();
    let lock = store.lock("sovai pull").unwrap();
    let error = model.try_admit(Reread::UseReceipts).unwrap_err();
    let VerifyError::Store(StoreError::Busy { holder, .. }) = &error else { panic!("{error}") };
    assert_eq!(*holder, format!("process {} (sovai pull)", std::process::id()));
    assert_eq!(trees(&store), 0);
    drop(lock);
    model.admitted();
}

#[test]
fn of_many_admissions_at_once_each_is_done_or_busy() {
    let model = Model::usual();
    model.store();
    let done: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| match model.try_admit(Reread::UseReceipts) {
                    Ok(admission) => {
                        model.assert_tree(admission.receipt.unwrap().tree());
                        1
                    }
                    Err(VerifyError::Store(StoreError::Busy { .. })) => 0,
                    Err(error) => panic!("{error}"),
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(done >= 1);
    assert_eq!(model.admitted().hashed, 0);
    assert_sound(&model.store());
}

#[test]
fn a_full_disk_is_told_before_a_byte_is_copied() {
    let mut model = Model::new(&[]);
    // A sparse file far larger than any disk here; its digest does not matter.
    let size = 15 << 40;
    let file = fs_err::File::create(model.path("sparse")).unwrap();
    file.file().set_len(size).expect("a file system of the temporary folder that has files of 15 TiB");
    model.pins.push(sovai_core::FilePin { size, ..crate::common::pin("sparse", b"") });
    let error = model.try_admit(Reread::UseReceipts).unwrap_err();
    let VerifyError::NoSpace { needed, free, path } = &error else { panic!("{error}") };
    assert!(*needed >= size && *free < size && path.ends_with("store"), "{error}");
    assert_sound(&model.store());
}

/// Does something at the first progress event, while the largest file is being read by the only thread.
struct AtFirst<F>(F, AtomicBool);

impl<F: Fn() + Send + Sync> Reporter for AtFirst<F> {
    fn report(&self, event: Event) {
        if event.done < event.total && !self.1.swap(true, Ordering::Relaxed) {
            (self.0)();
        }
    }
}

fn one_thread() -> Options {
    Options { threads: NonZeroUsize::MIN, ..options(Reread::Full) }
}

#[test]
fn a_stopped_run_ends_at_once_and_leaves_nothing() {
    // Minutes of hashing; for the admission, no more than any disk has room for.
    let sparse = |size| {
        let mut model = Model::new(&[]);
        fs_err::File::create(model.path("big")).unwrap().file().set_len(size).unwrap();
        model.pins.push(sovai_core::FilePin { size, ..crate::common::pin("big", b"") });
        model
    };
    let (huge, model) = (sparse(1 << 36), sparse(64 << 20));
    let store = model.store();
    let run = |admission: bool| {
        let options = one_thread();
        let cancel = options.cancel.clone();
        let seen = AtomicU64::new(0);
        let stop = AtFirst(move || cancel.cancel(), AtomicBool::new(false));
        let reporter = Both(&stop, &seen);
        let error = if admission {
            admit(&name(), &model.source(), &model.pins, &store, &options, &reporter).map(|_| ()).unwrap_err()
        } else {
            verify(&huge.source(), &huge.pins, &options, None, &reporter).map(|_| ()).unwrap_err()
        };
        assert!(matches!(error, VerifyError::Cancelled));
        seen.load(Ordering::Relaxed)
    };
    for admission in [false, true] {
        assert!(run(admission) <= 1 << 20, "no more than a buffer or two is read");
    }
    assert_sound(&store);
    assert_eq!(trees(&store), 0);
    let options = one_thread();
    options.cancel.cancel();
    let result = admit(&name(), &model.source(), &model.pins, &store, &options, &NullReporter);
    assert!(matches!(result.unwrap_err(), VerifyError::Cancelled));
}

/// Passes events on, and notes the largest number of bytes.
struct Both<'a>(&'a dyn Reporter, &'a AtomicU64);

impl Reporter for Both<'_> {
    fn report(&self, event: Event) {
        self.1.fetch_max(event.done.unwrap_or(0), Ordering::Relaxed);
        self.0.report(event);
    }
}

/// A large file that is read first, and a small one that is read after it.
fn two_files() -> Model {
    Model::new(&[("large", &bytes(2 << 20, 1)), ("sub/small", &bytes(10, 2))])
}

/// Verifies and admits while something happens to the source; gives what was found, which is the same both times.
fn meddled(what: impl Fn(&Model) + Send + Sync) -> Vec<String> {
    let mut found = Vec::new();
    for admission in [false, true] {
        let model = two_files();
        let store = model.store();
        let reporter = AtFirst(|| what(&model), AtomicBool::new(false));
        let (source, pins, options) = (model.source(), &model.pins, one_thread());
        let report = if admission {
            let admission = admit(&name(), &source, pins, &store, &options, &reporter).unwrap();
            assert!(admission.receipt.is_none());
            admission.report
        } else {
            verify(&source, pins, &options, Some(&store), &reporter).unwrap()
        };
        assert!(reporter.1.load(Ordering::Relaxed));
        assert_sound(&store);
        assert_eq!(trees(&store), 0);
        found.push(kinds(&report.findings));
    }
    assert_eq!(found[0], found[1]);
    found.swap_remove(0)
}

#[test]
fn a_source_that_changes_under_the_reader_is_found() {
    let path = |model: &Model, relative: &str| model.path(relative);
    // Bytes that were read already, bytes to come, more bytes, fewer bytes, another file by the same name.
    assert_eq!(meddled(|m| flip(&path(m, "large"), 0)), ["changed-during-read large"]);
    assert_eq!(meddled(|m| flip(&path(m, "large"), (2 << 20) - 1)), ["changed-during-read large"]);
    assert_eq!(meddled(|m| m.write("large", &bytes((2 << 20) + 1, 1))), ["changed-during-read large"]);
    assert_eq!(meddled(|m| m.write("large", b"")), ["changed-during-read large"]);
    let replace = |m: &Model| {
        m.write("new", &bytes(2 << 20, 1));
        fs_err::rename(m.path("new"), m.path("large")).unwrap();
    };
    assert_eq!(meddled(replace), ["changed-during-read large"]);
}

#[test]
fn what_takes_the_place_of_a_file_after_the_walk_is_found_and_not_followed() {
    let gone = |m: &Model| fs_err::remove_file(m.path("sub/small")).unwrap();
    assert_eq!(meddled(gone), ["missing sub/small"]);
    let fifo = |m: &Model| {
        gone(m);
        let mode = rustix::fs::Mode::RUSR;
        let file = m.path("sub/small");
        rustix::fs::mknodat(rustix::fs::CWD, file, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    assert_eq!(meddled(fifo), ["not-regular sub/small"]);
    let link = |m: &Model| {
        fs_err::rename(m.path("sub/small"), m.dir.path().join("small")).unwrap();
        symlink(m.dir.path().join("small"), m.path("sub/small")).unwrap();
    };
    assert_eq!(meddled(link), ["symlink sub/small"]);
    let folder_link = |m: &Model| {
        fs_err::rename(m.path("sub"), m.dir.path().join("sub")).unwrap();
        symlink(m.dir.path().join("sub"), m.path("sub")).unwrap();
    };
    assert_eq!(meddled(folder_link), ["symlink sub/small"]);
    let other = |m: &Model| m.write("sub/small", &bytes(10, 3));
    assert_eq!(meddled(other), ["digest sub/small"]);
    let grown = |m: &Model| m.write("sub/small", &bytes(11, 2));
    assert_eq!(meddled(grown), ["changed-during-read sub/small"]);
}

#[test]
fn progress_is_in_bytes_seldom_and_complete() {
    let model = Model::new(&[("large", &bytes(40 << 20, 1)), ("small", b"s")]);
    let reporter = RecordingReporter::default();
    let start = std::time::Instant::now();
    verify(&model.source(), &model.pins, &one_thread(), None, &reporter).unwrap();
    let events = reporter.events();
    let total = (40 << 20) + 1;
    assert!(events.iter().all(|event| event.step == Step::Verify && event.total == Some(total)));
    assert!(events.is_sorted_by_key(|event| event.done));
    assert_eq!(events.last().unwrap().done, Some(total));
    let most = start.elapsed().as_millis() / 100 + 2;
    assert!(events.len() as u128 <= most, "{} events, at most {most}", events.len());
}

/// Does something while a model is brought in, at the first byte that is read of it.
fn during(model: &Model, work: impl Fn() + Send + Sync) -> sovai_verifier::Admission {
    let reporter = AtFirst(work, AtomicBool::new(false));
    let name = sovai_core::Name::new("m").unwrap();
    let options = Options { reread: Reread::UseReceipts, ..one_thread() };
    sovai_verifier::admit(&name, &model.source(), &model.pins, &model.store(), &options, &reporter).unwrap()
}

#[test]
fn while_one_model_is_brought_in_another_is_and_the_same_is_busy_and_nothing_is_pruned() {
    let model = Model::usual();
    let other = Model::new(&[("x", &bytes(50_000, 3))]);
    let store = model.store();
    let admission = during(&model, || {
        let error = model.try_admit(Reread::UseReceipts).unwrap_err();
        let VerifyError::Store(StoreError::Busy { holder, .. }) = &error else { panic!("{error}") };
        assert!(holder.contains("bringing in model"), "{holder}");
        assert!(matches!(store.hold_alone("sovai store prune"), Err(StoreError::Busy { .. })));
        let name = sovai_core::Name::new("other").unwrap();
        let options = options(Reread::UseReceipts);
        let second =
            sovai_verifier::admit(&name, &other.source(), &other.pins, &store, &options, &NullReporter)
                .unwrap();
        assert!(second.receipt.is_some() && second.report.hashed == 50_000);
    });
    assert!(admission.receipt.is_some());
    // Neither lost the other's receipts.
    assert_eq!(model.admitted().hashed, 0);
    let name = sovai_core::Name::new("other").unwrap();
    let options = options(Reread::UseReceipts);
    let again =
        sovai_verifier::admit(&name, &other.source(), &other.pins, &store, &options, &NullReporter).unwrap();
    assert_eq!(again.report.hashed, 0);
    store.hold_alone("sovai store prune").unwrap();
}

#[test]
fn a_blob_that_another_process_brings_in_meanwhile_is_its_and_both_have_a_tree() {
    let model = Model::usual();
    // The same bytes under another path: another model of the same blobs.
    let bytes = fs_err::read(model.path(model.pins[0].path.as_str())).unwrap();
    let other = Model::new(&[("elsewhere", &bytes)]);
    let store = model.store();
    let name = sovai_core::Name::new("other").unwrap();
    let bring = || {
        let options = options(Reread::UseReceipts);
        sovai_verifier::admit(&name, &other.source(), &other.pins, &store, &options, &NullReporter).unwrap()
    };
    let admission = during(&model, || assert!(bring().receipt.is_some()));
    model.assert_tree(admission.receipt.unwrap().tree());
    let second = bring();
    assert_eq!(second.report.hashed, 0, "its blob was not replaced, and its receipt not lost");
    assert!(store.tree_is_whole(&second.receipt.unwrap().model_digest(), &other.pins));
    assert_eq!(fs_err::metadata(store.blob(&other.pins[0].sha256)).unwrap().nlink(), 3);
}
