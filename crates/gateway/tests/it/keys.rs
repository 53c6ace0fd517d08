//! Who is let in.

use crate::support::{Client, Door, Engine, KEY, chat, config, digest, post};
use serde_json::Value;
use sovai_gateway::Record;

fn get(headers: &str) -> String {
    format!("GET /v1/models HTTP/1.1\r\nhost: x\r\n{headers}\r\n")
}

#[tokio::test]
async fn without_a_key_in_force_nobody_gets_to_an_engine() {
    let (engine, mut seen) = Engine::echo().await;
    let mut door = Door::to(engine.address).await;
    let answer = door.ask(&get("")).await;
    assert_eq!(answer.error(), (401, None));
    assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    for header in [
        "authorization: Bearer wrong\r\n".to_owned(),
        "authorization: Bearer\r\n".to_owned(),
        format!("authorization: Basic {KEY}\r\n"),
        format!("authorization: {KEY}\r\n"),
        format!("authorization: Bearer {KEY}x\r\n"),
        format!("authorization: Bearer {}\r\n", &KEY[..KEY.len() - 1]),
        format!("authorization: Bearer {}\r\n", KEY.to_uppercase()),
        format!("authorization: Bearer {}\r\n", digest(KEY)),
        format!("authorization: Bearer {KEY}\r\nauthorization: Bearer {KEY}\r\n"),
    ] {
        let answer = door.ask(&get(&header)).await;
        assert_eq!(answer.error(), (401, Some("invalid_api_key".to_owned())), "{header}");
    }
    // A key anywhere else is no key.
    for request in [
        get(&format!("x-api-key: {KEY}\r\n")),
        get("").replace("/v1/models", &format!("/v1/models?key={KEY}")),
    ] {
        assert_eq!(door.ask(&request).await.status, 401);
    }
    assert_eq!(
        door.ask(&post("/v1/chat/completions", "wrong", r#"{"model":"assistant"}"#)).await.status,
        401
    );
    let record = door.hear(|r| matches!(r, Record::Access(a) if a.route == "/v1/chat/completions")).await;
    assert!(
        matches!(record, Record::Access(a) if a.bytes_in == 0 && a.client.is_none()),
        "its body was read"
    );
    assert!(seen.try_recv().is_err(), "the engine was reached");
    assert_eq!(door.ask(&get(&format!("authorization: bearer {KEY}\r\n"))).await.status, 200);
    let metrics = door.metrics().await;
    assert!(metrics.contains("sovai_gateway_auth_rejected_total{reason=\"missing\"} 3"), "{metrics}");
    assert!(metrics.contains("sovai_gateway_auth_rejected_total{reason=\"wrong\"} 10"), "{metrics}");
}

#[tokio::test]
async fn a_refused_body_is_read_away_so_that_the_answer_is_not_lost_in_a_reset() {
    let door = Door::to(Engine::nobody().await).await;
    let body = format!("{{\"model\":\"assistant\",\"x\":\"{}\"}}", "x".repeat(600_000));
    let request = post("/v1/completions", "wrong", &body);
    let (head, rest) = request.split_at(request.len() - 500_000);
    let mut client = door.client().await;
    client.send(head).await;
    assert_eq!(client.answer().await.status, 401);
    // Closed at once, the connection would be reset by what still comes.
    client.send(rest).await;
    client.send(get(&format!("authorization: Bearer {KEY}\r\n"))).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_changed_keys_file_is_in_force_within_seconds() {
    let mut door = Door::to(Engine::nobody().await).await;
    let with = |key: &str| get(&format!("authorization: Bearer {key}\r\n"));
    assert_eq!(door.ask(&with(KEY)).await.status, 200);
    fs_err::write(&door.keys, format!("{}\n", digest("sk-new"))).unwrap();
    door.hear(|r| matches!(r, Record::KeysLoaded { keys: 1 })).await;
    assert_eq!(door.ask(&with(KEY)).await.status, 401, "a key that was struck out still opens");
    assert_eq!(door.ask(&with("sk-new")).await.status, 200);
    // A key written down by mistake is not in force, is not logged, and lets nobody else in.
    fs_err::write(&door.keys, format!("{}\nsk-in-the-clear\n", digest("sk-new"))).unwrap();
    door.hear(|r| matches!(r, Record::KeysRefused { problem } if problem.contains("line 2"))).await;
    assert_eq!(door.ask(&with("sk-new")).await.status, 401);
    assert!(!door.log().contains("in-the-clear"));
    assert!(door.metrics().await.contains("sovai_gateway_keys 0"));
}

#[tokio::test]
async fn a_gateway_without_keys_lets_everybody_in_because_it_was_told_to() {
    let (engine, _seen) = Engine::echo().await;
    let mut config = config(engine.address);
    config["keys"] = Value::Null;
    let door = Door::open(config).await;
    assert_eq!(door.ask(&get("")).await.status, 200);
    assert_eq!(door.ask(&chat("x")).await.status, 200);
    let mut client = Client::connect(door.metrics).await;
    client.send("GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 404, "the metrics port has no API");
}
