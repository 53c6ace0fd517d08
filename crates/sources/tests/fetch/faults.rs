//! What servers do wrong.

use crate::common::{MIB, World, chain, connections};
use sovai_http::Slowest;
use sovai_sources::SourceError;
use sovai_test_hub::Fault;
use std::num::NonZeroU64;
use std::time::Duration;

const FILE: &str = "**/model-0*";

/// A file of some segments, over four connections.
fn shared() -> World {
    let mut world = World::new(&[70 * MIB]);
    world.options.connections = connections(4);
    world
}

#[tokio::test]
async fn a_server_that_ignores_ranges() {
    let world = shared();
    world.hub.fault(FILE, Fault::IgnoreRange);
    world.fetch().await.unwrap();
    world.assert_whole();
}

#[tokio::test]
async fn a_server_that_ignores_ranges_and_breaks_off() {
    let world = shared();
    world.hub.fault(FILE, Fault::IgnoreRange);
    for at in [10, 20, 30, 30, 31] {
        world.hub.fault(FILE, Fault::CloseAfter(at * MIB)).times(4);
    }
    world.fetch().await.unwrap();
    world.assert_whole();
}

#[tokio::test]
async fn a_server_that_refuses_ranges_also_at_the_start() {
    let world = shared();
    world.hub.fault(FILE, Fault::RefuseRange);
    world.fetch().await.unwrap();
    world.assert_whole();
}

#[tokio::test]
async fn lengths_that_are_lies_now_and_then() {
    for fault in [
        Fault::ContentLength(1000),
        Fault::ContentLength(-1000),
        Fault::NoLength,
        Fault::ContentRangeTotal(5),
        Fault::ContentRangeStart(5),
        Fault::ContentRangeStart(-1),
        Fault::Endless,
    ] {
        let world = shared();
        world.hub.fault(FILE, fault.clone()).times(3);
        world.fetch().await.unwrap_or_else(|error| panic!("{fault:?}: {}", chain(&error)));
        world.assert_whole();
        let small = World::new(&[100_000]);
        small.hub.fault(FILE, fault.clone()).times(3);
        small.fetch().await.unwrap_or_else(|error| panic!("{fault:?}: {}", chain(&error)));
        small.assert_whole();
    }
}

#[tokio::test]
async fn a_file_of_another_length_is_another_file() {
    let world = World::new(&[100_000]);
    world.hub.fault(FILE, Fault::ContentLength(1000));
    let error = world.fetch().await.unwrap_err();
    let text = chain(&error);
    assert!(matches!(error, SourceError::Mismatch { .. }), "{text}");
    assert!(text.contains("expected 100000 bytes, found 101000 bytes"), "{text}");
    world.assert_no_partials();
}

#[tokio::test]
async fn other_bytes_where_a_download_goes_on() {
    let world = shared();
    world.hub.fault(FILE, Fault::CorruptResume).times(1);
    let fetched = world.fetch().await.unwrap();
    world.assert_whole();
    assert!(fetched.files[0].fetched >= 140 * MIB, "assembled once, then fetched as a whole");
    let ranged = world.hub.requests().iter().filter(|seen| seen.range.is_some()).count();
    assert!(ranged > 0);
}

#[tokio::test]
async fn wrong_bytes_again_and_again_are_an_error_and_leave_nothing() {
    let mut world = World::new(&[100_000]);
    world.options.retry.tries = 10;
    let fault = world.hub.fault(FILE, Fault::Flip(50_000));
    let error = world.fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::Mismatch { .. }), "{error}");
    assert_eq!(fault.hits(), 11, "once as it came, then ten times as a whole");
    world.assert_no_partials();
    assert!(!world.store.has_blob(&world.sha256(0)));
}

#[tokio::test]
async fn a_whole_stream_at_the_last_try_is_enough() {
    let mut world = World::new(&[100_000]);
    world.options.retry.tries = 10;
    world.hub.fault(FILE, Fault::Flip(50_000)).times(10);
    world.fetch().await.unwrap();
    world.assert_whole();
}

#[tokio::test]
async fn an_endless_body_is_cut_where_the_file_ends() {
    let world = World::new(&[100_000]);
    world.hub.fault(FILE, Fault::Endless);
    world.fetch().await.unwrap();
    world.assert_whole();
}

