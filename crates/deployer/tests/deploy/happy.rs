//! Deploys that go well.

use crate::fixture::{Fixture, MANIFEST, image};
use sovai_core::NullReporter;
use sovai_deployer::engine::{ContainerEngine as _, ContainerStatus, Restart};
use sovai_deployer::fake::Call;
use sovai_deployer::labels::Labelled as _;
use sovai_deployer::{What, down, status};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

#[tokio::test]
async fn the_first_deploy_makes_everything_and_asks_one_question() {
    let fixture = Fixture::new();
    let plan = fixture.plan(MANIFEST).await.unwrap();
    let text: Vec<String> =
        plan.actions.iter().map(|action| action.what.words()).map(|(v, o)| format!("{v} {o}")).collect();
    let text = text.join("\n").replace(&fixture.image.tag, "sovai/gateway:ID");
    insta::assert_snapshot!(text.lines().filter(|line| !line.starts_with("write")).collect::<Vec<_>>().join("\n"), @r"
    load image sovai/gateway:ID
    check that the engine sees the store
    create network sovai-demo-g1
    create network sovai-demo-edge
    create container sovai-demo-g1-gateway
    create container sovai-demo-g1-engine
    start container sovai-demo-g1-gateway
    start container sovai-demo-g1-engine
    wait until ready: gateway
    wait until ready: engine
    ask model assistant
    ");
    let outcome = fixture.deploy(MANIFEST).await.unwrap();
    assert_eq!((outcome.generation, outcome.changed, outcome.key_made), (1, true, true));
    assert_eq!(outcome.answers[0].text, "Kuala Lumpur.");
    let snapshot = fixture.engine.snapshot();
    assert_eq!(fixture.containers(), ["sovai-demo-g1-engine", "sovai-demo-g1-gateway"]);
    assert!(snapshot.containers.iter().all(|container| container.status == ContainerStatus::Running));
    assert_eq!(snapshot.containers[0].networks, ["sovai-demo-g1"]);
    let mut gateway = snapshot.containers[1].networks.clone();
    gateway.sort();
    assert_eq!(gateway, ["sovai-demo-edge", "sovai-demo-g1"]);
    let internal = snapshot.networks.iter().find(|network| network.name == "sovai-demo-g1").unwrap();
    assert!(internal.internal);
    assert_eq!(internal.options["com.docker.network.bridge.inhibit_ipv4"], "true");
    let edge = snapshot.networks.iter().find(|network| network.name == "sovai-demo-edge").unwrap();
    assert_eq!(edge.options["com.docker.network.bridge.enable_ip_masquerade"], "false");
}

#[tokio::test]
async fn engines_publish_nothing_and_get_only_the_stores_tree() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    let engine = fixture.engine.spec("sovai-demo-g1-engine").unwrap();
    assert!(engine.publish.is_empty());
    assert_eq!(engine.image, image('1'));
    assert_eq!(engine.restart, Restart::UnlessStopped);
    assert_eq!(engine.user, "65532:65532");
    assert_eq!(engine.mounts.len(), 1);
    assert!(engine.mounts[0].source.starts_with(fixture.store.root().join("trees")));
    assert_eq!(engine.mounts[0].target, "/models/assistant");
    assert_eq!(engine.args[..2], ["-m", "/models/assistant/model.gguf"]);
    let gateway = fixture.engine.spec("sovai-demo-g1-gateway").unwrap();
    assert_eq!(gateway.publish[&8080].to_string(), fixture.listen);
    assert!(
        gateway.mounts.iter().all(|mount| mount.source.starts_with(fixture.store.root().join("stacks/demo")))
    );
}

#[tokio::test]
async fn what_the_gateway_is_given_is_what_it_reads() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    let gateway = fixture.engine.spec("sovai-demo-g1-gateway").unwrap();
    let at =
        |target: &str| gateway.mounts.iter().find(|mount| mount.target == target).unwrap().source.clone();
    let config = sovai_gateway::Config::load(&at("/etc/sovai/config").join("gateway.json")).unwrap();
    assert_eq!(config.routes["assistant"].upstream, "http://engine:8080");
    assert_eq!(config.routes["assistant"].model, "assistant");
    assert_eq!(config.keys.unwrap().to_str(), Some("/etc/sovai/keys/keys.sha256"));
    let digests = fs_err::read_to_string(at("/etc/sovai/keys").join("keys.sha256")).unwrap();
    let key = fixture.store.stack(&"demo".parse().unwrap()).default_key().unwrap().1;
    assert!(!digests.contains(&key), "the key itself never leaves its file");
}

