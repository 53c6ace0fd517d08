//! How a gateway starts and ends.

use crate::support::{Client, Door, Engine, STREAM_HEAD, chat, config, within};
use serde_json::json;
use sovai_gateway::{Config, Gateway, GatewayError, Outcome, Record};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

#[tokio::test]
async fn an_answer_under_way_is_finished_and_no_new_connection_is_taken() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let engine = Engine::start(move |_, mut wire| {
        let wait = Arc::clone(&wait);
        async move {
            wire.request().await.unwrap();
            wire.send(STREAM_HEAD).await;
            wire.send_chunk("first").await;
            wait.notified().await;
            wire.send_chunk("last").await;
            wire.send("0\r\n\r\n").await;
        }
    })
    .await;
    let mut door = Door::to(engine.address).await;
    let mut idle = door.client().await;
    idle.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    idle.answer().await;
    let mut client = door.client().await;
    client.send(chat("x")).await;
    client.head().await.unwrap();
    assert_eq!(client.chunk().await.unwrap(), b"first");
    door.stop();
    door.hear(|r| matches!(r, Record::Draining { connections: 2 })).await;
    idle.closed().await;
    within("the port to close", async { while TcpStream::connect(door.address).await.is_ok() {} }).await;
    go.notify_one();
    assert_eq!(client.chunk().await.unwrap(), b"last");
    assert_eq!(client.chunk().await.unwrap(), b"");
    client.closed().await;
    door.hear(|r| matches!(r, Record::Stopped { cut: 0 })).await;
    within("the end", &mut door.task).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_cut_when_the_time_is_over() {
    let engine = Engine::start(|_, mut wire| async move {
        wire.request().await.unwrap();
        wire.send(STREAM_HEAD).await;
        wire.send_chunk("first").await;
        wire.closed().await;
    })
    .await;
    let mut door = Door::with_limits(engine.address, json!({ "drainTimeoutMs": 100 })).await;
    let mut client = door.client().await;
    client.send(chat("x")).await;
    client.head().await.unwrap();
    client.chunk().await.unwrap();
    door.stop();
    assert!(client.chunk().await.is_none(), "a cut answer looks whole");
    within("the end", &mut door.task).await.unwrap();
    assert_eq!(door.access().await.outcome, Outcome::ClientGone);
    door.hear(|r| matches!(r, Record::Stopped { cut: 1 })).await;
}

#[tokio::test]
async fn what_cannot_work_is_said_before_anything_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.pem");
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let bad_pem = folder.path().join("bad.pem");
    fs_err::write(&bad_pem, "no certificate here").unwrap();
    let cases = [
        ("/keys", json!(missing), "cannot read the keys file"),
        ("/keys", json!(bad_pem), "line 1: expected the 64"),
        ("/listen", json!(address.to_string()), "(`listen`)"),
        ("/metrics", json!(address.to_string()), "(`metrics`)"),
        ("/inner", json!(address.to_string()), "(`inner`)"),
        ("/tls", json!({ "cert": missing, "key": missing }), "cannot read the certificate"),
        ("/tls", json!({ "cert": bad_pem, "key": missing }), "cannot read the private key"),
        ("/tls", json!({ "cert": bad_pem, "key": bad_pem }), "cannot use the certificate"),
    ];
    for (pointer, value, expected) in cases {
        let mut config = config(address);
        config["keys"] = json!(null);
        config[&pointer[1..]] = value;
        let config = Config::parse(config.to_string().as_bytes()).unwrap();
        let error: GatewayError = Gateway::bind(config, |_| {}).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{pointer}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_serves_on_several_threads_too() {
    let (engine, _seen) = Engine::echo().await;
    let config = config(engine.address);
    let door = Door::open(config).await;
    let started = door.log();
    assert!(
        started.starts_with("{\"type\":\"started\"") && started.contains("\"models\":[\"assistant\"]"),
        "{started}"
    );
    let mut inner = Client::connect(door.inner).await;
    inner.send(chat("x")).await;
    assert_eq!(inner.answer().await.status, 200);
}
