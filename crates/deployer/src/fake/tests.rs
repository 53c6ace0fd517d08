use super::*;
use crate::archive::{gateway_archive, gateway_id};
use crate::docker::tests::full_spec;
use crate::engine::{ContainerEngine as _, ContainerStatus, NetworkSpec, Restart, whole_archive};
use std::collections::BTreeMap;
use std::time::Duration;

/// An engine with the image and the network of [`spec`].
async fn engine() -> FakeEngine {
    let engine = FakeEngine::new();
    engine.load_image(whole_archive(gateway_archive(b"x", "amd64").archive)).await.unwrap();
    engine.create_network(&network()).await.unwrap();
    engine.forget_calls();
    engine
}

fn network() -> NetworkSpec {
    let labels = BTreeMap::from([("sovai.stack".to_owned(), "x".to_owned())]);
    NetworkSpec { name: "sovai-x-g1".to_owned(), labels, internal: true, options: BTreeMap::new() }
}

fn spec(name: &str) -> ContainerSpec {
    let mut spec = full_spec();
    name.clone_into(&mut spec.name);
    spec.image = gateway_id(b"x", "amd64");
    spec.labels.insert("sovai.service".to_owned(), "engine".to_owned());
    spec
}

fn broken() -> EngineError {
    EngineError::Answer { what: "x".to_owned(), status: 500, message: "broken".to_owned() }
}

#[tokio::test]
async fn a_container_lives_as_on_a_real_engine() {
    let engine = engine().await;
    let before = engine.snapshot();
    engine.create_container(&spec("a")).await.unwrap();
    assert!(matches!(engine.create_container(&spec("a")).await, Err(EngineError::NameTaken { .. })));
    engine.start_container("a").await.unwrap();
    engine.start_container("a").await.unwrap();
    let state = engine.container("a").await.unwrap().unwrap();
    assert_eq!((state.status, state.exit_code), (ContainerStatus::Running, None));
    assert!(state.started_at.is_some());
    assert!(matches!(
        engine.remove_network("sovai-x-g1").await,
        Err(EngineError::Answer { status: 403, .. })
    ));
    assert!(!engine.remove_image(&gateway_id(b"x", "amd64").to_string()).await.unwrap());
    engine.stop_container("a", Duration::ZERO).await.unwrap();
    engine.stop_container("a", Duration::ZERO).await.unwrap();
    assert_eq!(engine.wait_container("a").await.unwrap(), 0);
    assert_eq!(engine.containers(Some("x")).await.unwrap().len(), 1);
    assert_eq!(engine.containers(Some("y")).await.unwrap().len(), 0);
    engine.remove_container("a").await.unwrap();
    engine.remove_container("a").await.unwrap();
    assert_eq!(engine.snapshot(), before);
}

#[tokio::test]
async fn what_is_missing_or_taken_is_told_as_a_real_engine_does() {
    let engine = engine().await;
    let mut lost = spec("lost");
    lost.image = gateway_id(b"y", "amd64");
    assert!(matches!(engine.create_container(&lost).await, Err(EngineError::Answer { status: 404, .. })));
    engine.hide("/srv");
    assert!(matches!(engine.create_container(&spec("a")).await, Err(EngineError::MountMissing { .. })));
    assert!(!engine.sees(Path::new("/srv/weights")));
    let engine = FakeEngine { ..self::engine().await };
    engine.create_container(&spec("a")).await.unwrap();
    engine.create_container(&spec("b")).await.unwrap();
    engine.start_container("a").await.unwrap();
    assert!(matches!(engine.start_container("b").await, Err(EngineError::PortTaken { .. })));
    engine.stop_container("a", Duration::ZERO).await.unwrap();
    engine.start_container("b").await.unwrap();
    engine.remove_container("b").await.unwrap();
    engine.occupy("0.0.0.0:18080".parse().unwrap());
    assert!(matches!(engine.start_container("a").await, Err(EngineError::PortTaken { .. })));
    assert!(matches!(engine.create_network(&network()).await, Err(EngineError::NameTaken { .. })));
    let foreign = NetworkState { id: "f".to_owned(), ..engine.snapshot().networks[0].clone() };
    engine.add_network(foreign);
    assert_eq!(engine.networks_named("sovai-x-g1").await.unwrap().len(), 2);
    assert!(matches!(
        engine.remove_network("sovai-x-g1").await,
        Err(EngineError::Answer { status: 400, .. })
    ));
    engine.remove_network("f").await.unwrap();
    assert!(matches!(engine.connect("gone", "a", &[]).await, Err(EngineError::Answer { status: 404, .. })));
    assert!(matches!(
        engine.connect("sovai-x-g1", "a", &[]).await,
        Err(EngineError::Answer { status: 403, .. })
    ));
}