#[tokio::test]
async fn a_second_deploy_only_reads() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    fixture.engine.forget_calls();
    let outcome = fixture.deploy(MANIFEST).await.unwrap();
    assert!(!outcome.changed);
    assert_eq!(outcome.generation, 1);
    assert_eq!(fixture.engine.writes(), [""; 0]);
    assert!(fixture.engine.calls().iter().all(|made| made.call != Call::Exec));
}

#[tokio::test]
async fn a_change_replaces_only_what_changed() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    let before = fixture.engine.snapshot();
    let changed = MANIFEST.replace("model: assistant\n", "model: assistant\n      context: 2048\n");
    let outcome = fixture.deploy(&changed).await.unwrap();
    assert_eq!(outcome.generation, 2);
    assert_eq!(fixture.containers(), ["sovai-demo-g1-gateway", "sovai-demo-g2-engine"]);
    let after = fixture.engine.snapshot();
    let id = |snapshot: &sovai_deployer::fake::Snapshot| {
        snapshot.containers.iter().find(|c| c.service() == "gateway").unwrap().id.clone()
    };
    assert_eq!(id(&before), id(&after), "the gateway is the same container");
    assert_eq!(before.networks, after.networks);
    assert!(fixture.engine.spec("sovai-demo-g2-engine").unwrap().args.join(" ").contains("-c 2048"));
    fixture.engine.forget_calls();
    assert!(!fixture.deploy(&changed).await.unwrap().changed);
}

#[tokio::test]
async fn a_service_that_is_no_longer_wanted_goes() {
    let fixture = Fixture::new();
    let two = MANIFEST.replace(
        "  gateway:",
        "    side: { image: { name: side, id: 'sha256:2222222222222222222222222222222222222222222222222222222222222222' }, depends: [engine] }\n  gateway:",
    );
    fixture.deploy(&two).await.unwrap();
    assert_eq!(fixture.containers().len(), 3);
    fixture.deploy(MANIFEST).await.unwrap();
    assert_eq!(fixture.containers(), ["sovai-demo-g1-engine", "sovai-demo-g1-gateway"]);
}

#[tokio::test]
async fn a_stopped_container_is_started_again() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    fixture.engine.stop_container("sovai-demo-g1-engine", Duration::ZERO).await.unwrap();
    fixture.engine.forget_calls();
    let outcome = fixture.deploy(MANIFEST).await.unwrap();
    assert!(outcome.changed);
    assert_eq!(fixture.engine.writes(), ["StartContainer sovai-demo-g1-engine"]);
}

#[tokio::test]
async fn without_a_gateway_a_short_lived_container_asks() {
    let fixture = Fixture::new();
    let text = &MANIFEST[..MANIFEST.find("  gateway:").unwrap()];
    let outcome = fixture.deploy(text).await.unwrap();
    assert_eq!(outcome.answers[0].text, "Kuala Lumpur.");
    assert_eq!(outcome.key_file, None);
    assert_eq!(fixture.containers(), ["sovai-demo-g1-engine"], "the container that asked is gone");
    assert_eq!(fixture.engine.snapshot().networks.len(), 1, "no edge network without a gateway");
    fixture.engine.forget_calls();
    assert!(!fixture.deploy(text).await.unwrap().changed);
    assert_eq!(fixture.engine.writes(), [""; 0]);
}

#[tokio::test]
async fn down_takes_all_of_it_and_nothing_else() {
    let fixture = Fixture::new();
    let before = fixture.engine.snapshot();
    fixture.deploy(MANIFEST).await.unwrap();
    let other = MANIFEST.replace("name: demo", "name: other").replace("LISTEN", "127.0.0.1:18081");
    fixture.deploy(&other).await.unwrap();
    let removed = down(&fixture.engine, "demo", Duration::ZERO, &NullReporter).await.unwrap();
    assert_eq!(
        removed.containers,
        ["sovai-demo-g1-gateway", "sovai-demo-g1-engine"],
        "the door closes first"
    );
    assert_eq!(removed.networks.len(), 2);
    assert_eq!(removed.images, [""; 0], "the other stack still uses the image");
    let left = status(&fixture.engine, None).await.unwrap();
    assert_eq!(left.iter().map(|stack| stack.stack.as_str()).collect::<Vec<_>>(), ["other"]);
    down(&fixture.engine, "other", Duration::ZERO, &NullReporter).await.unwrap();
    assert_eq!(fixture.engine.snapshot(), before);
}