#[tokio::test]
async fn a_connection_that_stands_is_left() {
    let mut world = World::new(&[MIB]);
    world.silence = Duration::from_millis(300);
    world.hub.fault(FILE, Fault::Stall(300_000)).times(1);
    world.hub.fault(FILE, Fault::Silence).times(1).after(1);
    world.fetch().await.unwrap();
    world.assert_whole();
}

#[tokio::test]
async fn a_server_that_drips_is_given_up_and_what_came_stays() {
    let mut world = World::new(&[MIB]);
    world.options.connections = connections(1);
    world.slowest = Slowest { bytes: 64 << 10, within: Duration::from_millis(300) };
    let fault = world.hub.fault(FILE, Fault::Throttle(20_000));
    let error = world.fetch().await.unwrap_err();
    let SourceError::GivenUp { tries: 4, last, .. } = &error else { panic!("{error:?}") };
    assert!(last.is_slow(), "{last:?}");
    assert_eq!(fault.hits(), 4);
    assert!(world.partial_bytes() > 0);
    world.hub.clear_faults();
    world.fetch().await.unwrap();
    world.assert_whole();
}

#[tokio::test]
async fn a_limit_of_our_own_is_no_drip() {
    let mut world = World::new(&[100_000]);
    world.slowest = Slowest { bytes: 90_000, within: Duration::from_millis(500) };
    world.options.limit_rate = NonZeroU64::new(50_000);
    world.fetch().await.unwrap();
    world.assert_whole();
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says() {
    let world = World::new(&[100_000]);
    world.hub.fault(FILE, Fault::Status { code: 503, retry_after: None }).times(2);
    world.hub.fault(FILE, Fault::too_many(1)).times(1).after(2);
    let start = std::time::Instant::now();
    world.fetch().await.unwrap();
    world.assert_whole();
    assert!(start.elapsed() >= Duration::from_secs(1), "it asked for a second");
}

#[tokio::test]
async fn a_server_that_never_has_time_is_given_up() {
    let world = World::new(&[100_000]);
    let fault = world.hub.fault(FILE, Fault::status(503));
    let error = world.fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::GivenUp { tries: 4, .. }), "{error}");
    assert_eq!(fault.hits(), 4);
}

#[tokio::test]
async fn a_stream_that_always_breaks_at_one_place_is_given_up_and_what_came_stays() {
    let world = World::new(&[MIB]);
    world.hub.fault(FILE, Fault::IgnoreRange);
    let fault = world.hub.fault(FILE, Fault::CloseAfter(300_000));
    let error = world.fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::GivenUp { tries: 4, .. }), "{error}");
    // Once with a range, to learn that it is ignored.
    assert!(fault.hits() <= 7, "{}", fault.hits());
    assert_eq!(world.partial_bytes(), 300_000);
    world.hub.clear_faults();
    world.hub.forget();
    world.fetch().await.unwrap();
    world.assert_whole();
    assert_eq!(world.hub.bytes_sent(), MIB - 300_000);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let world = World::new(&[100_000, 100_000]);
    let fault = world.hub.fault(FILE, Fault::status(404));
    let error = world.fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::Refused { .. } | SourceError::Http { .. }), "{error}");
    assert_eq!(fault.hits(), 1);
}

#[tokio::test]
async fn a_redirect_to_another_host_does_not_take_the_token_along() {
    let world = World::new(&[100_000]);
    world.fetch().await.unwrap();
    assert!(world.hub.requests().iter().any(|seen| seen.authorization.is_some()), "the hub itself gets it");
    assert!(!world.hub.cdn_saw_authorization());
}

#[tokio::test]
async fn a_thousand_disconnects_lose_no_byte() {
    let mut world = World::new(&[40 * MIB]);
    world.options.retry.tries = 3;
    let fault = world.hub.fault(FILE, Fault::CloseAtRandom { seed: 7, below: 60_000 }).times(1000);
    world.fetch().await.unwrap();
    world.assert_whole();
    assert_eq!(fault.hits(), 1000);
    let sent = world.hub.bytes_sent();
    assert!(sent < world.size() * 105 / 100, "{sent} of {}", world.size());
}