#[tokio::test]
async fn scripts_decide_how_a_service_ends_and_what_it_says() {
    let engine = engine().await;
    engine.on_start("engine", |spec| Run::dies(3, &[&format!("cannot load {}", spec.mounts[0].target)]));
    let mut once = spec("once");
    once.restart = Restart::No;
    engine.create_container(&once).await.unwrap();
    engine.start_container("once").await.unwrap();
    assert_eq!(engine.wait_container("once").await.unwrap(), 3);
    assert_eq!(engine.container("once").await.unwrap().unwrap().status, ContainerStatus::Exited);
    let log = engine.logs("once", Some(1)).await.unwrap();
    assert_eq!((log[0].stderr, log[0].text.as_str()), (true, "cannot load /models/m"));
    engine.create_container(&spec("again")).await.unwrap();
    engine.start_container("again").await.unwrap();
    let state = engine.container("again").await.unwrap().unwrap();
    assert_eq!((state.status, state.restarts, state.exit_code), (ContainerStatus::Restarting, 1, Some(3)));
    // A name is nearer than a service.
    engine.on_start("again", |_| Run::on());
    engine.start_container("again").await.unwrap();
    engine.on_exec("engine", |call| {
        assert_eq!(call.stdin, b"in");
        ExecAnswer { code: 4, ..ExecAnswer::lines(&[call.container]) }
    });
    let mut lines = Vec::new();
    let result = engine
        .exec("again", &["x".to_owned()], b"in".to_vec(), &mut |l| lines.push(l.to_owned()))
        .await
        .unwrap();
    assert_eq!((result.code, lines), (4, vec!["again".to_owned()]));
    let gone = engine.exec("once", &[], Vec::new(), &mut |_| ()).await;
    assert!(matches!(gone, Err(EngineError::Answer { status: 409, .. })));
}

#[tokio::test]
async fn waiting_and_following_last_until_the_end() {
    let engine = engine().await;
    engine.on_start("engine", |_| Run::on().says(false, &["a", "b"]));
    let mut once = spec("once");
    once.restart = Restart::No;
    engine.create_container(&once).await.unwrap();
    engine.start_container("once").await.unwrap();
    let (mut seen, other) = (Vec::new(), engine.clone());
    let mut sink = |line: crate::engine::LogLine| {
        seen.push(line.text);
        true
    };
    let (code, followed, ()) =
        tokio::join!(engine.wait_container("once"), engine.follow_logs("once", Some(1), &mut sink), async {
            other.end("once", 7);
        });
    followed.unwrap();
    assert_eq!(code.unwrap(), 7);
    assert_eq!(seen, ["b"]);
}

#[tokio::test]
async fn a_fault_strikes_its_call_once() {
    let engine = engine().await;
    engine.fail_on(Call::CreateContainer, 2, broken());
    engine.create_container(&spec("a")).await.unwrap();
    engine.info().await.unwrap();
    assert!(matches!(
        engine.create_container(&spec("b")).await,
        Err(EngineError::Answer { status: 500, .. })
    ));
    assert!(engine.container("b").await.unwrap().is_none());
    engine.create_container(&spec("b")).await.unwrap();
    engine.lose_answer(Call::RemoveContainer, 1);
    assert!(matches!(engine.remove_container("b").await, Err(EngineError::NoAnswer { .. })));
    assert!(engine.container("b").await.unwrap().is_none());
}

#[tokio::test]
async fn a_dead_engine_does_nothing_and_keeps_what_it_had() {
    let engine = engine().await;
    engine.die_after(1);
    engine.create_container(&spec("a")).await.unwrap();
    assert!(matches!(engine.start_container("a").await, Err(EngineError::NoAnswer { .. })));
    assert!(matches!(engine.info().await, Err(EngineError::NoAnswer { .. })));
    engine.revive();
    assert_eq!(engine.container("a").await.unwrap().unwrap().status, ContainerStatus::Created);
}

#[tokio::test]
async fn writes_are_told_apart_from_reads() {
    let engine = engine().await;
    engine.info().await.unwrap();
    engine.containers(None).await.unwrap();
    engine.networks_named("x").await.unwrap();
    assert_eq!(engine.writes(), [""; 0]);
    engine.create_container(&spec("a")).await.unwrap();
    engine.remove_container("gone").await.unwrap();
    assert_eq!(engine.writes(), ["CreateContainer a", "RemoveContainer gone"]);
    assert_eq!(engine.calls().len(), 5);
    assert_eq!(engine.spec("a").unwrap(), spec("a"));
    assert_eq!(Call::ALL.iter().filter(|call| call.writes()).count(), 9);
}
