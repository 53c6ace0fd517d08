//! Engines that are down, slow, or break off before they answer.

use crate::support::{Door, Engine, chat, no_such_host};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn an_engine_that_is_down_is_not_available() {
    let nobody = Engine::nobody().await;
    let mut door = Door::to(nobody).await;
    let answer = door.ask(&chat("x")).await;
    assert_eq!(answer.error(), (503, Some("engine_unreachable".to_owned())));
    assert_eq!(answer.headers["retry-after"], "5");
    assert!(!answer.text().contains(&nobody.to_string()), "the engine's address is shown");
    assert_eq!(door.access().await.status, 503);
    assert!(door.metrics().await.contains("upstream_errors_total{model=\"assistant\",kind=\"connect\"} 1"));
    assert!(door.log().contains("efused"), "{}", door.log());
}

#[tokio::test]
async fn a_name_without_an_address_is_not_available_either() {
    let mut config = crate::support::config(Engine::nobody().await);
    config["routes"]["assistant"]["upstream"] = json!(format!("http://{}:80", no_such_host()));
    config["limits"] = json!({ "connectTimeoutMs": 5000 });
    let door = Door::open(config).await;
    assert_eq!(door.ask(&chat("x")).await.error(), (503, Some("engine_unreachable".to_owned())));
}

#[tokio::test]
async fn an_engine_that_does_not_answer_in_time_is_given_up_and_let_go() {
    let (gone, mut is_gone) = tokio::sync::mpsc::unbounded_channel();
    let engine = Engine::start(move |_, mut wire| {
        let gone = gone.clone();
        async move {
            wire.request().await.unwrap();
            wire.closed().await;
            gone.send(()).unwrap();
        }
    })
    .await;
    let door = Door::with_limits(engine.address, json!({ "responseTimeoutMs": 200 })).await;
    assert_eq!(door.ask(&chat("x")).await.error(), (504, Some("engine_timeout".to_owned())));
    crate::support::within("the engine's end", is_gone.recv()).await.unwrap();
}

#[tokio::test]
async fn an_engine_that_breaks_off_before_its_head_is_asked_once() {
    for said in [
        "",
        "HTTP/1.1 200",
        "nonsense\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let engine = Engine::start(move |_, mut wire| {
            let count = Arc::clone(&count);
            async move {
                wire.request().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                wire.send(said).await;
            }
        })
        .await;
        let door = Door::to(engine.address).await;
        assert_eq!(door.ask(&chat("x")).await.error(), (502, Some("engine_failed".to_owned())), "{said:?}");
        // A new connection that breaks is no idle one that was closed: asking again would only break it again.
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{said:?}");
    }
}

#[tokio::test]
async fn an_engine_s_own_error_is_passed_on() {
    let engine = Engine::start(|_, mut wire| async move {
        wire.request().await.unwrap();
        wire.send("HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{\"error\":\"x\"}").await;
    })
    .await;
    let door = Door::to(engine.address).await;
    let answer = door.ask(&chat("x")).await;
    assert_eq!((answer.status, answer.text().as_str()), (400, "{\"error\":\"x\"}"));
}

#[tokio::test]
async fn a_connection_is_used_again_and_a_closed_one_costs_no_error() {
    // The first connection serves two requests and then closes on the third, after it has read it.
    let engine = Engine::start(|number, mut wire| async move {
        for turn in 0.. {
            if wire.request().await.is_none() || (number == 0 && turn == 2) {
                return;
            }
            wire.send_json(&format!("\"{number}.{turn}\"")).await;
        }
    })
    .await;
    let door = Door::to(engine.address).await;
    let mut client = door.client().await;
    let mut found = Vec::new();
    for _ in 0..4 {
        client.send(chat("x")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200);
        found.push(answer.text());
    }
    assert_eq!(found, ["\"0.0\"", "\"0.1\"", "\"1.0\"", "\"1.1\""]);
    assert!(door.metrics().await.contains("sovai_gateway_upstream_retries_total 1"));
}

#[tokio::test]
async fn an_engine_that_closes_after_each_answer_is_connected_to_each_time() {
    let engine = Engine::start(|number, mut wire| async move {
        wire.request().await.unwrap();
        let body = number.to_string();
        wire.send(format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    })
    .await;
    let door = Door::to(engine.address).await;
    let mut client = door.client().await;
    for number in 0..3 {
        client.send(chat("x")).await;
        assert_eq!(client.answer().await.text(), number.to_string());
    }
    assert!(door.metrics().await.contains("sovai_gateway_upstream_retries_total 0"));
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let engine = Engine::start(|_, mut wire| async move {
        wire.request().await.unwrap();
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nto the end").await;
    })
    .await;
    let door = Door::to(engine.address).await;
    assert_eq!(door.ask(&chat("x")).await.text(), "to the end");
}
