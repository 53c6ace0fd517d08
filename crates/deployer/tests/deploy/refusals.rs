//! What is refused before anything is made, and what is taken back after it failed.

use crate::fixture::{Fixture, MANIFEST, image};
use sovai_deployer::engine::{ContainerState, ContainerStatus, EngineError, NetworkState};
use sovai_deployer::fake::{Call, ExecAnswer, ExecCall, Run};
use sovai_deployer::labels::GATEWAY;
use sovai_deployer::{DeployError, Restored};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The gateway itself is ready; of the engine it says this.
fn about_engine(call: &ExecCall<'_>, answer: ExecAnswer) -> ExecAnswer {
    if String::from_utf8_lossy(call.stdin).contains("/healthz") { ExecAnswer::default() } else { answer }
}

fn foreign(name: &str) -> ContainerState {
    ContainerState {
        id: format!("{name}-of-somebody-else"),
        name: name.to_owned(),
        image: image('1'),
        labels: BTreeMap::new(),
        status: ContainerStatus::Running,
        exit_code: None,
        error: None,
        oom_killed: false,
        started_at: None,
        restarts: 0,
        published: BTreeMap::new(),
        networks: Vec::new(),
    }
}

#[tokio::test]
async fn a_plan_without_receipts_cannot_be_run() {
    let fixture = Fixture::new();
    let plan = fixture.plan(MANIFEST).await.unwrap();
    let refused = plan.admit(&BTreeMap::new()).unwrap_err();
    assert!(matches!(refused, DeployError::NotVerified { model } if model.as_str() == "assistant"));
}

#[tokio::test]
async fn an_image_that_is_not_there_is_named() {
    let fixture = Fixture::new();
    let text = MANIFEST.replace("1111", "3333");
    let error = fixture.deploy(&text).await.unwrap_err().before();
    assert!(
        matches!(&error, DeployError::ImageMissing { name, found: None, .. } if name == "engine"),
        "{error}"
    );
    assert_eq!(fixture.engine.writes(), [""; 0]);
}

#[tokio::test]
async fn somebody_elses_container_is_left_alone() {
    let fixture = Fixture::new();
    fixture.engine.add_container(foreign("sovai-demo-g1-engine"));
    let before = fixture.engine.snapshot();
    let error = fixture.deploy(MANIFEST).await.unwrap_err().before();
    assert!(
        matches!(&error, DeployError::ForeignContainer { name, .. } if name == "sovai-demo-g1-engine"),
        "{error}"
    );
    assert_eq!(fixture.engine.snapshot(), before);
}

#[tokio::test]
async fn what_a_killed_deploy_made_after_the_look_makes_way() {
    let fixture = Fixture::new();
    let plan = fixture.plan(MANIFEST).await.unwrap();
    // The engine goes on with what the killed process had asked for.
    let labels = BTreeMap::from([
        ("sovai.stack".to_owned(), "demo".to_owned()),
        ("sovai.generation".to_owned(), "1".to_owned()),
    ]);
    for name in ["sovai-demo-g1-engine", "sovai-demo-g1-store-check"] {
        let late = ContainerState { labels: labels.clone(), ..foreign(name) };
        fixture.engine.add_container(late);
    }
    fixture.engine.add_network(NetworkState {
        id: "late".to_owned(),
        name: "sovai-demo-g1".to_owned(),
        labels,
        internal: true,
        options: BTreeMap::new(),
    });
    fixture.run(plan).await.unwrap();
    assert_eq!(fixture.containers(), ["sovai-demo-g1-engine", "sovai-demo-g1-gateway"]);
    let networks = fixture.engine.snapshot().networks;
    assert_eq!(networks.len(), 2, "{networks:?}");
    assert!(networks.iter().all(|network| network.id != "late"));
}

#[tokio::test]
async fn somebody_elses_container_that_came_in_between_is_left_alone() {
    let fixture = Fixture::new();
    let plan = fixture.plan(MANIFEST).await.unwrap();
    fixture.engine.add_container(foreign("sovai-demo-g1-engine"));
    let before = fixture.engine.snapshot();
    let failure = fixture.run(plan).await.unwrap_err().run();
    assert!(matches!(*failure.cause, DeployError::Engine(EngineError::NameTaken { .. })), "{failure:?}");
    assert_eq!(failure.restored, Restored::Nothing);
    assert_eq!(fixture.engine.snapshot(), before);
}

