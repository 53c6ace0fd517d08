//! Files from a hub that does its work.

use crate::common::{MIB, World, connections};
use sovai_core::{EventKind, NullReporter, RecordingReporter, Step};
use sovai_sources::{Job, SourceError, fetch};
use sovai_store::StoreError;
use sovai_verifier::{Options, Reread, admit_stored};

#[tokio::test]
async fn files_become_blobs_with_receipts_and_are_not_asked_for_again() {
    let world = World::new(&[3 * MIB, 70_001, 0, 1]);
    let fetched = world.fetch().await.unwrap();
    world.assert_whole();
    assert_eq!(fetched.files.iter().map(|file| file.fetched).sum::<u64>(), world.size());
    assert_eq!(fetched.files[0].from, ["hf:org/model"]);
    assert!(fetched.files[2].from.is_empty(), "nothing has to be asked for an empty file");
    let pins: Vec<_> = world
        .jobs(&[])
        .into_iter()
        .map(|Job { wanted, .. }| sovai_core::FilePin {
            path: wanted.path,
            size: wanted.size.unwrap(),
            sha256: wanted.sha256.unwrap(),
        })
        .collect();
    let options = Options { reread: Reread::UseReceipts, ..Options::new(connections(2)) };
    let name = sovai_core::Name::new("model").unwrap();
    let admission = admit_stored(&name, &pins, &world.store, &options, &NullReporter).unwrap();
    assert_eq!((admission.report.hashed, admission.receipt.is_some()), (0, true));
    world.hub.forget();
    let again = world.fetch().await.unwrap();
    assert_eq!(world.hub.requests().len(), 0);
    assert!(again.files.iter().all(|file| file.there == file.size && file.tries == 0));
}

#[tokio::test]
async fn one_large_file_comes_over_all_connections_and_each_byte_once() {
    let mut world = World::new(&[150 * MIB]);
    world.options.connections = connections(4);
    let fetched = world.fetch().await.unwrap();
    world.assert_whole();
    assert!(fetched.files[0].tries >= 5, "{fetched:?}");
    assert!(world.hub.connections() >= 5, "four for the bytes, one for the hub's answers");
    // What a connection had on its way when another took its rest.
    assert!(world.hub.bytes_sent() < world.size() + 16 * MIB, "{}", world.hub.bytes_sent());
}

#[tokio::test]
async fn many_files_come_in_one_request_each() {
    let world = World::new(&[2 * MIB; 40]);
    let fetched = world.fetch().await.unwrap();
    world.assert_whole();
    assert!(fetched.files.iter().all(|file| file.tries == 1), "{fetched:?}");
    assert_eq!(world.hub.bytes_sent(), world.size());
}

#[tokio::test]
async fn two_jobs_of_one_digest_are_one_download() {
    let world = World::new(&[MIB]);
    let mut jobs = world.jobs(&[world.source(&world.hub)]);
    jobs.push(Job { subject: "again".to_owned(), ..jobs[0].clone() });
    let fetched = fetch(&jobs, &world.store, &world.options, &NullReporter).await.unwrap();
    assert_eq!(world.hub.bytes_sent(), MIB);
    let numbers: Vec<_> = fetched.files.iter().map(|file| (file.fetched, file.there)).collect();
    assert_eq!(numbers, [(MIB, 0), (0, MIB)]);
}

#[tokio::test]
async fn a_damaged_blob_is_fetched_again_and_one_without_receipt_is_read() {
    let world = World::new(&[MIB, 2 * MIB]);
    let bytes = world.files[0].1.read_all().unwrap();
    fs_err::write(world.store.blob(&world.sha256(0)), &bytes).unwrap();
    fs_err::write(world.store.blob(&world.sha256(1)), &bytes).unwrap();
    let reporter = RecordingReporter::default();
    world.fetch_from(&[world.source(&world.hub)], &reporter).await.unwrap();
    world.assert_whole();
    assert_eq!(world.hub.bytes_sent(), 2 * MIB);
    assert!(reporter.events().iter().any(|event| event.kind == EventKind::Note
        && event.message.as_ref().is_some_and(|text| text.contains("damaged"))));
}

#[tokio::test]
async fn progress_runs_over_all_files_and_never_backwards() {
    let world = World::new(&[5 * MIB, 3 * MIB, 9 * MIB]);
    world.hub.fault("**/model-2*", sovai_test_hub::Fault::Flip(7)).times(2);
    let reporter = RecordingReporter::default();
    world.fetch_from(&[world.source(&world.hub)], &reporter).await.unwrap();
    world.assert_whole();
    let events = reporter.events();
    let progress: Vec<_> =
        events.iter().filter(|event| event.kind == EventKind::Progress && event.step == Step::Pull).collect();
    assert!(progress.iter().all(|event| event.total == Some(17 * MIB)));
    assert!(progress.windows(2).all(|pair| pair[0].done <= pair[1].done));
    assert_eq!(progress.last().unwrap().done, Some(17 * MIB));
}

#[tokio::test]
async fn a_disk_that_is_too_small_is_told_before_the_first_byte() {
    let world = World::new(&[1]);
    let mut jobs = world.jobs(&[world.source(&world.hub)]);
    jobs[0].wanted.size = Some(1 << 60);
    let error = fetch(&jobs, &world.store, &world.options, &NullReporter).await.unwrap_err();
    assert!(matches!(error, SourceError::NoSpace { needed, .. } if needed > 1 << 60), "{error}");
    assert_eq!(world.hub.requests().len(), 0);
    jobs[0].wanted.size = None;
    let error = fetch(&jobs, &world.store, &world.options, &NullReporter).await.unwrap_err();
    assert!(matches!(error, SourceError::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_another_fetches_is_waited_for_and_its_bytes_are_used() {
    let world = World::new(&[MIB, 2 * MIB]);
    let held = world.store.partial(&world.sha256(0), MIB, "another").unwrap();
    let bytes = world.files[0].1.read_all().unwrap();
    let (fetched, ()) = tokio::join!(world.fetch(), async {
        // Not before the rest is there.
        while !world.store.has_blob(&world.sha256(1)) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        held.write(0, &[&bytes]).unwrap();
        held.commit().unwrap();
        drop(held);
    });
    assert_eq!(fetched.unwrap().files[0].fetched, 0);
    world.assert_whole();
    assert_eq!(world.hub.bytes_sent(), 2 * MIB);
}

#[tokio::test]
async fn a_file_that_another_gave_up_is_fetched_here() {
    let world = World::new(&[MIB, MIB]);
    let held = world.store.partial(&world.sha256(0), MIB, "another").unwrap();
    let (fetched, ()) = tokio::join!(world.fetch(), async {
        while !world.store.has_blob(&world.sha256(1)) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        drop(held);
    });
    fetched.unwrap();
    world.assert_whole();
}

#[tokio::test]
async fn a_file_that_another_does_not_finish_is_busy() {
    let world = World::new(&[MIB, MIB]);
    let _held = world.store.partial(&world.sha256(0), MIB, "another").unwrap();
    let error = world.fetch().await.unwrap_err();
    let SourceError::Store(StoreError::Busy { holder, .. }) = &error else { panic!("{error}") };
    assert!(holder.contains("another"), "{holder}");
    assert!(world.store.has_blob(&world.sha256(1)), "the rest was fetched");
}
