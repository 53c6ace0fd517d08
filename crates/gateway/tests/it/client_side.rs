//! Clients that go away, do not read, or try to confuse.

use crate::support::{Door, Engine, KEY, STREAM_HEAD, chat, within};
use serde_json::json;
use sovai_gateway::Outcome;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// An engine that sends `before`, then tells when its connection is closed.
async fn watched(before: &'static str) -> (Engine, mpsc::UnboundedReceiver<()>, mpsc::UnboundedReceiver<()>) {
    let (asked, is_asked) = mpsc::unbounded_channel();
    let (gone, is_gone) = mpsc::unbounded_channel();
    let engine = Engine::start(move |_, mut wire| {
        let (asked, gone) = (asked.clone(), gone.clone());
        async move {
            wire.request().await.unwrap();
            wire.send(before).await;
            asked.send(()).unwrap();
            wire.closed().await;
            gone.send(()).unwrap();
        }
    })
    .await;
    (engine, is_asked, is_gone)
}

#[tokio::test]
async fn an_engine_learns_within_a_second_that_its_client_is_gone() {
    // In mid-stream, and while it has not even sent a head.
    for before in [STARTED, ""] {
        let (engine, mut asked, mut gone) = watched(before).await;
        let mut door = Door::to(engine.address).await;
        let mut client = door.client().await;
        client.send(chat("x")).await;
        within("the engine", asked.recv()).await.unwrap();
        if !before.is_empty() {
            client.head().await.unwrap();
            client.chunk().await.unwrap();
        }
        let start = Instant::now();
        drop(client);
        within("the engine's end", gone.recv()).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        let record = door.access().await;
        assert_eq!(record.outcome, Outcome::ClientGone);
        assert_eq!(record.status, if before.is_empty() { 499 } else { 200 });
        assert_eq!(record.model.as_deref(), Some("assistant"));
        let metrics = door.metrics().await;
        assert!(metrics.contains("sovai_gateway_client_gone_total 1"), "{metrics}");
        assert!(metrics.contains("sovai_gateway_requests_in_flight 0"), "{metrics}");
    }
}

const STARTED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let (gone, mut is_gone) = mpsc::unbounded_channel();
    let engine = Engine::start(move |_, mut wire| {
        let gone = gone.clone();
        async move {
            wire.request().await.unwrap();
            wire.send(STREAM_HEAD).await;
            let piece = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
            // Far more than what the sockets' buffers hold.
            for _ in 0..64 {
                if wire.try_send(&piece).await.is_err() {
                    break;
                }
            }
            gone.send(()).unwrap();
        }
    })
    .await;
    let mut door = Door::with_limits(engine.address, json!({ "writeTimeoutMs": 300 })).await;
    let mut client = door.client().await;
    client.send(chat("x")).await;
    within("the engine's end", is_gone.recv()).await.unwrap();
    assert_eq!(door.access().await.outcome, Outcome::ClientGone);
    drop(client);
}

#[tokio::test]
async fn a_request_with_two_lengths_is_not_guessed_at() {
    let (engine, mut seen) = Engine::echo().await;
    let door = Door::to(engine.address).await;
    let body = r#"{"model":"assistant"}"#;
    let length = body.len();
    let smuggled = "GET /slots HTTP/1.1\r\nhost: x\r\n\r\n";
    for headers in [
        format!("content-length: {length}\r\ncontent-length: {}\r\n", length + 1),
        format!("content-length: {length}, {}\r\n", length + 1),
        "content-length: +5\r\n".to_owned(),
        "content-length: -1\r\n".to_owned(),
        "content-length: 0x5\r\n".to_owned(),
        "transfer-encoding: identity\r\n".to_owned(),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        format!("content-length : {length}\r\n"),
        format!("x: y\r\n content-length: {length}\r\n"),
    ] {
        let mut client = door.client().await;
        client
            .send(format!(
                "POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n{headers}\r\n{body}{smuggled}"
            ))
            .await;
        let answer = client.try_answer().await;
        assert!(answer.as_ref().is_none_or(|a| a.status == 400), "{headers}: {answer:?}");
        client.closed().await;
    }
    assert!(seen.try_recv().is_err(), "the engine was reached");
}

#[tokio::test]
async fn length_and_chunks_together_cannot_smuggle_a_request() {
    let (engine, mut seen) = Engine::echo().await;
    let mut door = Door::to(engine.address).await;
    let body = r#"{"model":"assistant"}"#;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    // RFC 9112, section 6.3: chunks win, and the connection ends; or it is refused.
    let request = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 4\r\n\
         transfer-encoding: chunked\r\n\r\n{chunked}"
    );
    let mut client = door.client().await;
    client.send(&request).await;
    let first = client.try_answer().await;
    if let Some(answer) = first
        && answer.status == 200
    {
        let request = within("the engine", seen.recv()).await.unwrap();
        // What reaches the engine has one length, made anew.
        assert_eq!(request.headers["content-length"], request.body.len().to_string());
        assert!(!request.headers.contains_key("transfer-encoding"));
        assert_eq!(door.access().await.bytes_in, body.len() as u64);
    }
    assert!(seen.try_recv().is_err(), "something was smuggled to the engine");
}

#[tokio::test]
async fn a_header_cannot_be_split() {
    let (engine, mut seen) = Engine::echo().await;
    let door = Door::to(engine.address).await;
    let body = r#"{"model":"assistant"}"#;
    for bad in [
        "accept: a\nx-evil: 1\r\n",
        "accept: a\rx-evil: 1\r\n",
        "accept: a\0b\r\n",
        "acc ept: a\r\n",
        ": a\r\n",
    ] {
        let mut client = door.client().await;
        client
            .send(format!(
                "POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n{bad}content-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        if let Some(answer) = client.try_answer().await
            && answer.status == 200
        {
            let request = within("the engine", seen.recv()).await.unwrap();
            assert!(!request.headers.contains_key("x-evil"), "{bad:?}");
        }
    }
    // A model's name ends up in a JSON string, wherever it is shown.
    let body = r#"{"model":"a\r\nx-evil: 1\"}"}"#;
    let answer = door.ask(&crate::support::post("/v1/completions", KEY, body)).await;
    assert_eq!(answer.error().0, 404);
    assert!(!answer.headers.contains_key("x-evil"));
    assert!(!door.log().contains("evil"));
}

#[tokio::test]
async fn what_is_no_http_is_closed() {
    let door = Door::to(Engine::nobody().await).await;
    for text in
        ["nonsense\r\n\r\n", "\0\0\0\0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"]
    {
        let mut client = door.client().await;
        client.send(text).await;
        let answer = client.try_answer().await;
        assert!(answer.as_ref().is_none_or(|a| matches!(a.status, 400 | 505)), "{text:?}: {answer:?}");
        client.closed().await;
    }
}

#[tokio::test]
async fn an_encoded_body_is_refused_by_name() {
    let door = Door::to(Engine::nobody().await).await;
    let request = chat("x").replace("content-type:", "content-encoding: gzip\r\ncontent-type:");
    assert_eq!(door.ask(&request).await.error(), (415, Some("unsupported_content_encoding".to_owned())));
}