#[tokio::test]
async fn somebody_elses_network_is_left_alone() {
    let fixture = Fixture::new();
    fixture.engine.add_network(NetworkState {
        id: "n".into(),
        name: "sovai-demo-edge".into(),
        labels: BTreeMap::new(),
        internal: false,
        options: BTreeMap::new(),
    });
    let before = fixture.engine.snapshot();
    let error = fixture.deploy(MANIFEST).await.unwrap_err().before();
    assert!(
        matches!(&error, DeployError::ForeignNetwork { name, .. } if name == "sovai-demo-edge"),
        "{error}"
    );
    assert_eq!(fixture.engine.snapshot(), before);
}

#[tokio::test]
async fn a_port_that_another_program_holds_is_found_before_anything_is_made() {
    let fixture = Fixture::new();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = MANIFEST.replace("LISTEN", &held.local_addr().unwrap().to_string());
    let error = fixture.deploy(&text).await.unwrap_err().before();
    assert!(matches!(error, DeployError::PortTaken { listen } if listen == held.local_addr().unwrap()));
    assert_eq!(fixture.engine.writes(), [""; 0]);
}

#[tokio::test]
async fn a_port_that_only_the_engine_knows_to_be_taken_is_taken_back() {
    let fixture = Fixture::new();
    fixture.engine.occupy(fixture.listen.parse().unwrap());
    let before = fixture.engine.snapshot();
    let failure = fixture.deploy(MANIFEST).await.unwrap_err().run();
    assert!(matches!(*failure.cause, DeployError::Engine(EngineError::PortTaken { .. })), "{failure:?}");
    assert_eq!(failure.restored, Restored::Nothing);
    assert_eq!(fixture.engine.snapshot(), before);
}

#[tokio::test]
async fn an_engine_that_cannot_see_the_store_is_found() {
    let fixture = Fixture::new();
    fixture.engine.hide(fixture.store.root());
    let before = fixture.engine.snapshot();
    let failure = fixture.deploy(MANIFEST).await.unwrap_err().run();
    assert!(matches!(*failure.cause, DeployError::StoreUnseen { .. }), "{failure:?}");
    assert_eq!(fixture.engine.snapshot(), before);
}

#[tokio::test]
async fn an_engine_that_sees_another_folder_is_found() {
    let fixture = Fixture::new();
    fixture.engine.on_start("store-check", |_| Run::prints(&["something else"]));
    let failure = fixture.deploy(MANIFEST).await.unwrap_err().run();
    assert!(matches!(*failure.cause, DeployError::StoreUnseen { .. }), "{failure:?}");
    assert_eq!(fixture.containers(), [""; 0]);
}

#[tokio::test]
async fn a_process_that_dies_at_start_shows_its_log() {
    let fixture = Fixture::new();
    let before = fixture.engine.snapshot();
    fixture.engine.on_start("engine", |_| Run::dies(3, &["no such tensor"]));
    // The prober would wait for the engine for ever: its end must be seen from outside.
    fixture.engine.on_exec(GATEWAY, |call| about_engine(call, ExecAnswer::fails(1, "")));
    let failure = fixture.deploy(MANIFEST).await.unwrap_err().run();
    let text = failure.cause.to_string();
    assert!(text.contains("no such tensor"), "{text}");
    assert_eq!(failure.restored, Restored::Nothing);
    assert_eq!(fixture.engine.snapshot(), before);
}

