//! What must never be written down.

use crate::support::{Door, Engine, KEY, chat, post};
use serde_json::Value;

const PROMPT: &str = "my-very-private-prompt";
const WRONG: &str = "sk-wrong-but-secret";

#[tokio::test]
async fn no_prompt_answer_key_or_unknown_path_is_in_a_log_or_a_metric() {
    let engine = Engine::start(|_, mut wire| async move {
        let mut turn = 0;
        while let Some(request) = wire.request().await {
            assert!(String::from_utf8(request.body).unwrap().contains(PROMPT));
            turn += 1;
            if turn == 3 {
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nprivate-answer").await;
                return;
            }
            wire.send_json("{\"text\":\"private-answer\"}").await;
        }
    })
    .await;
    let mut door = Door::to(engine.address).await;
    let mut client = door.client().await;
    client.send(chat(PROMPT)).await;
    assert_eq!(client.answer().await.status, 200);
    client
        .send(post("/v1/completions", KEY, &format!(r#"{{"model":"assistant","prompt":"{PROMPT}"}}"#)))
        .await;
    assert_eq!(client.answer().await.status, 200);
    // Broken off by the engine, by the client, by bad JSON, by a wrong key, by a wrong model, by a wrong path.
    client.send(chat(PROMPT)).await;
    assert!(client.try_answer().await.is_none());
    let bodies = [
        format!("{{\"model\":\"assistant\",\"{PROMPT}"),
        format!("{{\"model\":\"{PROMPT}\"}}"),
        format!("{{\"model\":{{\"{PROMPT}\":1}}}}"),
        format!("\"{PROMPT}\""),
    ];
    for body in &bodies {
        assert!(door.ask(&post("/v1/completions", KEY, body)).await.status >= 400);
    }
    assert_eq!(door.ask(&post("/v1/completions", WRONG, &format!("\"{PROMPT}\""))).await.status, 401);
    for target in [format!("/{PROMPT}"), format!("/v1/models?key={KEY}"), format!("/{WRONG}?{PROMPT}")] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: {PROMPT}\r\ncookie: {PROMPT}\r\nuser-agent: {PROMPT}\r\n\r\n"
        );
        assert!(door.ask(&request).await.status >= 400);
    }
    let weird = format!("{} / HTTP/1.1\r\nhost: x\r\n\r\n", PROMPT.to_uppercase());
    assert_eq!(door.ask(&weird).await.status, 404);
    for _ in 0..12 {
        door.access().await;
    }
    let log = door.log();
    let metrics = door.metrics().await;
    assert_eq!(log.matches("\"type\":\"access\"").count(), 12, "{log}");
    for secret in [PROMPT, "private", "PRIVATE", KEY, WRONG, "Bearer", &crate::support::digest(KEY)] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        assert!(!metrics.contains(secret), "{secret} is in the metrics:\n{metrics}");
    }
    for line in log.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(value["type"].is_string());
    }
}

#[tokio::test]
async fn the_metrics_are_open_metrics_with_the_configured_labels_only() {
    let (engine, _seen) = Engine::echo().await;
    let mut door = Door::to(engine.address).await;
    door.ask(&chat("x")).await;
    door.ask(&post("/v1/completions", KEY, r#"{"model":"unheard-of"}"#)).await;
    door.ask("GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n").await;
    for _ in 0..3 {
        door.access().await;
    }
    let text = door.metrics().await;
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in [
        r#"sovai_gateway_requests_total{route="/v1/chat/completions",model="assistant",status="2xx"} 1"#,
        r#"sovai_gateway_requests_total{route="/v1/completions",model="none",status="4xx"} 1"#,
        r#"sovai_gateway_requests_total{route="unknown",model="none",status="4xx"} 1"#,
        r#"sovai_gateway_request_duration_seconds_count{route="/v1/chat/completions",model="assistant"} 1"#,
        r#"sovai_gateway_first_byte_seconds_count{route="/v1/chat/completions",model="assistant"} 1"#,
        "sovai_gateway_keys 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("unheard-of") && !text.contains("nowhere"));
}
