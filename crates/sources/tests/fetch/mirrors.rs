//! Several sources of one file, none of them trusted.

use crate::common::{MIB, World, hub, liar};
use sovai_core::NullReporter;
use sovai_sources::SourceError;
use sovai_test_hub::{Fault, Place};
use std::time::Duration;

const ALL: &str = "**/model-*";

#[tokio::test]
async fn the_next_source_is_asked_when_one_refuses_or_is_not_there() {
    for fault in [Fault::status(404), Fault::status(403), Fault::status(500), Fault::CloseAfter(0)] {
        let world = World::new(&[MIB, 2 * MIB]);
        let mirror = hub(&world.files);
        world.hub.fault(ALL, fault.clone());
        let from = [world.source(&world.hub), world.source(&mirror)];
        world.fetch_from(&from, &NullReporter).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        world.assert_whole();
        assert!(mirror.bytes_sent() >= 3 * MIB);
    }
}

#[tokio::test]
async fn a_source_that_dies_half_way_is_continued_elsewhere() {
    let world = World::new(&[8 * MIB]);
    let mirror = hub(&world.files);
    world.hub.fault(ALL, Fault::CloseAfter(3 * MIB)).only_at(Place::Cdn).times(1);
    world.hub.fault(ALL, Fault::status(500)).only_at(Place::Cdn).after(1);
    let from = [world.source(&world.hub), world.source(&mirror)];
    world.fetch_from(&from, &NullReporter).await.unwrap();
    world.assert_whole();
    assert_eq!(mirror.bytes_sent(), 5 * MIB);
}

#[tokio::test]
async fn a_mirror_with_other_bytes_cannot_make_it_fail() {
    let world = World::new(&[MIB, 40 * MIB]);
    let liar = liar(&world);
    let from = [world.source(&liar), world.source(&world.hub)];
    world.fetch_from(&from, &NullReporter).await.unwrap();
    world.assert_whole();
}

#[tokio::test]
async fn many_liars_and_a_source_that_breaks_off() {
    let world = World::new(&[2 * MIB]);
    let liars: Vec<_> = (0..6).map(|_| liar(&world)).collect();
    // Gone when it is wanted first; the mirrors give wrong bytes; then it is back, and breaks off.
    world.hub.fault(ALL, Fault::status(500)).times(4);
    world.hub.fault(ALL, Fault::CloseAfter(MIB)).only_at(Place::Cdn).times(1);
    let mut from = vec![world.source(&world.hub)];
    from.extend(liars.iter().map(|liar| world.source(liar)));
    world.fetch_from(&from, &NullReporter).await.unwrap();
    world.assert_whole();
}

#[tokio::test]
async fn liars_alone_are_an_error_of_bytes() {
    let world = World::new(&[MIB]);
    let (one, two) = (liar(&world), liar(&world));
    let from = [world.source(&one), world.source(&two)];
    let error = world.fetch_from(&from, &NullReporter).await.unwrap_err();
    assert!(matches!(error, SourceError::Mismatch { .. }), "{error}");
    world.assert_no_partials();
}

#[tokio::test]
async fn without_any_source_the_first_ones_answer_is_told() {
    let world = World::new(&[MIB]);
    let mirror = hub(&world.files);
    world.hub.fault(ALL, Fault::status(503));
    mirror.fault(ALL, Fault::status(404));
    let from = [world.source(&world.hub), world.source(&mirror)];
    let error = world.fetch_from(&from, &NullReporter).await.unwrap_err();
    assert!(matches!(error, SourceError::GivenUp { .. }), "{error}");
    let error = world.fetch_from(&[], &NullReporter).await.unwrap_err();
    assert!(matches!(error, SourceError::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn by_speed_the_quicker_mirror_is_first() {
    let mut world = World::new(&[2 * MIB]);
    world.options.by_speed = true;
    let mirror = hub(&world.files);
    world.hub.fault(ALL, Fault::Delay(Duration::from_millis(700)));
    let from = [world.source(&world.hub), world.source(&mirror)];
    world.fetch_from(&from, &NullReporter).await.unwrap();
    world.assert_whole();
    assert!(mirror.bytes_sent() >= 2 * MIB, "{}", mirror.bytes_sent());
}
