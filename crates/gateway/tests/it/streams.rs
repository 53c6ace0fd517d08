//! Answers that come in pieces.

use crate::support::{Client, Door, Engine, STREAM_HEAD, chat, within};
use sovai_gateway::Outcome;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

#[tokio::test]
async fn each_piece_is_passed_on_before_the_next_one_is_there() {
    // The engine sends a piece only when the client has the one before: anything held back ends in a timeout.
    let (ack, acks) = mpsc::unbounded_channel::<()>();
    let acks = Arc::new(tokio::sync::Mutex::new(acks));
    let engine = Engine::start(move |_, mut wire| {
        let acks = Arc::clone(&acks);
        async move {
            wire.request().await.unwrap();
            wire.send(STREAM_HEAD).await;
            let mut acks = acks.lock().await;
            for piece in 0..50 {
                wire.send_chunk(&format!("data: {piece}\n\n")).await;
                acks.recv().await.unwrap();
            }
            wire.send("0\r\n\r\n").await;
            wire.closed().await;
        }
    })
    .await;
    let mut door = Door::to(engine.address).await;
    let mut client = door.client().await;
    client.send(chat("x")).await;
    let head = client.head().await.unwrap();
    assert_eq!((head.status, head.headers["content-type"].as_str()), (200, "text/event-stream"));
    for piece in 0..50 {
        assert_eq!(client.chunk().await.unwrap(), format!("data: {piece}\n\n").as_bytes());
        ack.send(()).unwrap();
    }
    assert_eq!(client.chunk().await.unwrap(), b"");
    let record = door.access().await;
    assert_eq!((record.outcome, record.status), (Outcome::Complete, 200));
    assert!(record.first_byte_ms.unwrap() <= record.duration_ms);
}

#[tokio::test]
async fn the_head_is_passed_on_before_the_first_piece() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let engine = Engine::start(move |_, mut wire| {
        let wait = Arc::clone(&wait);
        async move {
            wire.request().await.unwrap();
            wire.send(STREAM_HEAD).await;
            wait.notified().await;
            wire.send_chunk("x").await;
            wire.send("0\r\n\r\n").await;
        }
    })
    .await;
    let door = Door::to(engine.address).await;
    let mut client = door.client().await;
    client.send(chat("x")).await;
    assert_eq!(client.head().await.unwrap().status, 200);
    go.notify_one();
    assert_eq!(client.chunk().await.unwrap(), b"x");
}

#[tokio::test]
async fn many_streams_run_side_by_side() {
    const STREAMS: usize = 200;
    // No stream gets its last piece before all have their first.
    let all = Arc::new(tokio::sync::Barrier::new(STREAMS));
    let engine = Engine::start(move |_, mut wire| {
        let all = Arc::clone(&all);
        async move {
            let asked = wire.request().await.unwrap();
            let asked: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
            let prompt = asked["messages"][0]["content"].as_str().unwrap().to_owned();
            wire.send(STREAM_HEAD).await;
            wire.send_chunk(&prompt).await;
            all.wait().await;
            wire.send_chunk(&format!(" end {prompt}")).await;
            wire.send("0\r\n\r\n").await;
        }
    })
    .await;
    let door = Door::to(engine.address).await;
    let tasks: Vec<_> = (0..STREAMS)
        .map(|n| {
            let address = door.address;
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                client.send(chat(&format!("<{n}>"))).await;
                (n, client.answer().await.text())
            })
        })
        .collect();
    for task in tasks {
        let (n, text) = within("a stream", task).await.unwrap();
        assert_eq!(text, format!("<{n}> end <{n}>"));
    }
    let metrics = door.metrics().await;
    assert!(metrics.contains("sovai_gateway_requests_in_flight 0"), "{metrics}");
}

#[tokio::test]
async fn an_engine_that_dies_in_the_middle_is_no_clean_end() {
    for framing in ["transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "content-length: 100\r\n\r\nhello"] {
        let engine = Engine::start(move |_, mut wire| async move {
            wire.request().await.unwrap();
            wire.send(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
        })
        .await;
        let mut door = Door::to(engine.address).await;
        let mut client = door.client().await;
        client.send(chat("x")).await;
        assert!(client.try_answer().await.is_none(), "{framing}: the client takes it for whole");
        let record = door.access().await;
        assert_eq!((record.outcome, record.status, record.bytes_out), (Outcome::UpstreamCut, 200, 5));
        assert!(door.metrics().await.contains("upstream_errors_total{model=\"assistant\",kind=\"cut\"} 1"));
    }
}

#[tokio::test]
async fn an_engine_that_falls_silent_in_the_middle_is_cut_off() {
    let engine = Engine::start(|_, mut wire| async move {
        wire.request().await.unwrap();
        wire.send(STREAM_HEAD).await;
        wire.send_chunk("x").await;
        wire.closed().await;
    })
    .await;
    let mut door = Door::with_limits(engine.address, serde_json::json!({ "responseTimeoutMs": 200 })).await;
    let mut client = door.client().await;
    client.send(chat("x")).await;
    client.head().await.unwrap();
    assert_eq!(client.chunk().await.unwrap(), b"x");
    assert!(client.chunk().await.is_none());
    assert_eq!(door.access().await.outcome, Outcome::UpstreamCut);
}

#[tokio::test]
async fn a_large_answer_arrives_whole_through_a_slow_reader() {
    const SIZE: usize = 8 << 20;
    let engine = Engine::start(|_, mut wire| async move {
        wire.request().await.unwrap();
        wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n")).await;
        let piece: Vec<u8> = (0..=255u8).cycle().take(1 << 20).collect();
        for _ in 0..SIZE >> 20 {
            wire.send(&piece).await;
        }
        wire.closed().await;
    })
    .await;
    let mut door = Door::to(engine.address).await;
    let answer = door.ask(&chat("x")).await;
    assert_eq!(answer.body.len(), SIZE);
    assert!(answer.body.iter().zip((0..=255u8).cycle()).all(|(a, b)| *a == b));
    assert_eq!(door.access().await.outcome, Outcome::Complete);
}
