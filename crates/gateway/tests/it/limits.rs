//! What one client can cost.

use crate::support::{Door, Engine, KEY, chat, post, within};
use serde_json::json;
use tokio::sync::mpsc;

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let (engine, mut seen) = Engine::echo().await;
    let mut door = Door::with_limits(engine.address, json!({ "bodyBytes": 1000 })).await;
    let body = |size: usize| {
        let frame = r#"{"model":"assistant","x":""}"#.len();
        format!("{{\"model\":\"assistant\",\"x\":\"{}\"}}", "x".repeat(size - frame))
    };
    assert_eq!(door.ask(&post("/v1/completions", KEY, &body(1000))).await.status, 200);
    assert!(seen.try_recv().is_ok());
    let answer = door.ask(&post("/v1/completions", KEY, &body(1001))).await;
    assert_eq!(answer.error(), (413, Some("request_too_large".to_owned())));
    let head = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let chunked = |text: &str| format!("{head}{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    assert_eq!(door.ask(&chunked(&body(1000))).await.status, 200);
    assert!(seen.try_recv().is_ok());
    assert_eq!(door.ask(&chunked(&body(1001))).await.error().0, 413);
    // Without an end: the answer comes all the same.
    let mut client = door.client().await;
    client.send(format!("{head}ffffffff\r\n{}", "x".repeat(5000))).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.headers["connection"].as_str()), (413, "close"));
    client.closed().await;
    assert!(seen.try_recv().is_err(), "the engine was reached");
    for status in [200, 413, 200, 413, 413] {
        assert_eq!(door.access().await.status, status);
    }
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_gets_its_answer_without_sending() {
    let (engine, _seen) = Engine::echo().await;
    let door = Door::with_limits(engine.address, json!({ "bodyBytes": 1000 })).await;
    let head = |key: &str, length: usize| {
        format!(
            "POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nexpect: 100-continue\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    assert_eq!(door.ask(&head(KEY, 2000)).await.status, 413);
    assert_eq!(door.ask(&head("wrong", 10)).await.status, 401);
    let body = r#"{"model":"assistant"}"#;
    let mut client = door.client().await;
    client.send(head(KEY, body.len())).await;
    assert_eq!(client.head().await.unwrap().status, 100);
    client.send(body).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn all_bodies_together_have_a_limit_too() {
    let (tell, mut seen) = mpsc::unbounded_channel();
    let engine = Engine::start(move |_, mut wire| {
        let tell = tell.clone();
        async move {
            tell.send(wire.request().await.unwrap()).unwrap();
            wire.closed().await;
        }
    })
    .await;
    let door = Door::with_limits(engine.address, json!({ "bodyBytes": 1000, "bufferedBytes": 1500 })).await;
    let body = format!("{{\"model\":\"assistant\",\"x\":\"{}\"}}", "x".repeat(900));
    let mut first = door.client().await;
    first.send(post("/v1/completions", KEY, &body)).await;
    within("the engine", seen.recv()).await.unwrap();
    let answer = door.ask(&post("/v1/completions", KEY, &body)).await;
    assert_eq!(answer.error(), (503, Some("server_overloaded".to_owned())));
    assert_eq!(answer.headers["retry-after"], "1");
    // The room is free again when the first has gone.
    drop(first);
    within("room", async {
        loop {
            let mut client = door.client().await;
            client.send(post("/v1/completions", KEY, &body)).await;
            tokio::select! {
                answer = client.answer() => assert_eq!(answer.status, 503),
                _ = seen.recv() => break,
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let door = Door::with_limits(Engine::nobody().await, json!({ "headerBytes": 4096 })).await;
    let request =
        |size: usize| format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(size));
    assert_eq!(door.ask(&request(3000)).await.status, 200);
    assert_eq!(door.ask(&request(6000)).await.status, 431);
    let many = "h: 1\r\n".repeat(200);
    assert_eq!(door.ask(&format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{many}\r\n")).await.status, 431);
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(5000));
    assert!(matches!(door.ask(&long).await.status, 414 | 431));
}

#[tokio::test]
async fn a_slow_head_and_an_idle_connection_are_closed() {
    let door = Door::with_limits(Engine::nobody().await, json!({ "headerTimeoutMs": 200 })).await;
    let mut silent = door.client().await;
    silent.closed().await;
    let mut slow = door.client().await;
    slow.send("GET /healthz HTTP/1.1\r\nhost: ").await;
    slow.closed().await;
    // A byte now and then does not keep it open: the bound is for the whole head.
    let mut drip = door.client().await;
    within("the end", async {
        let mut bytes = b"GET /healthz HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'x'));
        loop {
            tokio::select! {
                () = drip.closed() => break,
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
            }
            if tokio::io::AsyncWriteExt::write_all(&mut drip.stream, &[*bytes.next().unwrap()]).await.is_err()
            {
                break;
            }
        }
    })
    .await;
    let mut idle = door.client().await;
    idle.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(idle.answer().await.status, 200);
    idle.closed().await;
}

#[tokio::test]
async fn a_slow_body_is_refused() {
    let (engine, mut seen) = Engine::echo().await;
    let door = Door::with_limits(engine.address, json!({ "bodyTimeoutMs": 200 })).await;
    let mut client = door.client().await;
    let request = chat("x");
    client.send(&request[..request.len() - 1]).await;
    let answer = client.answer().await;
    assert_eq!(answer.error(), (408, Some("request_timeout".to_owned())));
    client.closed().await;
    assert!(seen.try_recv().is_err(), "the engine was reached");
}

#[tokio::test]
async fn further_connections_wait_for_a_free_place_and_the_inner_door_stays_open() {
    let (engine, _seen) = Engine::echo().await;
    let door = Door::with_limits(engine.address, json!({ "connections": 2 })).await;
    let health = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let (mut one, mut two) = (door.client().await, door.client().await);
    for client in [&mut one, &mut two] {
        client.send(health).await;
        assert_eq!(client.answer().await.status, 200);
    }
    let mut third = door.client().await;
    third.send(health).await;
    let mut inner = crate::support::Client::connect(door.inner).await;
    inner.send(chat("x")).await;
    assert_eq!(inner.answer().await.status, 200);
    // By now the third would have its answer, had it been taken.
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), third.head()).await;
    assert!(early.is_err(), "more connections than the limit");
    drop(one);
    assert_eq!(third.answer().await.status, 200);
}