#[tokio::test]
async fn an_engine_that_never_gets_ready_is_taken_back() {
    let fixture = Fixture::new();
    let before = fixture.engine.snapshot();
    fixture.engine.on_start("engine", |_| Run::on().says(true, &["loading"]));
    fixture.engine.on_exec(GATEWAY, |call| {
        let lines = vec![r#"{"state":"answers","detail":"it answers 503: Loading model"}"#.into()];
        about_engine(call, ExecAnswer { lines, code: 1, stderr: String::new() })
    });
    let failure = fixture.deploy(MANIFEST).await.unwrap_err().run();
    let DeployError::NotReady { service, last, log, .. } = &*failure.cause else { panic!("{failure:?}") };
    assert_eq!((service.as_str(), last.as_str()), ("engine", "it answers 503: Loading model"));
    assert_eq!(log[0].text, "loading");
    assert_eq!(fixture.engine.snapshot(), before);
}

#[tokio::test]
async fn a_model_that_does_not_answer_is_taken_back() {
    let fixture = Fixture::new();
    fixture.engine.on_exec(GATEWAY, |call| match call.command.last().map(String::as_str) {
        Some("ask") => ExecAnswer {
            lines: vec![r#"{"error":"expected status 200, found 500"}"#.into()],
            code: 1,
            ..ExecAnswer::default()
        },
        _ => ExecAnswer::default(),
    });
    let failure = fixture.deploy(MANIFEST).await.unwrap_err().run();
    assert!(
        matches!(&*failure.cause, DeployError::NoAnswer { message, .. } if message.contains("500")),
        "{failure:?}"
    );
    assert_eq!(fixture.containers(), [""; 0]);
}

#[tokio::test]
async fn the_question_carries_the_key_on_standard_input_only() {
    let fixture = Fixture::new();
    let key = fixture.store.stack(&"demo".parse().unwrap()).default_key().unwrap().1;
    let expected = key.clone();
    fixture.engine.on_exec(GATEWAY, move |call| {
        let stdin = String::from_utf8_lossy(call.stdin);
        assert!(!call.command.join(" ").contains(&expected), "arguments can be read by others");
        if call.command.last().is_some_and(|word| word == "ask") {
            assert!(stdin.contains(&expected));
        }
        ExecAnswer::lines(&[r#"{"text":"ok"}"#])
    });
    fixture.deploy(MANIFEST).await.unwrap();
    for name in fixture.containers() {
        let spec = format!("{:?}", fixture.engine.spec(&name).unwrap());
        assert!(!spec.contains(&key), "{name}");
    }
}

#[tokio::test]
async fn an_interrupt_takes_everything_back() {
    let fixture = Fixture::new();
    let before = fixture.engine.snapshot();
    let cancel = fixture.cancel.clone();
    fixture.engine.on_start(GATEWAY, move |_| {
        cancel.cancel();
        Run::on()
    });
    let failure = fixture.deploy(MANIFEST).await.unwrap_err().run();
    assert!(matches!(*failure.cause, DeployError::Interrupted));
    assert_eq!(failure.restored, Restored::Nothing);
    assert_eq!(fixture.engine.snapshot(), before);
}

#[tokio::test]
async fn a_failed_change_leaves_what_served_before() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    let before = fixture.containers();
    let changed = MANIFEST.replace("model: assistant\n", "model: assistant\n      context: 2048\n");
    // The new engine dies and cannot be asked; the old one runs and is ready.
    let dead = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&dead);
    fixture.engine.on_start("engine", move |spec| {
        dead.store(spec.args.contains(&"2048".to_owned()), Ordering::Relaxed);
        if dead.load(Ordering::Relaxed) { Run::dies(1, &["out of luck"]) } else { Run::on() }
    });
    fixture.engine.on_exec(GATEWAY, move |_| {
        if seen.load(Ordering::Relaxed) { ExecAnswer::fails(1, "") } else { ExecAnswer::default() }
    });
    let failure = fixture.deploy(&changed).await.unwrap_err().run();
    assert!(matches!(failure.restored, Restored::Previous(_)), "{failure:?}");
    assert_eq!(fixture.containers(), before);
    let running = fixture.engine.snapshot().containers.iter().all(|c| c.status == ContainerStatus::Running);
    assert!(running, "what served before serves again");
    fixture.behave();
    fixture.engine.on_start("engine", |_| Run::on());
    assert!(!fixture.deploy(MANIFEST).await.unwrap().changed);
}

#[tokio::test]
async fn what_served_before_must_be_ready_again_to_count_as_restored() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    let changed = MANIFEST.replace("model: assistant\n", "model: assistant\n      context: 2048\n");
    fixture.engine.on_exec(GATEWAY, |_| ExecAnswer::fails(1, ""));
    let failure = fixture.deploy(&changed).await.unwrap_err().run();
    let Restored::Incomplete(left) = &failure.restored else { panic!("{failure:?}") };
    assert!(
        left[0].starts_with("container sovai-demo-g1-engine was started again: engine was not ready"),
        "{left:?}"
    );
    fixture.behave();
    assert!(
        !fixture.deploy(MANIFEST).await.unwrap().changed,
        "it runs, and the record says that it was admitted"
    );
}

#[tokio::test]
async fn what_could_not_be_undone_is_said() {
    let fixture = Fixture::new();
    fixture.engine.on_exec(GATEWAY, |_| ExecAnswer::fails(1, ""));
    let refused =
        || EngineError::Answer { what: "remove".into(), status: 500, message: "device busy".into() };
    // The first removal clears the store check away; the second is part of the undoing.
    fixture.engine.fail_on(Call::RemoveContainer, 2, refused());
    let failure = fixture.deploy(MANIFEST).await.unwrap_err().run();
    let Restored::Incomplete(left) = &failure.restored else { panic!("{failure:?}") };
    assert!(left[0].contains("device busy"), "{left:?}");
    fixture.behave();
    fixture.deploy(MANIFEST).await.unwrap();
    assert_eq!(fixture.containers(), ["sovai-demo-g1-engine", "sovai-demo-g1-gateway"]);
}