#[tokio::test]
async fn an_image_that_went_with_another_stack_is_loaded_again() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    let other = MANIFEST.replace("name: demo", "name: other").replace(&fixture.listen, "127.0.0.1:1");
    assert_ne!(other, MANIFEST);
    // Planned while the image is there; then the stack that had brought it is taken away.
    let plan = fixture.plan(&other).await.unwrap();
    assert!(!plan.actions.iter().any(|action| action.what.words().0 == "load"));
    let gone = down(&fixture.engine, "demo", Duration::ZERO, &NullReporter).await.unwrap();
    assert_eq!(gone.images, std::slice::from_ref(&fixture.image.tag));
    fixture.run(plan).await.unwrap();
    assert_eq!(fixture.containers(), ["sovai-other-g1-engine", "sovai-other-g1-gateway"]);
}

#[tokio::test]
async fn a_container_that_mounts_a_damaged_copy_is_started_anew_when_the_copy_was_healed() {
    let fixture = Fixture::new();
    fixture.receipts();
    fixture.deploy(MANIFEST).await.unwrap();
    let tree = fixture.engine.spec("sovai-demo-g1-engine").unwrap().mounts[0].source.clone();
    let file = tree.join("model.gguf");
    fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    fs_err::write(&file, "weighed").unwrap();
    fixture.receipts();
    assert_eq!(fs_err::read_to_string(&file).unwrap(), "weights", "healed from the source");
    fixture.engine.forget_calls();
    assert!(fixture.deploy(MANIFEST).await.unwrap().changed);
    assert_eq!(
        fixture.engine.writes(),
        ["StopContainer sovai-demo-g1-engine", "StartContainer sovai-demo-g1-engine"],
        "the gateway mounts no model"
    );
    assert!(!fixture.deploy(MANIFEST).await.unwrap().changed);
}

#[tokio::test]
async fn a_network_that_was_added_by_hand_is_no_way_out() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    fixture.engine.connect("sovai-demo-edge", "sovai-demo-g1-engine", &[]).await.unwrap();
    fixture.deploy(MANIFEST).await.unwrap();
    assert_eq!(fixture.containers(), ["sovai-demo-g1-gateway", "sovai-demo-g2-engine"]);
    let engine = fixture.engine.snapshot().containers.into_iter().find(|c| c.service() == "engine").unwrap();
    assert_eq!(engine.networks, ["sovai-demo-g1"]);
}

#[tokio::test]
async fn a_container_that_is_gone_is_missed() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    let folder = fixture.store.stack(&"demo".parse().unwrap());
    let look = async || {
        let mut stack = status(&fixture.engine, Some("demo")).await.unwrap().remove(0);
        stack.compare(&folder).unwrap();
        (stack.running, stack.missing)
    };
    assert_eq!(look().await, (true, Vec::new()));
    fixture.engine.remove_container("sovai-demo-g1-gateway").await.unwrap();
    assert_eq!(look().await, (false, vec!["sovai-demo-g1-gateway".to_owned()]));
}

#[tokio::test]
async fn a_paused_container_makes_way() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    fixture.engine.pause("sovai-demo-g1-engine");
    let plan = fixture.plan(MANIFEST).await.unwrap();
    let create =
        plan.actions.iter().find(|action| matches!(action.what, What::CreateContainer { .. })).unwrap();
    assert_eq!(create.why, "replaces sovai-demo-g1-engine: it is paused or broken");
    fixture.deploy(MANIFEST).await.unwrap();
    assert_eq!(fixture.containers(), ["sovai-demo-g1-gateway", "sovai-demo-g2-engine"]);
    assert!(fixture.engine.writes().contains(&"StopContainer sovai-demo-g1-engine".to_owned()));
}

#[tokio::test]
async fn keys_that_a_person_added_stay() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    let file = fixture.store.stack(&"demo".parse().unwrap()).path().join("gateway-keys/keys.sha256");
    let team = format!("{} team-a\n", "a".repeat(64));
    let both = fs_err::read_to_string(&file).unwrap() + &team;
    sovai_store::atomic::write(&file, both.as_bytes(), 0o444).unwrap();
    fixture.deploy(MANIFEST).await.unwrap();
    assert_eq!(fs_err::read_to_string(&file).unwrap(), both);
}

#[tokio::test]
async fn when_both_are_replaced_the_door_closes_before_the_engine_ends() {
    let fixture = Fixture::new();
    fixture.deploy(MANIFEST).await.unwrap();
    let changed = MANIFEST
        .replace("model: assistant\n", "model: assistant\n      context: 2048\n")
        .replace("{ assistant: engine }", "{ assistant: engine, helper: engine }");
    fixture.engine.forget_calls();
    fixture.deploy(&changed).await.unwrap();
    let stops: Vec<_> =
        fixture.engine.writes().into_iter().filter(|call| call.starts_with("StopContainer")).collect();
    assert_eq!(stops, ["StopContainer sovai-demo-g1-gateway", "StopContainer sovai-demo-g1-engine"]);
}
