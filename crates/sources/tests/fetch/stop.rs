//! Stopped, limited, gone on with.

use crate::common::{MIB, World, connections};
use sovai_sources::SourceError;
use sovai_test_hub::Fault;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_stop_comes_within_a_second_and_keeps_what_arrived() {
    let world = World::new(&[20 * MIB, 10 * MIB]);
    world.hub.fault("**/model-*", Fault::Throttle(2 * MIB));
    let cancel = world.options.cancel.clone();
    let (error, stopped) = tokio::join!(world.fetch(), async {
        while world.hub.bytes_sent() < 4 * MIB {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
        Instant::now()
    });
    assert!(matches!(error.unwrap_err(), SourceError::Cancelled));
    assert!(stopped.elapsed() < Duration::from_secs(1));
    let kept = world.partial_bytes();
    assert!(kept + MIB > world.hub.bytes_sent(), "{kept} of {}", world.hub.bytes_sent());
    world.hub.clear_faults();
    let mut again = world;
    // One alone takes nothing over from another, so that the count is exact.
    again.options.connections = connections(1);
    again.options.cancel = sovai_verifier::Cancel::default();
    let fetched = again.fetch().await.unwrap();
    again.assert_whole();
    // Not by the hub's count: it hands pieces to connections that are gone, before it notices.
    assert_eq!(fetched.files.iter().map(|file| file.fetched).sum::<u64>(), again.size() - kept);
    assert_eq!(fetched.files.iter().map(|file| file.there).sum::<u64>(), kept);
}

#[tokio::test]
async fn a_limit_holds_over_all_connections() {
    let mut world = World::new(&[MIB; 4]);
    world.options.limit_rate = NonZeroU64::new(2 * MIB);
    world.options.connections = connections(4);
    let start = Instant::now();
    world.fetch().await.unwrap();
    world.assert_whole();
    // 4 MiB at 2 MiB a second, less what the last pieces need not wait for.
    assert!(start.elapsed() >= Duration::from_millis(1500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_whole_partial_file_is_only_hashed() {
    let world = World::new(&[3 * MIB]);
    let partial = world.store.partial(&world.sha256(0), 3 * MIB, "an earlier run").unwrap();
    partial.write(0, &[world.files[0].1.read_all().unwrap()]).unwrap();
    drop(partial);
    let fetched = world.fetch().await.unwrap();
    world.assert_whole();
    assert_eq!((fetched.files[0].fetched, fetched.files[0].tries), (0, 0));
    assert_eq!(world.hub.requests().len(), 0);
}

#[tokio::test]
async fn a_partial_file_with_wrong_bytes_is_never_taken_for_whole() {
    let world = World::new(&[3 * MIB]);
    for range in [0..3 * MIB, MIB..2 * MIB] {
        let partial = world.store.partial(&world.sha256(0), 3 * MIB, "an earlier run").unwrap();
        let length = usize::try_from(range.end - range.start).unwrap();
        partial.write(range.start, &[vec![7; length]]).unwrap();
        drop(partial);
        world.fetch().await.unwrap();
        world.assert_whole();
        fs_err::remove_file(world.store.blob(&world.sha256(0))).unwrap();
    }
}
